"""Starting and ending a lab from outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from vpclab.eks.versions import VERSIONS
from vpclab.lab.kept import KeptLab
from vpclab.lab.settings import REGION, LabSettings
from vpclab.lab.state import LabError, LabState, must_be_root

TOOLS: Mapping[str, str] = {
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "iptables-save": "iptables",
    "iptables-restore": "iptables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""What a lab runs, and the Debian package that has it."""


def must_be_able(tools: Mapping[str, str] = TOOLS) -> None:
    """Raises LabError if this user or this machine cannot run a lab."""
    must_be_root()
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({tools[tool] for tool in missing}))
        raise LabError(f"not installed: {', '.join(missing)}; on Debian: apt-get install {packages}")


def up(
    name: str,
    nodes: int,
    instance_type: str,
    env: Mapping[str, str],
    delays: str,
    progress: Callable[[str], None],
) -> LabState:
    """`start` for the settings that matter most; `delays` is "real" or "none"."""
    return start(LabSettings(name, nodes, instance_type, env, real_delays=delays == "real"), progress)


def start(settings: LabSettings, progress: Callable[[str], None]) -> LabState:
    """Start a lab and wait until it is ready; `progress` is told each step, in words.

    Raises:
        LabError: it did not come up; nothing is left of it. The same holds for any other exception.
    """
    must_be_able()
    settings.check()
    if settings.kubernetes:
        # here, where the machine's network is: what is not made yet may have to be fetched
        from vpclab.kubernetes.supplies import gather  # noqa: PLC0415 -- other labs do without

        supplies = gather(settings.name, REGION, settings.kubernetes_bin, progress)
        settings = _of_version(settings, supplies.binaries.version())
    state = LabState(settings.name)
    state.claim()
    try:
        _start(state, settings.to_json(), progress)
    except BaseException:
        state.remove()
        raise
    return state


def _of_version(settings: LabSettings, version: str) -> LabSettings:
    """EKS says of its cluster the version that runs, like v1.30.14, unless somebody else says what it is to say."""
    minor = ".".join(version.removeprefix("v").split(".")[:2])
    if settings.template is not None or settings.empty or minor not in VERSIONS:
        return settings
    return replace(settings, parameters={"KubernetesVersion": minor, **settings.parameters})


def resume(name: str, progress: Callable[[str], None], api_port: int | None = None) -> LabState:
    """Start a lab that was stopped, or whose process was killed: the region is as it was, its machines boot.

    `api_port`: where AWS's API answers from now on (0: anywhere); None: where it did.

    Raises:
        LabError: there is none, it runs, or it did not come up; then what was kept of it is still there.
    """
    must_be_able()
    state = LabState(name)
    if state.pid() is not None:
        raise LabError(f"lab {name} is running")
    if not state.directory.is_dir():
        raise LabError(f"there is no lab {name}: vpc-lab up --name {name} makes one")
    settings = LabSettings.from_json(KeptLab(state.directory).settings())
    if settings.kubernetes:
        raise LabError(
            "a lab with Kubernetes is not kept: its etcd is in memory, and so its objects are gone. "
            f"vpc-lab down --name {name}, and up again"
        )
    if api_port is not None:
        settings = replace(settings, api_port=api_port)
    _start(state, settings.to_json(), progress)
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
                daemon.wait()  # it has left its work to a child, which is the lab
                return
    daemon.wait()
    text = state.log.read_text(errors="replace").strip().splitlines()[-5:]
    raise LabError(f"lab {state.name} ended while it was coming up:\n" + "\n".join(text))
