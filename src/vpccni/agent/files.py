"""Files that others read while we write them."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int) -> bool:
    """Put a file in place by rename; False if it already is exactly so, and then it is not touched."""
    try:
        if path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode:
            return False
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    # a dot first: the runtime must not take the unfinished file for a configuration
    fresh = path.with_name(f".{path.name}.tmp")
    with fresh.open("wb") as out:
        out.write(content)
        out.flush()
        os.fchmod(out.fileno(), mode)
        os.fsync(out.fileno())
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(
            folder
        )  # or the old file may be back after a power cut, beside a journal that follows the new one
    finally:
        os.close(folder)
    return True
