"""Kernel tests run in a child process with namespaces of its own, as a lab does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

UNSHARE = (
    *("unshare", "--mount", "--net", "--pid", "--uts", "--fork"),
    *("--propagation", "private", "--mount-proc", "--kill-child"),
)
HERE = Path(__file__).parent

Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts tests/fabric/scenarios/NAME.py in a world of its own, with a directory for its nodes."""
    begun: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str) -> "subprocess.Popen[str]":
        root = tmp_path / str(len(begun))
        root.mkdir()
        script = str(HERE / "scenarios" / f"{name}.py")
        begun.append(
            subprocess.Popen(
                (*UNSHARE, sys.executable, "-W", "error", script, str(root), *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
            )
        )
        return begun[-1]

    yield start
    for lab in begun:
        lab.kill()  # --kill-child takes everything inside along
        lab.communicate()


@pytest.fixture
def end() -> Callable[["subprocess.Popen[str]"], None]:
    """Tells a scenario that waits for a line to go on, and sees it through."""

    def finish(lab: "subprocess.Popen[str]") -> None:
        said, errors = lab.communicate("\n", timeout=100)
        assert lab.returncode == 0, errors[-6000:] + said[-2000:]

    return finish
