"""Starting and ending a lab from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from vpclab.lab.state import LabError, LabState

TOOLS = ("ip", "nft", "iptables", "iptables-save", "iptables-restore", "nsenter", "setpriv")


def must_be_able() -> None:
    """Raises LabError if this machine or this user cannot run a lab."""
    if os.geteuid() != 0:
        raise LabError("a lab makes network namespaces: run it as root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(
            f"not installed: {', '.join(missing)}; on Debian: apt-get install iproute2 nftables iptables util-linux"
        )


def up(
    name: str,
    nodes: int,
    instance_type: str,
    env: Mapping[str, str],
    delays: str,
    progress: Callable[[str], None],
) -> LabState:
    """Start a lab and wait until it is ready. Raises LabError, and then nothing is left of it."""
    must_be_able()
    state = LabState(name)
    state.claim()
    asked = {"name": name, "nodes": nodes, "instanceType": instance_type, "env": dict(env), "delays": delays}
    try:
        _start(state, json.dumps(asked), progress)
    except BaseException:
        state.remove()
        raise
    return state


def _start(state: LabState, asked: str, progress: Callable[[str], None]) -> None:
    with state.log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "vpclab.lab.daemon", asked],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    # until the daemon has written its own pid, this one is what `down` must end
    state.write_pid(daemon.pid, unless_known=True)
    if daemon.stdout is None:
        raise LabError("no pipe to the daemon")
    with daemon.stdout:
        for line in daemon.stdout:
            said = json.loads(line)
            if "progress" in said:
                progress(said["progress"])
            if "error" in said:
                raise LabError(f"lab {state.name} did not come up: {said['error']}")
            if said.get("ready"):
                return
    text = state.log.read_text(errors="replace").strip().splitlines()[-5:]
    raise LabError(f"lab {state.name} ended while it was coming up:\n" + "\n".join(text))


def enter_command(state: LabState, way: Mapping[str, int]) -> list[str]:
    """The start of a command line that runs inside a part of the lab."""
    pid = state.pid()
    if pid is None:
        raise LabError(f"lab {state.name} is not running")
    fds = f"/proc/{pid}/fd"
    return [
        "nsenter",
        f"--net={fds}/{way['net']}",
        f"--mount={fds}/{way['mount']}",
        f"--uts={fds}/{way['uts']}",
        f"--pid=/proc/{pid}/ns/pid",
        "--",
    ]
