"""Kernel tests run in a child process with namespaces of its own, as a lab does."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

UNSHARE = (
    *("unshare", "--mount", "--net", "--pid", "--uts", "--fork"),
    *("--propagation", "private", "--mount-proc", "--kill-child"),
)
HERE = Path(__file__).parent


def command(scenario: str, *arguments: str) -> list[str]:
    return [*UNSHARE, sys.executable, "-W", "error", str(HERE / "scenarios" / f"{scenario}.py"), *arguments]


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., str]:
    """Runs tests/fabric/scenarios/NAME.py in a world of its own; what it printed."""

    def run(name: str, *arguments: str) -> str:
        done = subprocess.run(
            command(name, str(tmp_path), *arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            env={**os.environ, "PYTHONPATH": str(HERE / "scenarios")},
        )
        assert done.returncode == 0, done.stderr[-6000:] + done.stdout[-2000:]
        return done.stdout

    return run
