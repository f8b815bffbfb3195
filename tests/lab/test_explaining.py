"""A pod that has no address for a real reason: `vpc-cni explain` names it and says what to do, after a restart, too."""

import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from vpccni.ipam.reasons import Reason

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def explain(lab: LabUnderTest, node: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vpccni.cli", "explain", *arguments]
    return lab("exec", node, "--", *command, check=False)


def env(*pairs: str) -> tuple[str, ...]:
    return tuple(word for pair in pairs for word in ("--env", pair))


def add(lab: LabUnderTest, node: str, name: str, count: int) -> dict[str, str]:
    """Pods, each tried once; those that were refused, and what their runtime was told."""
    options = ("--node", node, "--count", str(count), "--patience", "0", "-o", "json")
    done = lab("pod", "add", name, *options, check=False)
    failed: dict[str, str] = json.loads(done.stdout)["failed"]
    return failed


def add_one(lab: LabUnderTest, node: str, name: str) -> str:
    """A pod that is refused after a wait: what its runtime was told."""
    done = lab("pod", "add", name, "--node", node, "--patience", "0", check=False)
    assert done.returncode == 1
    return done.stderr


def named(lab: LabUnderTest, node: str, subject: str, reason: Reason) -> dict[str, Any]:
    """What is told of the subject, once it was seen to name the reason with what to do."""
    told = explain(lab, node, subject, "-o", "json")
    assert told.returncode == 1, told.stdout + told.stderr
    story: dict[str, Any] = json.loads(told.stdout)
    assert reason.advice in [each["do"] for each in story["advice"] if each["reason"] == reason.value], story
    return story


def named_now(lab: LabUnderTest, node: str) -> set[str]:
    return {each["reason"] for each in json.loads(explain(lab, node, "-o", "json").stdout)["advice"]}


def pod_named(lab: LabUnderTest, node: str, pod: str, reason: Reason) -> None:
    story = named(lab, node, pod, reason)
    assert any(pod in each["what"] for each in story["decisions"])


def test_what_a_nodes_limits_refuse(start_lab: StartLab) -> None:
    lab = start_lab(*env("MAX_ENI=1", "WARM_IP_TARGET=1", "IP_COOLDOWN_PERIOD=600"))

    [pod] = add(lab, "node1", "web", 6)
    pod_named(lab, "node1", pod, Reason.ENI_LIMIT)
    lab("agent", "restart", "node1")
    pod_named(lab, "node1", pod, Reason.ENI_LIMIT)
    assert f"{Reason.ENI_LIMIT.value}: " in explain(lab, "node1", pod).stdout

    assert add(lab, "node2", "job", 5) == {}
    lab("pod", "del", "job", "--all")
    for _ in range(2):  # the seconds that are told differ; it is one entry all the same
        assert add(lab, "node2", "next", 1).keys() == {"next-1"}
    pod_named(lab, "node2", "next-1", Reason.ALL_COOLING)

    # somebody takes two places of the ENI, and neither metadata nor EC2's lists show it yet
    lab("fault", "add", "imds=3000", "stale=3000")
    lab("fault", "behind", "node3", "assign", "--eni", "eth0", "--count", "2")
    [pod, *_] = add(lab, "node3", "app", 5)
    pod_named(lab, "node3", pod, Reason.IP_LIMIT)


def test_what_a_subnet_or_a_setting_refuses(start_lab: StartLab) -> None:
    lab = start_lab("--free", "4", "--scattered", *env("WARM_IP_TARGET=1"))

    [pod, *_] = add(lab, "node1", "web", 6)
    pod_named(lab, "node1", pod, Reason.SUBNET_FULL)

    lab("env", "node2", "ENABLE_PREFIX_DELEGATION=true")
    lab.pod("app", "--node", "node2")  # has a single address instead
    named(lab, "node2", "node", Reason.NO_FREE_PREFIX)

    lab("env", "node3", "DISABLE_NETWORK_RESOURCE_PROVISIONING=true")
    while named_now(lab, "node3") & {Reason.AGENT_UNREACHABLE.value, Reason.AGENT_STARTING.value}:
        pass
    [pod, *_] = add(lab, "node3", "off", 3)
    pod_named(lab, "node3", pod, Reason.PROVISIONING_OFF)


def test_what_ec2_or_the_agent_refuses(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "5", *env("MINIMUM_IP_TARGET=4"))  # and none of these is kept free
    for node, count in (("node1", 5), ("node2", 5), ("node3", 4), ("node4", 4)):
        assert add(lab, node, f"{node}-old", count) == {}

    lab("fault", "add", "error:*=UnauthorizedOperation,rate=1")
    [pod] = add(lab, "node3", "new", 1)
    pod_named(lab, "node3", pod, Reason.NOT_AUTHORISED)
    lab("fault", "clear")
    lab("agent", "kill", "node3")
    lab("exec", "node5", "--", "ip", "route", "add", "unreachable", "169.254.169.254")
    lab("agent", "restart", "node5")
    while named_now(lab, "node5") != {Reason.AGENT_STARTING.value}:
        pass

    # no target, so the sixth pod waits until EC2 has attached an ENI, and that takes too long
    lab("fault", "add", "attach=300")
    with ThreadPoolExecutor(5) as beside:  # an agent waits 20 s for what may come
        slow = beside.submit(add_one, lab, "node1", "slow")
        while "begun   attach" not in explain(lab, "node1").stdout:
            assert not slow.done()
        # the next one may not even be made, and where there is room EC2 is ill
        lab("fault", "add", "error:CreateNetworkInterface=RequestLimitExceeded,rate=1")
        lab("fault", "add", "error:AssignPrivateIpAddresses=InternalError,rate=1")
        said: dict[tuple[str, str, Reason], Future[str]] = {
            ("node1", "slow", Reason.POOL_REFILLING): slow,
            **{
                (node, pod, reason): beside.submit(add_one, lab, node, pod)
                for node, pod, reason in (
                    ("node2", "throttled", Reason.THROTTLED),
                    ("node4", "ill", Reason.EC2_ERROR),
                    ("node5", "early", Reason.AGENT_STARTING),
                    ("node3", "away", Reason.AGENT_UNREACHABLE),
                )
            },
        }
    for (node, pod, reason), answer in said.items():
        assert (reason.value in answer.result()) or (reason.advice in answer.result()), answer.result()
        story = named(lab, node, pod, reason)
        if reason not in {Reason.AGENT_STARTING, Reason.AGENT_UNREACHABLE}:
            assert any(pod in each["what"] for each in story["decisions"])
    named(lab, "node5", "node", Reason.AGENT_STARTING)


def test_a_node_and_a_subnet_are_explained(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *env("ENABLE_PREFIX_DELEGATION=true", "WARM_PREFIX_TARGET=1"))
    lab.pod("web")
    node = explain(lab, "node1")
    assert node.returncode == 0, node.stdout
    assert "what was decided" in node.stdout
    web = explain(lab, "node1", "web")
    assert (web.returncode, "it has 192.168.1." in web.stdout) == (0, True)
    [subnet] = [s for s in lab.json("status")["subnets"] if s["cidr"] == "192.168.1.0/24"]
    found = json.loads(explain(lab, "node1", subnet["id"], "-o", "json").stdout)
    assert found["free"] == found["available"] == subnet["free"]
    assert found["blocks"].count("P") == found["prefixes"] > 0
    assert "create-subnet-cidr-reservation" in found["advice"][0]
    assert explain(lab, "node1", "subnet-0123456789abcdef0").returncode == 2
