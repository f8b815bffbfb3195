"""The runtime's configurations and plugins, and the agent's directory."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vpccni.cli.doctor.facts import CniFiles, ConfigFile, PluginFile, RunDir
from vpccni.cli.unknown import Unknown

ENDINGS = frozenset({".conf", ".conflist", ".json"})


def read_cni(conf_dir: Path, bin_dir: Path) -> CniFiles:
    """What is in the two directories."""
    paths = sorted(path for path in conf_dir.glob("*") if path.suffix in ENDINGS and path.is_file())
    configs = tuple(_config(path) for path in paths if not path.name.startswith("."))
    wanted = {str(plugin.get("type")) for config in configs for plugin in config.plugins} | {"aws-cni"}
    return CniFiles(conf_dir, configs, dict(_plugins(bin_dir, wanted)))


def read_run_dir(path: Path) -> RunDir | Unknown:
    """The agent's directory and its file system."""
    try:
        found, system = path.stat(), os.statvfs(path)
    except OSError as error:
        return Unknown(f"{path}: {error.strerror}")
    return RunDir(
        path,
        mode=stat.S_IMODE(found.st_mode),
        owner=found.st_uid,
        free_bytes=system.f_bavail * system.f_frsize,
        free_files=system.f_favail if system.f_files else None,
        read_only=bool(system.f_flag & os.ST_RDONLY),
    )


def first_there(*paths: Path) -> Path:
    """The first that exists: in the agent's container the host's directories lie elsewhere than on the host."""
    return next((path for path in paths if path.is_dir()), paths[-1])


def _config(path: Path) -> ConfigFile:
    try:
        body: Any = json.loads(path.read_text())
        plugins = body.get("plugins", [body])
        if not all(isinstance(plugin, Mapping) and plugin.get("type") for plugin in plugins):
            raise ValueError("a plugin without a type")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return ConfigFile(path.name, problem=str(error))
    return ConfigFile(path.name, tuple(plugins))


def _plugins(bin_dir: Path, wanted: Iterable[str]) -> Iterable[tuple[str, PluginFile]]:
    for name in sorted(wanted):
        path = bin_dir / name
        try:
            executable = bool(path.stat().st_mode & stat.S_IXUSR)
            with path.open("rb") as file:
                first = file.readline(256)
        except OSError:
            continue
        words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
        interpreter = words[0] if words else ""
        there = not interpreter or os.access(interpreter, os.X_OK)
        yield name, PluginFile(path, executable, interpreter, there)
