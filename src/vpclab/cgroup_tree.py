"""Removing cgroups: they are the machine's, so what a lab made there does not go with its processes. Light to import."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

GONE = 10.0
"""Seconds for groups whose processes were killed to be empty."""
LOOK_EVERY = 0.05


def remove_groups(directories: Iterable[Path], patience: float = GONE) -> list[Path]:
    """Remove groups whose processes have been ended, with all below them, and then the one above if it is empty.

    Returns those that are still in use after a while.
    """
    every = list(directories)
    left = [directory for directory in every if directory.is_dir()]
    deadline = time.monotonic() + patience
    while True:
        left = [directory for directory in left if not _removed(directory)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(LOOK_EVERY)
    for directory in every:
        with contextlib.suppress(OSError):
            directory.parent.rmdir()
    return left


def _removed(directory: Path) -> bool:
    for below, _, _ in os.walk(directory, topdown=False):
        try:
            Path(below).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
