"""`vpc-cni`: the commands, each loaded when the group is."""

from __future__ import annotations

from vpccni.cli import max_pods as _max_pods
from vpccni.cli.base import main
from vpccni.cli.bundle import command as _bundle
from vpccni.cli.doctor import command as _doctor
from vpccni.cli.explain import command as _explain
from vpccni.cli.pods import command as _pods
from vpccni.cli.status import command as _status
from vpccni.cli.trace import command as _trace

__all__ = ["main"]
COMMANDS = (_bundle, _doctor, _explain, _max_pods, _pods, _status, _trace)
"""Loading a module puts its command into the group; what a command needs is loaded when it runs."""
