"""Puts the kit onto machines: each has its own view of /usr, /etc and /run, so the lab's host gets none of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vpclab.bastion import files
from vpclab.bastion.files import BIN, HOMES, HOST_KEY, SSHD_CONFIG, USER, Files
from vpclab.bastion.kit import Kit
from vpclab.fabric import Place, syscalls

PROGRAMS = Path(__file__).parent / "programs"
SSHD_LOG = "/var/log/sshd.log"


@dataclass(frozen=True, slots=True)
class Desk:
    """What is the bastion's alone."""

    variables: Mapping[str, str]
    kubeconfig: str
    programs: Path
    """A folder for PATH: kubectl is there."""
    nameserver: str
    """The VPC's."""


async def equip_node(place: Place, kit: Kit) -> None:
    """ec2-user may come in by ssh and become root. At each boot. Raises CommandError, OSError."""
    await place.call(_prepare, kit, files.on_a_node(kit.public_key))
    log = await place.call(os.open, SSHD_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        place.spawn(
            ("/usr/sbin/sshd", "-D", "-e", "-f", SSHD_CONFIG),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={"PATH": files.SYSTEM_PATH, "LANG": "C.UTF-8"},
        )  # fmt: skip
    finally:
        os.close(log)


async def equip_bastion(place: Place, kit: Kit, desk: Desk) -> None:
    """A login shell there has all that the study types. At each boot. Raises OSError."""
    path = f"{desk.programs}:{files.SYSTEM_PATH}:{kit.aws}:{Path(sys.executable).parent}"
    found = files.on_the_bastion(desk.variables, path, desk.kubeconfig, kit.private_key, _programs())
    names: Files = {"/etc/resolv.conf": (f"nameserver {desk.nameserver}\n", 0o644)}
    await place.call(_prepare, kit, {**found, **names})


def shell_command(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """A login shell that knows nothing of the person's own environment, which may lead to a real AWS account."""
    return (
        "env", "-i", "-C", f"{HOMES}/root", f"TERM={environ.get('TERM', 'dumb')}", f"HOME={HOMES}/root", "USER=root",
        f"LANG={environ.get('LANG', 'C.UTF-8')}", f"PATH={files.SYSTEM_PATH}", "bash", "--login",
    )  # fmt: skip


def _programs() -> dict[str, str]:
    found = {path.name: path.read_text() for path in PROGRAMS.iterdir()}
    if shutil.which("eksctl") is None:
        found["eksctl"] = f'#!/bin/sh\nexec {sys.executable} -m vpclab.bastion.eksctl "$@"\n'
    return found


def _prepare(kit: Kit, more: Files) -> None:
    """In a thread of the machine."""
    if kit.tools is not None:
        _mount_tools(kit.tools)
    for name in ("root", USER):
        Path(HOMES, name).mkdir(parents=True, exist_ok=True)
    wanted = {**files.on_every_machine(Path("/etc/passwd").read_text()), **more}
    for path, (text, mode) in wanted.items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
            out.write(text)
            os.fchmod(out.fileno(), mode)
    shutil.chown(f"{HOMES}/{USER}", _uid())
    if SSHD_CONFIG in wanted:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        if not Path(HOST_KEY).exists():
            keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY)
            subprocess.run(keygen, check=True, stdin=subprocess.DEVNULL)
    Path(BIN).mkdir(parents=True, exist_ok=True)


def _mount_tools(tools: Path) -> None:
    """The machine's own files come first; nothing can be written through it."""
    # by descriptor, relative: paths in an overlay's options are apart by colons
    held = os.open(tools, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(held)
        syscalls.mount("overlay", "/usr", "overlay", data="lowerdir=/usr:.")
    finally:
        os.chdir("/")
        os.close(held)


def _uid() -> int:
    for line in Path("/etc/passwd").read_text().splitlines():
        if line.startswith(f"{USER}:"):
            return int(line.split(":")[2])
    raise OSError(f"/etc/passwd has no {USER}")
