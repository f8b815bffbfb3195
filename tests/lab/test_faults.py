"""An AWS that is slow, late, full or refusing, and people who change things: pods come up, and nothing is leaked."""

import json
import time

import pytest

from tests.lab.conftest import LabUnderTest, StartLab, vpc_lab
from tests.lab.waiting import until
from vpclab.demo.eyes import machine_network

pytestmark = pytest.mark.lab


def env(*pairs: str) -> tuple[str, ...]:
    return tuple(word for pair in pairs for word in ("--env", pair))


def counted(lab: LabUnderTest) -> dict[tuple[str, str], int]:
    return {(c["action"], c["code"]): c["count"] for c in lab.json("calls", "--count")}


def test_a_storm_of_throttling_delays_pods_and_fails_none(start_lab: StartLab) -> None:
    buckets = (
        "CreateNetworkInterface=2/1",
        "AssignPrivateIpAddresses=2/1",
        "AttachNetworkInterface=2/1",
    )
    lab = start_lab(
        *("--nodes", "3", "--instance-type", "m5.large"),
        *env("WARM_IP_TARGET=1"),
        *(word for bucket in buckets for word in ("--fault", f"bucket:{bucket}")),
        *("--fault", "throttle=on"),
    )
    done = lab.json("pod", "add", "web", "--count", "40")
    assert done["failed"] == {}
    assert any(code == "RequestLimitExceeded" for _, code in counted(lab))
    assert lab.json("ping", "--all")["unanswered"] == []
    assert "off: f1, f2, f3, f4" in lab("fault", "clear").stdout
    assert lab("check", "--wait", "30").returncode == 0


def as_kubelet(lab: LabUnderTest, name: str, count: int, reason: str, seconds: float = 60.0) -> None:
    """Add pods, and again the one or two that failed though they waited, each time with that reason."""
    deadline = time.monotonic() + seconds
    done = json.loads(lab("pod", "add", name, "--count", str(count), "-o", "json", check=False).stdout)
    waiting = done["failed"]
    assert len(waiting) <= 2, waiting
    while waiting:
        assert all(reason in problem for problem in waiting.values()), waiting
        assert time.monotonic() < deadline, waiting
        waiting = {one: problem for one in waiting if (problem := refused(lab, one))}


def refused(lab: LabUnderTest, name: str) -> str:
    """Why a pod could not be added; empty if it could."""
    return lab("pod", "add", name, check=False).stderr


def test_with_a_third_of_ec2s_calls_failing_pods_come_up(start_lab: StartLab) -> None:
    lab = start_lab(
        *("--nodes", "2", "--instance-type", "m5.large", "--seed", "7"),
        *env("WARM_IP_TARGET=1", "IP_COOLDOWN_PERIOD=1"),
    )
    lab("fault", "add", "error:*=InternalError,rate=0.3")
    for turn in range(3):
        as_kubelet(lab, f"web{turn}", 20, "answered InternalError")
        lab("pod", "del", f"web{turn}", "--count", "14")
    [fault] = lab.json("fault", "list")
    assert (fault["id"], fault["left"], fault["hits"] > 0) == ("f1", None, True)
    lab("fault", "clear", "f1")
    assert lab.json("ping", "--all")["unanswered"] == []
    assert lab("check", "--wait", "60").returncode == 0


def test_imds_that_lags_twenty_seconds_costs_no_pod_its_address(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *env("WARM_IP_TARGET=1", "MINIMUM_IP_TARGET=5"))
    lab("fault", "add", "imds=20")
    assert lab.json("pod", "add", "web", "--count", "11")["failed"] == {}
    assert {pod["device"] for pod in lab.json("pod", "list")} >= {"eth0", "eth1"}
    lab("agent", "kill", "node1")
    lab("agent", "start", "node1")  # it finds an IMDS that does not know half of its pods' addresses
    assert lab.json("pod", "add", "more", "--count", "1")["failed"] == {}
    addresses = [pod["ip"] for pod in lab.json("pod", "list")]
    assert len(set(addresses)) == 12
    assert lab.json("ping", "--all")["unanswered"] == []
    lab("fault", "clear")
    assert lab("check", "--wait", "60").returncode == 0


def test_an_eni_that_is_taken_away_behind_the_agent_is_noticed_and_made_good(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *env("WARM_IP_TARGET=1", "IP_COOLDOWN_PERIOD=1"))
    lab("pod", "add", "web", "--count", "9")
    on_second = [pod["name"] for pod in lab.json("pod", "list") if pod["device"] == "eth1"]
    assert on_second
    assert "deleted eni-" in lab("fault", "behind", "node1", "delete", "--eni", "eth1").stdout
    assert lab("check", check=False).returncode == 1, "pods were on it"
    for name in on_second:
        lab("pod", "del", name)
    lab("pod", "add", "again", "--count", str(len(on_second)))
    # the agent compares with EC2 once a minute, as the original does (spec 6.9)
    assert lab("check", "--wait", "75").returncode == 0
    assert lab.json("ping", "--all")["unanswered"] == []


def test_changes_behind_the_agent_say_what_was_done_or_why_not(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *env("MINIMUM_IP_TARGET=3", "WARM_IP_TARGET=1"))
    pod = lab.pod("web")
    assert "no secondary ENI" in lab("fault", "behind", "node1", "detach", check=False).stderr
    assert "known: " in lab("fault", "behind", "node1", "detach", "--eni", "eth7", check=False).stderr
    assert "device index 0" in lab("fault", "behind", "node1", "detach", "--eni", "eth0", check=False).stderr
    assert "have no pod" in lab("fault", "behind", "node1", "unassign", "--count", "9", check=False).stderr
    gone = lab("fault", "behind", "node1", "unassign", "--address", pod["ip"]).stdout
    assert gone.startswith(f"unassigned {pod['ip']} from eni-")
    assert pod["ip"] not in json.dumps(lab.json("status")["machines"])
    assert (
        "not on an ENI"
        in lab("fault", "behind", "node1", "unassign", "--address", pod["ip"], check=False).stderr
    )
    assert "assigned 192.168.1." in lab("fault", "behind", "node1", "assign", "--eni", "eth0").stdout


def test_a_subnet_with_few_addresses_left_says_so(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--instance-type", "m5.large", "--free", "12", *env("WARM_IP_TARGET=1"))
    done = json.loads(lab("pod", "add", "web", "--count", "14", "-o", "json", check=False).stdout)
    assert 10 <= done["done"] <= 12  # a second ENI has an address of its own
    assert all("SubnetFull" in reason for reason in done["reasons"])
    [subnet] = [s for s in lab.json("status")["subnets"] if s["cidr"] == "192.168.1.0/24"]
    assert subnet["free"] == 0


def test_metadata_only_asks_ec2_for_nothing_and_takes_what_somebody_else_brings(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--env", "WARM_IP_TARGET=1")
    lab("pod", "add", "a", "--count", "2")
    held = len(lab.json("calls", "--node", "node1"))
    lab("env", "node1", "ENABLE_IMDS_ONLY_MODE=true")
    assert "ProvisioningOff" in lab("pod", "add", "b", "--count", "4", check=False).stdout
    lab("fault", "behind", "node1", "assign", "--eni", "eth0", "--count", "2")
    # long before the next look at metadata, which is a minute after the last
    until(lambda: lab("pod", "add", "more", check=False).returncode == 0, 40)
    assert lab.json("ping", "--all")["unanswered"] == []
    assert len(lab.json("calls", "--node", "node1")) == held


def test_calls_are_told_as_they_were(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "2", "--delays", "real", *env("WARM_IP_TARGET=1"))
    until(lambda: {c["who"] for c in lab.json("calls")} == {"node1", "node2"})
    one = lab.json("calls", "--node", "node2")[0]
    assert (one["who"], one["code"]) == ("node2", "")
    assert 0 < one["seconds"] < 5
    assert abs(one["at"] - time.time()) < 60
    assert lab.json("calls", "--since", "0") == []
    assert "AssignPrivateIpAddresses" in lab("calls").stdout
    assert lab("calls", "--node", "node9", check=False).returncode == 1
    assert vpc_lab("up", "--name", "x", "--fault", "imds=never", check=False).returncode == 2


def test_a_short_soak_ends_with_nothing_leaked(start_lab: StartLab) -> None:
    before = machine_network()
    lab = start_lab("--nodes", "2", "--delays", "real", "--seed", "3", *env("IP_COOLDOWN_PERIOD=5"))
    done = lab("soak", "--minutes", "0.5", "--seed", "3", check=False)
    assert done.returncode == 0, done.stdout
    assert "with no pods: EC2, kernels and checkpoints agree" in done.stdout
    assert machine_network() == before


def test_subnets_of_a_second_block_are_found_by_their_tags(start_lab: StartLab) -> None:
    lab = start_lab(
        *("--nodes", "2", "--secondary-cidr", "100.64.0.0/16", "--extra-subnets", "1"),
        *("--subnet-tag", "kubernetes.io/role/cni=1", "--free", "8"),
        *env("WARM_IP_TARGET=1"),
    )
    as_kubelet(lab, "web", 20, "SubnetFull", 10)
    addresses = [pod["ip"] for pod in lab.json("pod", "list")]
    assert any(address.startswith("100.64.") for address in addresses)
    assert any(address.startswith("192.168.") for address in addresses)
    assert lab.json("ping", "--all")["unanswered"] == []
    assert lab("check", "--wait", "30").returncode == 0
