"""Kernel parameters: read first, written only if different. A file that does not exist is a feature that is not there."""

from __future__ import annotations

import os
from collections.abc import Mapping

from vpccni.linux.errors import KernelError

ROOT = "/proc/sys"


def settle_sysctls(wanted: Mapping[str, str], *, directory: int | None = None) -> list[str]:
    """Make parameters (path → value) as wanted; returns the changes in words. Raises OSError, which names the path.

    Paths are below /proc/sys, or below the open `directory`: an unprivileged container's own /proc/sys is read-only,
    but a descriptor that somebody outside of it opened is not.
    """
    changes: list[str] = []
    for path, value in wanted.items():
        try:
            if _read(path, directory) == value:
                continue
            _write(path, value, directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise KernelError(error.errno, f"cannot set {path} to {value}: {error.strerror}") from error
        changes.append(f"set {path} to {value}")
    return changes


def _read(path: str, directory: int | None) -> str:
    fd = _open(path, os.O_RDONLY, directory)
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)


def _write(path: str, value: str, directory: int | None) -> None:
    fd = _open(path, os.O_WRONLY, directory)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _open(path: str, flags: int, directory: int | None) -> int:
    where = path if directory is not None else f"{ROOT}/{path}"
    return os.open(where, flags | os.O_CLOEXEC, dir_fd=directory)
