"""The lab's cluster by EKS's API: what there is, scaling with pods on the nodes, a changed add-on on the agents."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
import yaml

from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.test_wire import aws as call_aws
from tests.lab.test_wire import exports
from tests.lab.waiting import until, until_equal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]
"""The real command line takes a second or two a call."""

OF_GROUP = ("--cluster-name", "myeks", "--nodegroup-name", "ng1")
OF_ADDON = ("--cluster-name", "myeks", "--addon-name", "vpc-cni")
GROUP = {"clusterName": "myeks", "nodegroupName": "ng1"}
ADDON = {"clusterName": "myeks", "addonName": "vpc-cni"}


def aws(lab: LabUnderTest, *arguments: str, check: bool = True) -> str:
    """The real command line, on this machine."""
    done = call_aws(environment_of(lab.name), *arguments, check=check)
    return done.stdout + ("" if check else done.stderr)


@functools.cache
def environment_of(lab: str) -> dict[str, str]:
    return exports(LabUnderTest(lab))


def ask(lab: LabUnderTest, *arguments: str) -> Any:
    return json.loads(aws(lab, *arguments, "--output", "json"))


def nodes(lab: LabUnderTest) -> dict[str, dict[str, Any]]:
    return {m["name"]: m for m in lab.json("status")["machines"] if m["name"].startswith("node")}


def scale(eks: Any, desired: int) -> None:
    eks.update_nodegroup_config(**GROUP, scalingConfig={"desiredSize": desired})


def status(eks: Any) -> str:
    return str(eks.describe_nodegroup(**GROUP)["nodegroup"]["status"])


def addon(eks: Any) -> dict[str, Any]:
    found: dict[str, Any] = eks.describe_addon(**ADDON)["addon"]
    return found


def environment(lab: LabUnderTest, node: str, name: str) -> str | None:
    """A variable of the agent that runs now, as its kernel has it."""
    pid = nodes(lab)[node]["agent"]["pid"]
    text = lab("exec", node, "--", "cat", f"/proc/{pid}/environ", check=False).stdout
    found = dict(pair.partition("=")[::2] for pair in text.split("\0") if pair)
    return found.get(name)


def test_the_study_and_a_cluster_that_changes(start_lab: StartLab, tmp_path: Path) -> None:
    lab = start_lab("--env", "MINIMUM_IP_TARGET=6")
    variables = environment_of(lab.name)
    eks, ec2 = (
        boto3.client(
            service, endpoint_url=variables["AWS_ENDPOINT_URL"], region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )
        for service in ("eks", "ec2")
    )  # fmt: skip

    # W3, W11, W12, in the forms of aws
    assert ask(lab, "eks", "list-clusters") == {"clusters": ["myeks"]}
    group = ask(lab, "eks", "describe-nodegroup", *OF_GROUP)["nodegroup"]
    assert (group["status"], group["scalingConfig"]["desiredSize"]) == ("ACTIVE", 3)
    assert group["instanceTypes"] == ["t3.medium"]
    addons = ask(lab, "eks", "list-addons", "--cluster-name", "myeks")["addons"]
    assert addons == ["coredns", "kube-proxy", "vpc-cni"]
    assert (addon(eks)["status"], addon(eks)["addonVersion"]) == ("ACTIVE", "v1.16.0-eksbuild.1")
    assert json.loads(addon(eks)["configurationValues"]) == {"env": {"MINIMUM_IP_TARGET": "6"}}
    counts = [
        aws(lab, "eks", "describe-addon-versions", "--kubernetes-version", version, "--output", "json").count(
            '"addonName"'
        )
        for version in ("1.28", "1.29")
    ]
    assert counts == [12, 17]

    # who one is, a kubeconfig, a token
    config = tmp_path / "config"
    aws(lab, "eks", "update-kubeconfig", "--name", "myeks", "--kubeconfig", str(config))
    cluster = yaml.safe_load(config.read_text())["clusters"][0]["cluster"]
    described = eks.describe_cluster(name="myeks")["cluster"]
    assert cluster["server"] == described["endpoint"]
    token = ask(lab, "eks", "get-token", "--cluster-name", "myeks")
    assert token["status"]["token"].startswith("k8s-aws-v1.")

    # down by one: the node's pods are deleted, then it goes; the others never notice
    stay, far = lab.pod("stay", "--node", "node1"), lab.pod("far", "--node", "node2")
    leave = [lab.pod(f"leave{n}", "--node", "node3") for n in range(3)]
    aws(lab, "eks", "update-nodegroup-config", *OF_GROUP, "--scaling-config", "desiredSize=2")
    until_equal(lambda: sorted(nodes(lab)), ["node1", "node2"])
    assert lab.json("pod", "list") == [stay, far]
    assert {pod["node"] for pod in leave} == {"node3"}
    until_equal(lambda: status(eks), "ACTIVE")
    log = Path(f"/run/vpclab/{lab.name}/daemon.log").read_text()
    assert "Traceback" not in log, log

    # up by two, over the zones
    scale(eks, 4)
    until_equal(lambda: status(eks), "ACTIVE")
    assert sorted(node["zone"][-1] for node in nodes(lab).values()) == ["a", "a", "b", "c"]

    # an add-on's configuration changes: one agent after the other starts anew, and no packet is lost
    before = {name: node["agent"]["starts"] for name, node in nodes(lab).items()}
    pings = lab.eyes.command(stay["name"], "ping", "-i", "0.05", "-c", "160", "-W", "1", far["ip"])
    with subprocess.Popen(pings, stdout=subprocess.PIPE, text=True) as ping:
        values = '{"env":{"WARM_IP_TARGET":"2"}}'
        update = ask(lab, "eks", "update-addon", *OF_ADDON, "--configuration-values", values)["update"]
        until_equal(lambda: addon(eks)["status"], "ACTIVE")
        said = ping.communicate(timeout=120)[0]
    assert "160 packets transmitted, 160 received, 0% packet loss" in said
    assert {name: node["agent"]["starts"] for name, node in nodes(lab).items()} == {
        name: starts + 1 for name, starts in before.items()
    }
    done = eks.describe_update(name="myeks", updateId=update["id"], addonName="vpc-cni")["update"]
    assert done["status"] == "Successful"
    for name in nodes(lab):
        assert environment(lab, name, "WARM_IP_TARGET") == "2"
        assert environment(lab, name, "MINIMUM_IP_TARGET") is None
    with pytest.raises(eks.exceptions.InvalidParameterException, match="WARM_IP"):
        eks.update_addon(**ADDON, configurationValues='{"env":{"WARM_IP":"2"}}')

    # what somebody changed by hand is not overwritten unless that is asked for
    lab("env", "node1", "WARM_IP_TARGET=7")
    eks.update_addon(**ADDON, configurationValues=values)
    until_equal(lambda: addon(eks)["status"], "UPDATE_FAILED")
    (issue,) = addon(eks)["health"]["issues"]
    assert (issue["code"], "node1: WARM_IP_TARGET" in issue["message"]) == ("ConfigurationConflict", True)
    assert environment(lab, "node1", "WARM_IP_TARGET") == "7"
    eks.update_addon(**ADDON, resolveConflicts="OVERWRITE")
    until_equal(lambda: addon(eks)["status"], "ACTIVE")
    assert environment(lab, "node1", "WARM_IP_TARGET") == "2"

    # a node that is terminated is another one soon, with the add-on's configuration
    lost = nodes(lab)["node2"]["instanceId"]
    ec2.terminate_instances(InstanceIds=[lost])
    until(lambda: len(nodes(lab)) == 4 and lost not in {n["instanceId"] for n in nodes(lab).values()})
    until_equal(lambda: status(eks), "ACTIVE")
    assert lab.json("pod", "list") == [stay]
    (fresh,) = (
        n
        for n, node in nodes(lab).items()
        if (node["agent"]["starts"] == 1 and n not in before) or n == "node2"
    )
    until_equal(lambda: environment(lab, fresh, "WARM_IP_TARGET"), "2")
    assert sorted(node["zone"][-1] for node in nodes(lab).values()) == ["a", "a", "b", "c"]
    assert lab("check").returncode == 0
