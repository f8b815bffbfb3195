"""One call of one CNI plugin in a node, and its answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vpclab.fabric import CommandError, Completed, Place

BIN_DIR = Path("/opt/cni/bin")
SECONDS = 130.0
"""A plugin that takes longer is killed: kubelet's runtime gives a sandbox two minutes in all."""
INTERNAL = 999
"""The code of an error that has none of its own (spec 4.1)."""


class CniError(Exception):
    """A plugin said no: its error object, or what is known if it gave none."""

    def __init__(self, plugin: str, command: str, code: int, msg: str, details: str = "") -> None:
        super().__init__(f"{plugin} {command}: {msg}" + (f" ({details})" if details else ""))
        self.plugin = plugin
        self.command = command
        self.code = code
        self.msg = msg
        self.details = details


async def call_plugin(
    place: Place, kind: str, command: str, variables: Mapping[str, str], stdin: bytes, bin_dir: Path = BIN_DIR
) -> Any:
    """Run `bin_dir`/`kind`; the JSON that it printed, None if it printed nothing.

    Args:
        place: the node.
        kind: the plugin's type.
        command: ADD, DEL, CHECK, GC or STATUS.
        variables: CNI_* beside CNI_COMMAND and CNI_PATH; those that are missing are empty.
        stdin: its network configuration.
        bin_dir: where the node has its plugins.

    Raises:
        CniError: it failed, is not there, or took too long.
    """
    env = {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        **dict.fromkeys(("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"), ""),
        **variables,
        "CNI_COMMAND": command,
        "CNI_PATH": str(bin_dir),
    }
    try:
        done = await place.run([str(bin_dir / kind)], input=stdin, env=env, check=False, timeout=SECONDS)
    except CommandError as error:
        raise CniError(kind, command, INTERNAL, str(error)) from error
    if done.returncode != 0:
        raise _failure(kind, command, done)
    try:
        return json.loads(done.stdout) if done.stdout.strip() else None
    except ValueError as error:
        raise CniError(kind, command, INTERNAL, f"printed no JSON: {done.stdout.strip()[:200]!r}") from error


def _failure(kind: str, command: str, done: Completed) -> CniError:
    try:
        body = json.loads(done.stdout)
        return CniError(kind, command, int(body["code"]), str(body["msg"]), str(body.get("details", "")))
    except (ValueError, KeyError, TypeError):
        said = (done.stderr or done.stdout).strip() or "no word"
        return CniError(kind, command, INTERNAL, f"failed with status {done.returncode}: {said}")
