"""Packets on every way out of a VPC and into it (scenarios/NAME.py)."""

import subprocess
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.kernel

Lab = subprocess.Popen[str]


@pytest.mark.parametrize("name", ["paths_table", "gateways", "balancer"])
def test_scenario(begin: Callable[..., Lab], end: Callable[[Lab], None], name: str) -> None:
    end(begin(name))
