"""The network configuration as a runtime finds it (the first file by name), and what each plugin reads of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONF_DIR = Path("/etc/cni/net.d")
ENDINGS = frozenset({".conflist", ".conf", ".json"})
OLDEST = "0.1.0"
"""What a configuration without a version is taken for."""


class NoNetworkError(Exception):
    """There is no usable network configuration (yet): the node is not ready."""


@dataclass(frozen=True, slots=True)
class ConfList:
    """One network's plugins, in the order of ADD; `raw` is the file as it was."""

    name: str
    version: str
    disable_check: bool
    plugins: tuple[Mapping[str, Any], ...]
    raw: bytes

    def at_least(self, version: str) -> bool:
        """Whether it is of this version of the CNI specification or a later one."""
        return _numbers(self.version) >= _numbers(version)

    def stdin(self, plugin: Mapping[str, Any], **injected: object) -> bytes:
        """What one plugin reads: its own configuration under the network's name and version, with `injected` added.

        As Go's encoder writes it: keys sorted, no blanks. `capabilities` stays, as with libcni.
        """
        conf = {**plugin, "name": self.name, "cniVersion": self.version, **injected}
        return json.dumps(conf, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def first_conflist(directory: Path = CONF_DIR) -> ConfList:
    """The configuration that the runtime uses.

    Raises:
        NoNetworkError: there is none, or it can't be read.
    """
    files = sorted(path for path in directory.glob("*") if path.suffix in ENDINGS and path.is_file())
    # a name that begins with a dot is a file that somebody is still writing
    files = [path for path in files if not path.name.startswith(".")]
    if not files:
        raise NoNetworkError(f"no network configuration in {directory}: the agent has not written it")
    try:
        raw = files[0].read_bytes()
        return _parsed(json.loads(raw), raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoNetworkError(f"{files[0]} is no network configuration: {error!r}") from error


def granted(plugin: Mapping[str, Any], capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Of what the runtime offers, what the plugin declares to want."""
    wanted = plugin.get("capabilities") or {}
    return {name: value for name, value in sorted(capabilities.items()) if wanted.get(name)}


def _parsed(body: Mapping[str, Any], raw: bytes) -> ConfList:
    plugins = tuple(body["plugins"]) if "plugins" in body else (body,)  # a .conf is a list of one
    for plugin in plugins:
        if not plugin["type"]:
            raise ValueError("a plugin without a type")
    if not plugins:
        raise ValueError("no plugins")
    version = str(body.get("cniVersion") or OLDEST)
    _numbers(version)  # an unreadable one is told of here
    return ConfList(str(body["name"]), version, bool(body.get("disableCheck")), plugins, raw)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
