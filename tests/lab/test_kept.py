"""A lab that was stopped, or whose process was killed, comes back: the same IDs, addresses, stacks, settings."""

import contextlib
import json
import os
import signal
import time
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab
from vpclab.lab.state import LabState

pytestmark = pytest.mark.lab
PATIENCE = 60.0


def cloud_of(lab: LabUnderTest) -> dict[str, Any]:
    """What must be the same."""
    status = lab.json("status")
    machines = [
        {key: machine[key] for key in ("name", "instanceId", "type", "zone", "privateIp", "publicIp")}
        | {"enis": [(eni["id"], eni["device"], eni["primary"]) for eni in machine["enis"]]}
        for machine in status["machines"]
    ]
    return {"subnets": [one["id"] for one in status["subnets"]], "machines": machines, "api": status["api"]}


def killed(lab: LabUnderTest) -> None:
    pid = LabState(lab.name).pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while LabState(lab.name).pid() is not None:
        assert time.monotonic() < deadline, "the kernel ends it"
        time.sleep(0.05)


def test_ids_addresses_and_settings_outlive_the_labs_process(start_lab: StartLab) -> None:
    lab = start_lab("--nodes", "2", "--env", "WARM_IP_TARGET=3")
    lab.pod("web", "--node", "node1")
    lab("env", "node2", "WARM_IP_TARGET=1")
    lab("fault", "add", "imds=1")
    lab("check", "--wait", "60")
    before = cloud_of(lab)

    lab("stop")
    refused = lab("pod", "list", check=False)
    assert refused.returncode != 0
    assert "vpc-lab start" in refused.stderr
    assert "was stopped" in lab("up", check=False).stderr
    lab("start")
    assert cloud_of(lab) == before
    assert lab.json("pod", "list") == [], "they were on machines that lost power"
    environments = {
        machine["name"]: machine["agent"]["env"]["WARM_IP_TARGET"]
        for machine in lab.json("status")["machines"]
        if "agent" in machine
    }
    assert environments == {"node1": "3", "node2": "1"}
    assert [one["fault"] for one in json.loads(lab("fault", "list", "-o", "json").stdout)] == ["imds=1"]
    again = lab.pod("web", "--node", "node1")
    assert lab("exec", "web", "--", "ping", "-c", "1", "-W", "5", "192.168.1.100").returncode == 0, again

    # what was answered before the process was killed is known after it
    lab("node", "add")
    added = cloud_of(lab)
    assert len(added["machines"]) == len(before["machines"]) + 1
    killed(lab)
    lab("start")
    assert cloud_of(lab) == added
    lab("check", "--wait", "60")
    with contextlib.suppress(FileNotFoundError):
        assert "Traceback" not in LabState(lab.name).log.read_text()
