"""A running instance is a machine of the lab; a stopped or terminated one is not, and leaves nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.waiting import until, until_equal

pytestmark = pytest.mark.lab


def machine(lab: LabUnderTest, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(m for m in lab.json("status")["machines"] if m["name"] == name)
    return found


def names(lab: LabUnderTest) -> list[str]:
    return [m["name"] for m in lab.json("status")["machines"] if m["state"] == "running"]


def enis(lab: LabUnderTest, node: str) -> dict[str, str]:
    """The devices that the node's kernel has, with their MACs."""
    links = lab.eyes.json(node, "ip", "-j", "link")
    return {one["ifname"]: one["address"] for one in links if one["ifname"].startswith("eth")}


def ready(lab: LabUnderTest, node: str) -> bool:
    """Whether a node that boots has its agent's leave to run pods."""
    asked = ("curl", "-sf", "http://127.0.0.1:61679/readyz")
    return lab("exec", node, "--", *asked, check=False).returncode == 0


def aws(lab: LabUnderTest, script: str) -> str:
    """boto3's wire by botocore, on the bastion, against the lab's EC2."""
    head = (
        "import botocore.session as s;"
        "ec2 = s.get_session().create_client('ec2', region_name='ap-northeast-2', aws_access_key_id='k',"
        " aws_secret_access_key='s', endpoint_url='http://ec2.ap-northeast-2.amazonaws.com');"
    )
    return lab("exec", "bastion", "--", sys.executable, "-c", head + script).stdout


def test_machines_follow_the_region(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "2", "--env", "MINIMUM_IP_TARGET=10", "--env", "WARM_IP_TARGET=1")
    pods = [lab.pod(f"p{n}", "--node", "node1") for n in range(7)]
    far = lab.pod("far", "--node", "node2")
    assert {pod["device"] for pod in pods} == {"eth0", "eth1"}
    before, devices = machine(lab, "node1"), enis(lab, "node1")
    lab("exec", "node1", "--", "sh", "-c", "echo kept > /var/log/mine; echo lost > /run/mine")

    # stopped: its pods are gone, its ENIs and addresses are its own
    done = json.loads(lab("node", "stop", "node1", "-o", "json").stdout)
    assert (done["state"], done["privateIp"], done["publicIp"]) == ("stopped", before["privateIp"], None)
    assert done["enis"] == before["enis"]
    assert names(lab) == ["bastion", "node2"]
    assert lab.json("pod", "list") == [far]
    assert "no node node1" in lab("pod", "add", "x", "--node", "node1", check=False).stderr
    assert not lab.eyes.pings("node2", before["privateIp"])

    # started: the same devices, the agent takes up what EC2 says, pods can be run
    lab("node", "start", "node1")
    assert enis(lab, "node1") == devices
    assert lab("exec", "node1", "--", "cat", "/var/log/mine").stdout == "kept\n"
    assert lab("exec", "node1", "--", "test", "-e", "/run/mine", check=False).returncode == 1
    again = [lab.pod(f"p{n}", "--node", "node1") for n in range(7)]
    assert {pod["device"] for pod in again} == {"eth0", "eth1"}
    assert {pod["ip"] for pod in again} <= {a for e in before["enis"] for a in e["secondary"]}
    assert lab("ping", "--all").returncode == 0

    # by the API: rebooted with its pods gone, terminated with its addresses back
    aws(lab, f"ec2.reboot_instances(InstanceIds=['{before['instanceId']}'])")
    until_equal(lambda: lab.json("pod", "list"), [far])
    until(lambda: ready(lab, "node1"))
    assert lab.pod("after", "--node", "node1")["ip"].startswith("192.168.1.")
    assert enis(lab, "node1") == devices
    aws(lab, f"ec2.terminate_instances(InstanceIds=['{before['instanceId']}'])")
    until_equal(lambda: lab.json("pod", "list"), [far])
    # it was a managed node group's: that launches another, in the zone that lost one
    until(lambda: len(set(names(lab)) - {"bastion", "node2"}) == 1)
    (fresh,) = set(names(lab)) - {"bastion", "node2"}
    until(lambda: ready(lab, fresh))
    assert machine(lab, fresh)["instanceId"] != before["instanceId"]
    assert machine(lab, fresh)["zone"] == before["zone"]

    # nobody's node comes by hand, and gives all of it back when it goes
    def free() -> int:
        subnets = lab.json("status")["subnets"]
        return int(next(one["free"] for one in subnets if one["cidr"] == "192.168.3.0/24"))

    assert free() == 251
    added = json.loads(lab("node", "add", "--zone", "c", "--type", "t3.small", "-o", "json").stdout)
    assert (added["zone"][-1], added["type"]) == ("c", "t3.small")
    assert lab.pod("late", "--node", added["name"])["ip"].startswith("192.168.3.")
    lab("node", "terminate", added["name"])
    assert free() == 251
    assert lab("check").returncode == 0

    # a plain instance is a machine too, without an agent
    run = "ec2.run_instances(MinCount=1, MaxCount=1, InstanceType='t3.nano', SubnetId='{}', TagSpecifications=[{}])"
    tags = {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]}
    aws(lab, run.format(lab.json("status")["subnets"][0]["id"], tags))
    until(lambda: "web" in names(lab))
    assert "agent" not in machine(lab, "web")
    assert lab("exec", "web", "--", "hostname").stdout == "web\n"
