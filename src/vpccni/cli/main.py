"""`vpc-cni`: the commands, each loaded when the group is."""

from __future__ import annotations

from vpccni.cli.base import main
from vpccni.cli.doctor import command as _doctor
from vpccni.cli.trace import command as _trace

__all__ = ["main"]
COMMANDS = (_doctor, _trace)
"""Loading a module puts its command into the group; what a command needs is loaded when it runs."""
