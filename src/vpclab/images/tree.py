"""A file system as a value: what a layer is made of."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

MERGED = ("bin", "sbin", "lib", "lib64")
"""Debian's packages may still name these; in the image they are links into /usr."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file (its content), a link (what it points to) or a directory (neither). Owned by root; without a time."""

    mode: int
    content: bytes | None = None
    target: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return self.content is None and self.target is None


Tree = dict[str, Entry]
"""Path without a leading slash → what is there."""


def text(content: str, mode: int = 0o644) -> Entry:
    """A file with this text."""
    return Entry(mode, content=content.encode())


def link(target: str) -> Entry:
    """A symbolic link."""
    return Entry(0o777, target=target)


def directory(mode: int = 0o755) -> Entry:
    """A directory."""
    return Entry(mode)


def from_folder(folder: Path, below: str, *, leave_out: frozenset[str] = frozenset()) -> Tree:
    """Everything in a folder of this machine, at `below` in the image; `leave_out` are names of files and folders.

    Raises OSError if something cannot be read.
    """
    found: Tree = {}
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in leave_out)
        for name in sorted(files):
            if name not in leave_out:
                path = Path(where) / name
                found[f"{below}/{path.relative_to(folder)}"] = from_file(path)
    return found


def from_file(path: Path) -> Entry:
    """A file of this machine, or what a link of this machine says."""
    if path.is_symlink():
        return link(str(path.readlink()))
    return Entry(stat.S_IMODE(path.stat().st_mode), content=path.read_bytes())


def merged_usr(path: str) -> str:
    """The path where a package's file is, on a system whose /bin, /sbin and /lib are links into /usr."""
    first, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and first in MERGED else path


def usr_links() -> Tree:
    """/bin, /sbin, /lib and /lib64, and the directories that they point to."""
    return {
        **{name: link(f"usr/{name}") for name in MERGED},
        **{f"usr/{name}": directory() for name in MERGED},
    }


def whole(tree: Mapping[str, Entry]) -> Tree:
    """With the directories that its paths need, in the order in which they can be made."""
    full: Tree = dict(tree)
    for path in tree:
        for parent in PurePosixPath(path).parents:
            if str(parent) != ".":
                full.setdefault(str(parent), directory())
    return dict(sorted(full.items()))


def executables(tree: Mapping[str, Entry]) -> Iterator[str]:
    """The files that somebody may run."""
    return (path for path, entry in tree.items() if entry.content is not None and entry.mode & 0o111)


def executable(entry: Entry) -> Entry:
    """The same, for everybody to run."""
    return replace(entry, mode=0o755)
