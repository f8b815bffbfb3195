"""What the lab promises, with packets."""

import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab, vpc_lab
from tests.lab.waiting import until
from vpclab.demo.eyes import machine_network
from vpclab.lab.state import LabError, LabState

pytestmark = pytest.mark.lab


def alive(pid: int | None) -> bool:
    """Whether it runs; one that only waits for init to take note of its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def serves(lab: LabUnderTest, pod: str) -> bool:
    """Whether the agent answers again."""
    try:
        lab.eyes.ask("pod-check", name=pod)
    except LabError as error:
        assert "AgentUnreachable" in str(error)  # noqa: PT017 -- any other error is not awaited
        return False
    return True


def traces(lab: LabUnderTest, node: str) -> dict[str, set[str]]:
    """What a node's kernel has of pods: addresses of rules and routes, and host veths."""
    rules = lab.eyes.run(node, "ip", "rule").splitlines()
    to_pods = {line.split()[4] for line in rules if line.startswith("512:")}
    from_pods = {line.split()[2] for line in rules if line.startswith("1536:")}
    routes = lab.eyes.run(node, "ip", "route").splitlines()
    links = lab.eyes.json(node, "ip", "-j", "link")
    return {
        "to": to_pods,
        "from": from_pods,
        "routes": {line.split()[0] for line in routes if " dev eni" in line},
        "links": {link["ifname"] for link in links if link["ifname"].startswith(("eni", "gone"))},
    }


def test_a_lab_from_up_to_down_leaves_the_machine_as_it_was(start_lab: StartLab) -> None:
    before = machine_network()
    lab = start_lab()
    a, b = lab.pod("a", "--node", "node1"), lab.pod("b", "--node", "node2", "--namespace", "other")
    assert lab.json("pod", "list") == [a, b]
    assert a["ip"].startswith("192.168.1.")
    assert b["ip"].startswith("192.168.2.")
    assert lab("exec", "a", "--", "ping", "-c", "1", "-W", "2", b["ip"]).returncode == 0
    assert lab("exec", "other/b", "--", "ping", "-c", "1", "-W", "2", a["ip"]).returncode == 0
    assert lab("exec", "a", "--", "sh", "-c", "exit 7", check=False).returncode == 7
    assert "up" in lab("status").stdout
    status = lab.json("status")
    assert [m["name"] for m in status["machines"]] == ["bastion", "node1", "node2", "node3"]
    assert status["machines"][0]["privateIp"] == "192.168.1.100"
    # security groups: the node group lets nothing in from the bastion
    assert (
        lab("exec", "bastion", "--", "ping", "-c", "1", "-W", "1", "192.168.1.4", check=False).returncode == 1
    )
    other = start_lab("--nodes", "1")  # beside it, with the same addresses
    assert other.pod("a")["ip"] == a["ip"]
    assert machine_network() == before
    for name in (lab.name, other.name):
        pid = LabState(name).pid()
        vpc_lab("down", "--name", name)
        assert not alive(pid)
    assert machine_network() == before


def test_unknown_names_are_told_what_there_is(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1")
    lab.pod("web")
    for arguments, words in (
        (("exec", "nobody", "--", "true"), "known: bastion, default/web, igw, internet, node1, router"),
        (("pod", "add", "x", "--node", "node9"), "there is no node node9; known: node1"),
        (("pod", "del", "x"), "there is no pod x; known: default/web"),
        (("pod", "add", "web"), "pod default/web is running or coming up already"),
        (("agent", "kill", "node9"), "known: node1"),
    ):
        done = lab(*arguments, check=False)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    missing = vpc_lab("status", "--name", "no-such-lab", check=False)
    assert missing.returncode == 1
    assert lab.name in missing.stderr
    again = vpc_lab("up", "--name", lab.name, check=False)
    assert (again.returncode, "is running" in again.stderr) == (1, True)
    assert vpc_lab("up", "--name", "x", "--env", "NOVALUE", check=False).returncode == 2
    assert "t3.medium" in vpc_lab("up", "--name", "x", "--instance-type", "t9.huge", check=False).stderr
    assert vpc_lab("up", "--name", "../x", check=False).returncode == 1


def test_a_restarted_agent_is_not_noticed_by_pods(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "2", "--env", "MINIMUM_IP_TARGET=10")
    pods = [lab.pod(f"p{n}", "--node", "node1") for n in range(8)]  # on both ENIs
    far = lab.pod("far", "--node", "node2")
    assert {p["device"] for p in pods} == {"eth0", "eth1"}
    on_second = next(p for p in pods if p["device"] == "eth1")
    watched = (("ip", "rule"), ("ip", "-4", "route", "show", "table", "all"), ("iptables-save", "-t", "nat"))
    before = [strip(lab.eyes.run("node1", *command)) for command in watched]
    pings = lab.eyes.command(on_second["name"], "ping", "-i", "0.05", "-c", "100", "-W", "1", far["ip"])
    with (
        lab.eyes.background("node1", "ip", "-o", "monitor", "rule", "route", "address", "link") as monitor,
        subprocess.Popen(pings, stdout=subprocess.PIPE, text=True) as ping,
    ):
        lab("agent", "kill", "node1")
        lab("agent", "start", "node1")
        lab("agent", "restart", "node1")
        extra = lab.pod("extra", "--node", "node1")  # and it serves again
        said = ping.communicate(timeout=60)[0]
        assert monitor.wait_for(extra["ip"])
        seen = monitor.lines
    assert "100 packets transmitted, 100 received, 0% packet loss" in said
    strangers = [line for line in seen if extra["ip"] not in line and extra["hostVeth"] not in line]
    assert [line for line in strangers if "Deleted" in line and ("lookup" in line or "eth" in line)] == []
    lab("pod", "del", "extra")
    assert [strip(lab.eyes.run("node1", *command)) for command in watched] == before
    assert lab.json("pod", "list")[:8] == pods
    for pod in pods:
        lab.eyes.ask("pod-check", name=pod["name"])


def strip(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if not line.startswith(("#", ":")))


def test_an_agent_killed_in_the_middle_of_twenty_adds_leaves_no_trace_of_it(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--instance-type", "m5.xlarge", "--env", "MINIMUM_IP_TARGET=30")
    until(lambda: sum(len(e["secondary"]) for e in lab.json("status")["machines"][1]["enis"]) >= 30)

    def add(number: int) -> dict[str, Any]:
        found: dict[str, Any] = lab.eyes.ask("pod-add", name=f"p{number}", namespace="default", node="node1")
        return found

    with ThreadPoolExecutor(20) as callers:
        adding = [callers.submit(add, number) for number in range(20)]
        until(lambda: len(traces(lab, "node1")["links"]) >= 3)
        lab.eyes.ask("agent-kill", node="node1", signal=int(signal.SIGKILL), start=False)
        lab.eyes.ask("agent-start", node="node1")
        pods = [future.result(timeout=90) for future in adding]
    addresses = [pod["ip"] for pod in pods]
    assert len(set(addresses)) == 20, "one address, two pods"
    left = traces(lab, "node1")
    assert left["routes"] == set(addresses)
    assert left["to"] == set(addresses), lab.eyes.run(
        "node1", "tail", "-60", "/var/log/aws-routed-eni/ipamd.log"
    )
    assert left["links"] == {pod["hostVeth"] for pod in pods}
    assert left["from"] == {pod["ip"] for pod in pods if pod["device"] != "eth0"}
    until(lambda: serves(lab, pods[0]["name"]))  # the ADDs may all have been over when it was killed
    for pod in pods:
        lab.eyes.ask("pod-check", name=pod["name"])
        assert lab.eyes.pings(pod["name"], pods[0]["ip"])
    for pod in pods:
        lab.eyes.ask("pod-del", name=pod["name"])
    until(lambda: traces(lab, "node1") == {"to": set(), "from": set(), "routes": set(), "links": set()})
    assert lab.pod("after")["ip"]


def test_a_pod_deleted_while_the_agent_is_away_is_forgotten_when_it_is_back(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1")
    pod = lab.pod("web")
    lab("agent", "kill", "node1")
    lab("pod", "del", "web")  # succeeds: kubelet must not hang on it
    notes = ("ls", "/var/run/aws-node/pending-del")
    assert lab.eyes.run("node1", *notes).strip()
    assert pod["ip"] in traces(lab, "node1")["to"]
    lab("agent", "start", "node1")
    until(lambda: not lab.eyes.run("node1", *notes).strip())
    until(lambda: pod["ip"] not in traces(lab, "node1")["to"] | traces(lab, "node1")["routes"])
    assert lab.pod("next")["ip"] != pod["ip"], "it cools"


def test_a_pod_beyond_the_types_limit_is_told_why_and_what_to_do(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--instance-type", "t3.nano", "--env", "IP_COOLDOWN_PERIOD=1")
    lab.pod("one")
    lab.pod("two")
    done = lab("pod", "add", "three", check=False)
    assert done.returncode == 1
    assert "failed to assign an IP address to container: EniLimit: 2 of 2 ENIs" in done.stderr
    assert "ENABLE_PREFIX_DELEGATION" in done.stderr
    log = lab.eyes.run("node1", "cat", "/var/log/aws-routed-eni/plugin.log")
    assert all({"level", "ts", "caller", "msg"} <= json.loads(line).keys() for line in log.splitlines())
    metrics = lab.eyes.run("node1", "curl", "-s", "http://127.0.0.1:61678/metrics")
    assert 'vpccni_refusals_total{reason="EniLimit"} 1\n' in metrics
    assert "awscni_assigned_ip_addresses 2\n" in metrics
    lab("pod", "del", "one")
    assert lab.pod("three")["ip"]  # waits out the cooldown


def test_with_ec2s_delays_an_add_on_an_empty_pool_waits_instead_of_failing(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", "--delays", "real", "--env", "WARM_IP_TARGET=1")
    with ThreadPoolExecutor(8) as callers:
        asked = [
            callers.submit(lab.eyes.ask, "pod-add", name=f"p{n}", namespace="default", node="node1")
            for n in range(8)
        ]
        assert len({future.result(timeout=60)["ip"] for future in asked}) == 8


def test_a_lab_left_by_a_killed_up_is_found_and_removed() -> None:
    before = machine_network()
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    up = subprocess.Popen(
        [sys.executable, "-m", "vpclab", "up", "--name", name, "--nodes", "3"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert up.stdout is not None
    with up.stdout:
        up.stdout.readline()  # half-way: the router is there
    up.kill()
    up.wait()
    pid = LabState(name).pid()
    assert pid is not None
    vpc_lab("down", "--name", name)
    assert not LabState(name).directory.exists()
    assert not alive(pid)
    assert machine_network() == before


def test_the_demo_proves_every_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vpclab", "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert "checks held" in done.stdout
