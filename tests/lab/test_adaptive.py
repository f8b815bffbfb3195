"""A real agent with WARM_TARGET_MODE=adaptive: careful at first, frugal when it knows its pods, and it knows them after a restart."""

from __future__ import annotations

import sys
import time

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.waiting import until
from vpccni.ipam.readiness import ENOUGH_ARRIVALS
from vpclab.lab.client import ask
from vpclab.lab.state import LabState

pytestmark = pytest.mark.lab

SETTINGS = ("WARM_TARGET_MODE=adaptive", "IP_COOLDOWN_PERIOD=1", "VPC_CNI_SURPLUS_PERIOD=2")
APART = 1.1
"""Seconds from pod to pod: longer than EC2 is thought to need at first, so that none comes in a rush."""
SLOTS = 5
"""Of a t3.medium's ENI: what the default keeps ready at least."""


def words(lab: LabUnderTest) -> str:
    return lab("exec", "node1", "--", sys.executable, "-m", "vpccni.cli", "status", "-o", "json").stdout


def addresses(lab: LabUnderTest) -> int:
    """That EC2 says the node has for pods."""
    [node] = [one for one in lab.json("status")["machines"] if one["name"] == "node1"]
    return sum(len(eni["secondary"]) for eni in node["enis"])


def test_an_agent_learns_what_its_pods_need_and_remembers_it(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *(word for one in SETTINGS for word in ("--env", one)))
    until(lambda: addresses(lab) >= SLOTS)
    assert "adaptive, learning" in words(lab)
    control, began = LabState(lab.name).control, time.monotonic()
    for number in range(ENOUGH_ARRIVALS):
        time.sleep(max(0.0, began + number * APART - time.monotonic()))
        ask(control, "pod-add", name=f"p{number}", namespace="default", node="node1", ports=[], patience=60.0)
        ask(control, "pod-del", name=f"p{number}", namespace="default")
    until(lambda: addresses(lab) < SLOTS, 60)
    assert " ready for pods that come while EC2 brings more" in words(lab)
    lab("agent", "restart", "node1")
    until(lambda: "adaptive: " in words(lab))
    lab.pod("web", "--node", "node1")
    until(lambda: 1 < addresses(lab) < SLOTS)
    assert lab("check", "--wait", "30").returncode == 0
