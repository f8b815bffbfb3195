"""A pod that has no address for a real reason: `vpc-cni explain` names it and says what to do, after a restart, too."""

import json
import subprocess
import sys

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from vpccni.ipam.reasons import Reason

pytestmark = pytest.mark.lab


def explain(lab: LabUnderTest, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vpccni.cli", "explain", *arguments]
    return lab("exec", "node1", "--", *command, check=False)


def env(*pairs: str) -> tuple[str, ...]:
    return tuple(word for pair in pairs for word in ("--env", pair))


@pytest.mark.parametrize(
    ("reason", "up", "fault", "pods"),
    [
        (Reason.SUBNET_FULL, ("--free", "4", *env("WARM_IP_TARGET=1")), "", 6),
        (Reason.ENI_LIMIT, env("MAX_ENI=1"), "", 6),
        (Reason.NOT_AUTHORISED, (), "error:*=UnauthorizedOperation", 1),
        (Reason.THROTTLED, (), "error:*=RequestLimitExceeded", 1),
        (Reason.EC2_ERROR, (), "error:*=InternalError", 1),
        (Reason.PROVISIONING_OFF, env("DISABLE_NETWORK_RESOURCE_PROVISIONING=true"), "", 1),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_each_reason_is_named_with_what_to_do(
    start_lab: StartLab, reason: Reason, up: tuple[str, ...], fault: str, pods: int
) -> None:
    faults = ("--fault", fault) if fault else ()
    lab = start_lab("--nodes", "1", *up, *faults)
    done = json.loads(lab("pod", "add", "web", "--count", str(pods), "-o", "json", check=False).stdout)
    [refused] = list(done["failed"])[:1]
    for _ in range(2):
        told = explain(lab, refused, "-o", "json")
        assert told.returncode == 1, told.stdout + told.stderr
        story = json.loads(told.stdout)
        assert reason.value in {each["reason"] for each in story["advice"]}, story
        assert any(each["do"] == reason.advice for each in story["advice"])
        assert any(refused in each["what"] for each in story["decisions"])
        lab("agent", "restart", "node1")
    assert f"{reason.value}: " in explain(lab, refused).stdout


def test_a_node_and_a_subnet_are_explained(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "1", *env("ENABLE_PREFIX_DELEGATION=true", "WARM_PREFIX_TARGET=1"))
    lab.pod("web")
    node = explain(lab)
    assert node.returncode == 0, node.stdout
    assert "what was decided" in node.stdout
    web = explain(lab, "web")
    assert (web.returncode, "it has 192.168.1." in web.stdout) == (0, True)
    [subnet] = [s for s in lab.json("status")["subnets"] if s["cidr"] == "192.168.1.0/24"]
    found = json.loads(explain(lab, subnet["id"], "-o", "json").stdout)
    assert found["free"] == found["available"] == subnet["free"]
    assert found["blocks"].count("P") == found["prefixes"] > 0
    assert "create-subnet-cidr-reservation" in found["advice"][0]
    assert explain(lab, "subnet-0123456789abcdef0").returncode == 2
