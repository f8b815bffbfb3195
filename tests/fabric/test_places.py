import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vpclab.fabric import Namespaces

pytestmark = pytest.mark.kernel

Lab = subprocess.Popen[str]


def test_places(begin: Callable[..., Lab], end: Callable[[Lab], None]) -> None:
    end(begin("places"))


def test_somebody_outside_comes_in(begin: Callable[..., Lab], end: Callable[[Lab], None]) -> None:
    lab = begin("places", "wait")
    assert lab.stdout is not None
    namespaces = Namespaces(*map(int, lab.stdout.readline().split()))
    # The lab is the child of unshare; from here its PID is another one than it thinks.
    (pid,) = Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()
    script = "hostname; cat /etc/hostname; ls /sys/class/net; readlink /proc/self/ns/pid"
    inside = subprocess.run(
        (*namespaces.nsenter(int(pid)), "sh", "-c", script), capture_output=True, text=True, check=True
    )
    lab_pids = str(Path(f"/proc/{pid}/ns/pid").readlink())
    assert inside.stdout.split() == ["node-1", "node-1", "lo", lab_pids]
    end(lab)
