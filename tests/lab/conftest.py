"""Whole labs, by the command line that people use."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from vpclab.demo.eyes import Eyes
from vpclab.lab.state import LabState


def vpc_lab(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-m", "vpclab", *arguments], capture_output=True, text=True, check=False, timeout=280
    )
    assert not check or done.returncode == 0, f"vpc-lab {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done


@dataclass
class LabUnderTest:
    """A lab that is up."""

    name: str

    @property
    def eyes(self) -> Eyes:
        return Eyes(LabState(self.name))

    def __call__(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        # the option stands before the arguments that belong to a command inside
        words = 2 if arguments[0] in {"pod", "agent", "fault", "node"} else 1
        return vpc_lab(*arguments[:words], "--name", self.name, *arguments[words:], check=check)

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "-o", "json").stdout)

    def pod(self, name: str, *options: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("pod", "add", name, *options, "-o", "json").stdout)
        return found


StartLab = Callable[..., LabUnderTest]


@pytest.fixture
def start_lab() -> Iterator[StartLab]:
    """Brings labs up, without EC2's delays unless asked, and takes them down."""
    started: list[str] = []

    def start(*options: str) -> LabUnderTest:
        name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        started.append(name)
        vpc_lab("up", "--name", name, "--delays", "none", *options)
        return LabUnderTest(name)

    yield start
    for name in started:
        vpc_lab("down", "--name", name)
        assert not LabState(name).directory.exists()
