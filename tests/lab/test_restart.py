"""What a restart finds when its files are lost or broken: live pods keep what they have."""

import json

import pytest

from tests.lab.conftest import LabUnderTest, StartLab

pytestmark = pytest.mark.lab

RUN = "/var/run/aws-node"


def stop(lab: LabUnderTest) -> None:
    lab("agent", "kill", "node1")


def start(lab: LabUnderTest) -> None:
    lab("agent", "start", "node1")


def shell(lab: LabUnderTest, command: str) -> str:
    return lab("exec", "node1", "--", "sh", "-c", command).stdout


@pytest.mark.parametrize(
    "harm",
    [
        f"rm {RUN}/ipam.json {RUN}/ipam.journal",
        f"head -c 40 {RUN}/ipam.json > {RUN}/x && mv {RUN}/x {RUN}/ipam.json && rm {RUN}/ipam.journal",
        f"echo not json > {RUN}/ipam.json",
    ],
)
def test_a_checkpoint_that_is_lost_or_broken_costs_no_pod_its_address(start_lab: StartLab, harm: str) -> None:
    lab = start_lab("--nodes", "1", "--env", "WARM_IP_TARGET=1", "--env", "IP_COOLDOWN_PERIOD=1")
    lab("pod", "add", "web", "--count", "8")
    before = {pod["name"]: pod["ip"] for pod in lab.json("pod", "list")}
    rules = shell(lab, "ip rule; ip route")
    stop(lab)
    shell(lab, harm)
    start(lab)
    assert lab.json("pod", "add", "new", "--count", "5")["failed"] == {}
    after = {pod["name"]: pod["ip"] for pod in lab.json("pod", "list")}
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 13, "no address is two pods'"
    assert set(rules.splitlines()) <= set(shell(lab, "ip rule; ip route").splitlines()), "nothing was touched"
    assert lab.json("ping", "--all")["unanswered"] == []
    lab("pod", "del", "--all")
    allocations = json.loads(shell(lab, f"cat {RUN}/ipam.json"))["allocations"]
    stop(lab)
    start(lab)
    assert lab.json("pod", "add", "last", "--count", "2")["failed"] == {}
    assert lab.json("ping", "--all")["unanswered"] == []
    lab("pod", "del", "--all")
    assert lab("check", "--wait", "30").returncode == 0, allocations


def test_a_changed_prefix_of_the_veths_leaves_running_pods_theirs(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--env", "WARM_IP_TARGET=1")
    old = lab.pod("old")
    lab("env", "node1", "AWS_VPC_K8S_CNI_VETHPREFIX=abc")
    new = lab.pod("new")
    assert new["hostVeth"].startswith("abc")
    assert lab.json("ping", "--all")["unanswered"] == []
    links = shell(lab, "ip -o link")
    assert old["hostVeth"] in links
    lab("pod", "del", "old")
    lab("pod", "del", "new")
    assert "abc" not in shell(lab, "ip rule; ip route")
    assert old["ip"] not in shell(lab, "ip rule; ip route")
