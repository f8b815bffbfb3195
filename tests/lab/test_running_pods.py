"""Pods that talk while the agent ends, comes back, and changes what it makes of the host: they lose nothing."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import LabUnderTest, StartLab

pytestmark = pytest.mark.lab

ECHO = str(Path(__file__).with_name("echo.py"))
PORT = "7007"
INTERNET = "198.51.100.10"
EVERY = "0.02"
LONGEST = 1.0
"""Seconds; TCP sends a lost segment again after 0.2, so more than one lost in a row would be seen here."""


@contextmanager
def running(lab: LabUnderTest, pod: str, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A command in a pod, interrupted at the end."""
    line = [sys.executable, "-m", "vpclab", "exec", "--name", lab.name, pod, "--", *command]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                _interrupt(process)


def ends(process: "subprocess.Popen[str]") -> str:
    _interrupt(process)
    said, _ = process.communicate(timeout=60)
    return said


def _interrupt(process: "subprocess.Popen[str]") -> None:
    """As Ctrl-C does: all that the terminal runs, for `exec` leaves it to the command."""
    os.killpg(process.pid, signal.SIGINT)


def restart(lab: LabUnderTest) -> None:
    lab("agent", "kill", "node1")
    lab("agent", "start", "node1")
    lab.pod("between", "--node", "node1")
    lab("agent", "restart", "node1")
    assert lab("check", "--wait", "30").returncode == 0


def layouts(lab: LabUnderTest) -> None:
    lab("env", "node1", "VPC_CNI_RULES=compact")
    assert lab("check", "--wait", "30").returncode == 0
    lab("env", "node1", "VPC_CNI_RULES=compatible")
    assert lab("check", "--wait", "30").returncode == 0


def snat_modes(lab: LabUnderTest) -> None:
    for change in (
        "AWS_VPC_K8S_CNI_RANDOMIZESNAT=none",
        "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS=10.99.0.0/16",
        "AWS_VPC_K8S_CNI_EXTERNALSNAT=true",
        "AWS_VPC_K8S_CNI_EXTERNALSNAT=false",
    ):
        lab("env", "node1", change)
        assert lab("check", "--wait", "30").returncode == 0


@pytest.mark.parametrize("change", [restart, layouts, snat_modes])
def test_running_pods_lose_no_packet_to_a_change_of_the_agent(
    start_lab: StartLab, change: Callable[[LabUnderTest], None]
) -> None:
    lab = start_lab("--nodes", "2", "--env", "WARM_ENI_TARGET=1")
    lab("pod", "add", "fill", "--count", "6", "--node", "node1")
    near = lab.pod("near", "--node", "node1")
    far = lab.pod("far", "--node", "node2")
    lab("pod", "del", "fill", "--count", "6")
    assert "1536:" in lab("exec", "node1", "--", "ip", "rule", "show", "from", near["ip"]).stdout, (
        "second ENI"
    )
    with ExitStack() as stack:

        def run(pod: str, *command: str) -> "subprocess.Popen[str]":
            return stack.enter_context(running(lab, pod, *command))

        pings = {
            way: run(pod, "stdbuf", "-oL", "ping", "-i", EVERY, to)
            for way, pod, to in (
                ("out", "near", far["ip"]),
                ("in", "far", near["ip"]),
                ("internet", "near", INTERNET),
            )
        }
        run("far", sys.executable, ECHO, "serve", PORT)
        run("near", sys.executable, ECHO, "serve", PORT)
        for process in pings.values():
            assert process.stdout is not None
            assert any("bytes from" in line for line in process.stdout)
        streams = {
            "out": run("near", sys.executable, ECHO, "talk", far["ip"], PORT),
            "in": run("far", sys.executable, ECHO, "talk", near["ip"], PORT),
        }
        for process in streams.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
        change(lab)
        lost = {way: _lost(ends(process)) for way, process in pings.items()}
        told: dict[str, dict[str, Any]] = {way: json.loads(ends(p)) for way, p in streams.items()}
    assert lost == {"out": 0, "in": 0, "internet": 0}
    assert all(one["sent"] > 50 and one["longest"] < LONGEST for one in told.values()), told


def _lost(said: str) -> int:
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    assert counts, said
    assert int(counts[1]) > 50, said
    return max(0, int(counts[1]) - int(counts[2]) - 1)  # the last one may have been on its way
