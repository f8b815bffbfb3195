"""What `vpc-cni doctor` and `vpc-cni trace` say on real nodes, beside what is so."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from vpclab.fabric.internet import CHECKIP

pytestmark = pytest.mark.lab


@pytest.fixture
def lab(start_lab: StartLab) -> LabUnderTest:
    return start_lab()


def doctor(lab: LabUnderTest, *options: str) -> "subprocess.CompletedProcess[str]":
    return lab("exec", "node1", "--", sys.executable, "-m", "vpccni.cli", "doctor", *options, check=False)


def named(done: "subprocess.CompletedProcess[str]") -> set[str]:
    return {each["check"] for each in json.loads(done.stdout)["findings"] if each["severity"] != "note"}


def trace(lab: LabUnderTest, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab("trace", *arguments, "-o", "json", check=False).stdout)
    return found


def test_the_doctor_finds_nothing_on_a_healthy_node_and_names_what_breaks_it(lab: LabUnderTest) -> None:
    lab.pod("web", "--node", "node1")
    healthy = doctor(lab)
    assert healthy.returncode == 0, healthy.stdout
    node = lab.eyes
    node.run("node1", "sysctl", "-qw", "net.ipv4.ip_forward=0")
    node.run("node1", "chmod", "644", "/opt/cni/bin/aws-cni")
    done = doctor(lab, "-o", "json")
    assert done.returncode == 1
    assert named(done) == {"ip-forward", "plugins"}, done.stdout
    doctor(lab, "--fix")
    assert named(doctor(lab, "-o", "json")) == {"ip-forward"}, "which is the image's, not ours"
    node.run("node1", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    assert doctor(lab).returncode == 0


def test_a_bundle_of_a_node_is_small_and_says_what_the_node_says(lab: LabUnderTest, tmp_path: Path) -> None:
    lab.pod("web", "--node", "node1")
    file = tmp_path / "node1.tar.gz"

    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return lab("exec", "node1", "--", sys.executable, "-m", "vpccni.cli", *arguments, check=False)

    made = ask("bundle", str(file))
    assert made.returncode == 0, made.stderr
    assert "Nothing wrong was found." in made.stdout
    assert file.stat().st_size < 200_000
    for command in (("pods", "-o", "json"), ("explain", "web")):
        assert ask(*command, "--from", str(file)).stdout == ask(*command).stdout
    assert "agent/v2/status.json" not in made.stdout, "it was had"


def test_a_traced_packet_is_seen_at_every_step_and_the_far_end_sees_what_was_foretold(
    lab: LabUnderTest,
) -> None:
    pods = {
        name: lab.pod(name, "--node", node) for name, node in (("a", "node1"), ("b", "node1"), ("c", "node2"))
    }
    for source, target in (("a", pods["b"]["ip"]), ("a", pods["c"]["ip"]), ("node1", pods["a"]["ip"])):
        found = trace(lab, source, target, "--send")
        assert found["outcome"] == "delivered"
        assert found["answer"] == "answered"
        looked = [step["seen"] for step in found["steps"] if step["capture"] is not None]
        assert looked, "somewhere it was looked for"
        assert all(looked), found
    out = trace(lab, "a", f"{CHECKIP}:80", "--send")
    assert out["answer"] == "answered"
    assert all(step["seen"] is not False for step in out["steps"]), out
    told = lab("exec", "a", "--", "curl", "-sS", "-m", "5", f"http://{CHECKIP}/").stdout.strip()
    assert out["seenSource"] == told, "the far end's own word for it"


def test_a_packet_that_is_lost_is_foretold_and_is_not_seen_beyond(lab: LabUnderTest) -> None:
    pod = lab.pod("a", "--node", "node1")
    nobody = trace(lab, "a", "192.168.3.250:80", "--send")
    assert nobody["outcome"] == "lost"
    assert nobody["answer"] != "answered"
    lab.eyes.run("node1", "iptables", "-I", "FORWARD", "-s", pod["ip"], "-j", "DROP")
    dropped = trace(lab, "a", f"{CHECKIP}:80", "--send")
    assert dropped["outcome"] == "lost"
    assert "FORWARD" in dropped["steps"][-1]["why"][-1]
    assert dropped["answer"] == "no answer"
    assert [step["seen"] for step in dropped["steps"] if step["capture"] is not None] == [True, True]


@pytest.mark.parametrize("layout", ["compatible", "compact"])
def test_status_and_pods_tell_what_the_lab_knows(start_lab: StartLab, layout: str) -> None:
    lab = start_lab("--nodes", "1", "--env", f"VPC_CNI_RULES={layout}")
    lab("pod", "add", "web", "--count", "7")
    wanted = {f"default/{pod['name']}": (pod["ip"], pod["hostVeth"]) for pod in lab.json("pod", "list")}

    def cli(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return lab("exec", "node1", "--", sys.executable, "-m", "vpccni.cli", *arguments, check=False)

    listed = cli("pods", "-o", "json")
    assert listed.returncode == 0, listed.stdout
    assert {row["pod"]: (row["address"], row["veth"]) for row in json.loads(listed.stdout)} == wanted
    assert {row["table"] for row in json.loads(listed.stdout)} == {254, 2}
    status = cli("status")
    assert status.returncode == 0, status.stdout
    cells = "".join(line.split()[-1] for line in status.stdout.splitlines() if line.startswith("  eth"))
    assert cells.count("#") == 7
    [node] = [machine for machine in lab.json("status")["machines"] if "agent" in machine]
    assert {eni["id"] for eni in node["enis"]} == {
        eni["id"] for eni in json.loads(cli("status", "-o", "json").stdout)["pools"][0]["enis"]
    }
