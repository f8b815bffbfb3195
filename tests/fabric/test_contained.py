"""Two labs side by side; the machine does not notice."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

Lab = subprocess.Popen[str]

MACHINE = (
    ("ip", "rule"),
    ("ip", "route", "show", "table", "all"),
    ("ip", "-br", "link"),
    ("nft", "list", "ruleset"),
    ("iptables-save",),
    ("cat", "/proc/sys/net/ipv4/ip_forward"),
)


def machine() -> list[list[str]]:
    shown = [subprocess.run(line, capture_output=True, text=True, check=True).stdout for line in MACHINE]
    return [[line for line in text.splitlines() if not line.startswith("#")] for text in shown]


def test_two_fabrics_at_once_leave_the_machine_alone(
    begin: Callable[..., Lab], end: Callable[[Lab], None], tmp_path: Path
) -> None:
    before = machine()
    labs = [begin("alone"), begin("alone")]
    for lab in labs:
        assert lab.stdout is not None
        assert lab.stdout.readline() == "up\n"
    assert machine() == before
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    for lab in labs:
        end(lab)
    assert machine() == before
