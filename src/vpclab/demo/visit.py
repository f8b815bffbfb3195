"""Corners of a running lab as places in which this process may act: functions, sockets and captures there."""

from __future__ import annotations

import os

from vpclab.demo.eyes import Eyes
from vpclab.fabric.namespaces import Namespaces, Place
from vpclab.lab.state import LabError


def visit(eyes: Eyes, name: str) -> Place:
    """A machine, a pod or a part of the fabric; whoever asks closes it. Raises LabError."""
    way = eyes.ask("way-in", name=name)
    pid = eyes.state.pid()
    if pid is None:
        raise LabError(f"lab {eyes.state.name} is not running")
    net, mount, uts = (
        os.open(f"/proc/{pid}/fd/{way[kind]}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mount", "uts")
    )
    return Place(name, Namespaces(net, mount, uts))
