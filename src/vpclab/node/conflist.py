"""The network configuration as libcni finds it: the first file by name, its plugins in order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONF_DIR = Path("/etc/cni/net.d")
ENDINGS = frozenset({".conflist", ".conf", ".json"})


@dataclass(frozen=True, slots=True)
class ConfList:
    """One network's plugins."""

    name: str
    version: str
    disable_check: bool
    plugins: tuple[Mapping[str, Any], ...]
    raw: bytes


class NoNetworkError(Exception):
    """There is no network configuration (yet): the node is not ready."""


def first_conflist(directory: Path = CONF_DIR) -> ConfList:
    """The configuration that the runtime uses. Raises NoNetworkError."""
    files = sorted(
        path for path in directory.glob("*") if path.suffix in ENDINGS and not path.name.startswith(".")
    )
    if not files:
        raise NoNetworkError(f"no network configuration in {directory}: the agent has not written it")
    raw = files[0].read_bytes()
    body = json.loads(raw)
    plugins = body.get("plugins", [body])
    return ConfList(
        body["name"],
        body.get("cniVersion", "0.2.0"),
        bool(body.get("disableCheck", False)),
        tuple(plugins),
        raw,
    )


def plugin_stdin(
    conflist: ConfList,
    plugin: Mapping[str, Any],
    previous: object,
    runtime: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> bytes:
    """What one plugin reads: its configuration with name, version, the result so far and the capabilities it asked for."""
    conf = {**plugin, "name": conflist.name, "cniVersion": conflist.version, **extra}
    asked = {name for name, wanted in plugin.get("capabilities", {}).items() if wanted}
    conf.pop("capabilities", None)
    granted = {name: value for name, value in runtime.items() if name in asked}
    if granted:
        conf["runtimeConfig"] = granted
    if previous is not None:
        conf["prevResult"] = previous
    return json.dumps(conf, sort_keys=True).encode()
