"""Packets through a real kernel; each scenario has a lab's namespaces for itself (scenarios/NAME.py)."""

import subprocess
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.kernel

Lab = subprocess.Popen[str]


@pytest.mark.parametrize("name", ["delivery", "source_check", "internet", "groups", "hotplug", "ipv6"])
def test_scenario(begin: Callable[..., Lab], end: Callable[[Lab], None], name: str) -> None:
    end(begin(name))
