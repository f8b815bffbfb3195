"""What a runtime remembers of each attachment: libcni's files below /var/lib/cni/results.

They are what CHECK and DEL hand to plugins as `prevResult`, and what GC compares with the pods that still are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vpclab.node.conflist import ConfList
from vpclab.node.sandbox import INTERFACE, Sandbox

CACHE_DIR = Path("/var/lib/cni/results")
KIND = "cniCacheV1"


def remember(conflist: ConfList, sandbox: Sandbox, result: object, directory: Path = CACHE_DIR) -> None:
    """Write an attachment's result, in the shape that libcni writes."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cached: dict[str, Any] = {
        "kind": KIND,
        "containerId": sandbox.container_id,
        "config": base64.b64encode(conflist.raw).decode(),
        "ifName": INTERFACE,
        "networkName": conflist.name,
        "netns": sandbox.netns,
        "cniArgs": sandbox.args,
    }
    if sandbox.capabilities:
        cached["capabilityArgs"] = dict(sandbox.capabilities)
    cached["result"] = result
    file = _file(conflist, sandbox, directory)
    file.touch(mode=0o600)
    file.write_text(json.dumps(cached, separators=(",", ":")))


def recall(conflist: ConfList, sandbox: Sandbox, directory: Path = CACHE_DIR) -> Any:
    """The result of its ADD; None if there is none that can be read."""
    try:
        return json.loads(_file(conflist, sandbox, directory).read_bytes())["result"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def forget(conflist: ConfList, sandbox: Sandbox, directory: Path = CACHE_DIR) -> None:
    """The attachment is no more."""
    _file(conflist, sandbox, directory).unlink(missing_ok=True)


def attachments(conflist: ConfList, directory: Path = CACHE_DIR) -> list[Sandbox]:
    """Every sandbox that this network is remembered to hold, by file name."""
    return list(_read(conflist, directory))


def _read(conflist: ConfList, directory: Path) -> Iterator[Sandbox]:
    for file in sorted(directory.glob("*")):
        try:
            cached = json.loads(file.read_bytes())
            if cached["kind"] != KIND or cached["networkName"] != conflist.name:
                continue
            args = dict(cached["cniArgs"])
            yield Sandbox(
                args["K8S_POD_NAMESPACE"],
                args["K8S_POD_NAME"],
                args["K8S_POD_UID"],
                cached["containerId"],
                cached.get("netns", ""),
                cached.get("capabilityArgs", {}),
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another runtime's file, or half a file: not ours to judge


def _file(conflist: ConfList, sandbox: Sandbox, directory: Path) -> Path:
    return directory / f"{conflist.name}-{sandbox.container_id}-{INTERFACE}"
