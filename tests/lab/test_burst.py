"""Many pods at once, and pods that all reach each other."""

import json

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.waiting import until_equal
from vpclab.demo.eyes import machine_network

pytestmark = pytest.mark.lab


def held(lab: LabUnderTest) -> int:
    """Addresses that node1's ENIs have for pods, as EC2 tells anybody."""
    node = next(m for m in lab.json("status")["machines"] if m["name"] == "node1")
    return sum(len(e["addresses"]) - 1 for e in lab.eyes.interfaces() if e["instance"] == node["instanceId"])


def test_targets_are_held_exactly_as_the_formulas_say(start_lab: StartLab) -> None:
    # spec 6.7: the total is max(assigned + WARM_IP_TARGET, MINIMUM_IP_TARGET)
    env = ("WARM_IP_TARGET=2", "MINIMUM_IP_TARGET=10", "IP_COOLDOWN_PERIOD=2", "VPC_CNI_SURPLUS_PERIOD=5")
    lab = start_lab("--nodes", "1", *(word for one in env for word in ("--env", one)))
    until_equal(lambda: held(lab), 10)
    lab("pod", "add", "a", "--count", "5")
    assert held(lab) == 10
    lab("pod", "add", "b", "--count", "6")
    until_equal(lambda: held(lab), 13)
    assert lab("check", "--wait", "20").returncode == 0
    assert held(lab) == 13
    lab("pod", "del", "b", "--all")
    until_equal(lambda: held(lab), 10, 60)
    lab("pod", "del", "--all")
    assert lab("check", "--wait", "20").returncode == 0
    assert held(lab) == 10


def test_a_hundred_adds_at_once_on_an_empty_pool_all_succeed(start_lab: StartLab) -> None:
    before = machine_network()
    lab = start_lab(
        "--nodes", "1", "--instance-type", "m5.4xlarge", "--delays", "real", "--env", "WARM_IP_TARGET=1"
    )
    done = lab.json("pod", "add", "web", "--count", "100")
    assert (done["done"], done["failed"]) == (100, {})
    assert done["max"] < 30
    assert lab.json("ping", "--all")["answered"] == 100 * 99
    assert lab("check", "--wait", "30").returncode == 0
    assert lab.json("pod", "del", "web", "--all")["done"] == 100
    assert lab.json("pod", "list") == []
    assert machine_network() == before


def test_prefixes_give_110_pods_to_a_t3_medium_all_pinging(start_lab: StartLab) -> None:
    lab = start_lab(
        *("--nodes", "1", "--delays", "real"),
        *("--env", "ENABLE_PREFIX_DELEGATION=true", "--env", "WARM_PREFIX_TARGET=1"),
    )
    assert lab.json("pod", "add", "web", "--count", "110")["failed"] == {}
    pinged = lab.json("ping", "--all", "--wait", "20")
    assert (pinged["asked"], pinged["answered"]) == (110 * 109, 110 * 109)
    node = lab.json("status")["machines"][1]
    prefixes = [prefix for eni in node["enis"] for prefix in eni["prefixes"]]
    assert len(prefixes) == 7, "7 hold 112, and the node may have no more than 110 pods"
    assert not any(eni["secondary"] for eni in node["enis"])
    assert lab("check", "--wait", "30").returncode == 0


def test_five_hundred_pods_on_a_large_node_are_all_reached(start_lab: StartLab) -> None:
    lab = start_lab(
        *("--nodes", "1", "--instance-type", "m5.24xlarge", "--subnet-bits", "21"),
        *(
            "--env",
            "ENABLE_PREFIX_DELEGATION=true",
            "--env",
            "WARM_PREFIX_TARGET=1",
            "--env",
            "VPC_CNI_MAX_PODS=500",
        ),
    )
    assert lab.json("pod", "add", "web", "--count", "500", "--parallel", "16")["failed"] == {}
    assert lab.json("ping", "--wait", "20")["answered"] == 500
    lab("agent", "restart", "node1")
    assert lab.json("ping", "--wait", "20")["answered"] == 500
    assert lab("check", "--wait", "30").returncode == 0


def test_the_mode_is_switched_with_pods_running_there_and_back(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "2", "--env", "WARM_IP_TARGET=1", "--env", "IP_COOLDOWN_PERIOD=1")
    lab("pod", "add", "old", "--count", "8")
    lab("env", "all", "ENABLE_PREFIX_DELEGATION=true", "WARM_PREFIX_TARGET=1")
    lab("pod", "add", "new", "--count", "30")
    assert lab.json("ping", "--all")["unanswered"] == []
    nodes = lab.json("status")["machines"][1:]
    assert all(any(eni["prefixes"] for eni in node["enis"]) for node in nodes)
    lab("env", "all", "ENABLE_PREFIX_DELEGATION-", "WARM_PREFIX_TARGET-")
    lab("pod", "del", "new", "--count", "26")
    lab("pod", "add", "last", "--count", "4")
    assert lab.json("ping", "--all")["unanswered"] == []
    assert lab("check", "--wait", "40").returncode == 0


def test_pings_tell_who_is_not_reached_and_bulk_who_failed_and_why(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--instance-type", "t3.nano", "--env", "IP_COOLDOWN_PERIOD=1")
    done = lab("pod", "add", "web", "--count", "2")
    assert "2 of 2 in" in done.stdout
    lab.eyes.run("web-2", "ip", "link", "set", "eth0", "down")
    done = lab("ping", "--wait", "1", check=False)
    assert done.returncode == 1
    assert "0 of 2 pings between 2 pods" in done.stdout
    assert "no answer: default/web-1 → default/web-2" in done.stdout
    lab.eyes.run("web-2", "ip", "link", "set", "eth0", "up")
    report = json.loads(lab("pod", "add", "more", "--count", "2", "-o", "json", check=False).stdout)
    assert (report["done"], set(report["failed"])) == (0, {"more-1", "more-2"})
    [(reason, count)] = report["reasons"].items()
    assert (count, "EniLimit" in reason) == (2, True)
