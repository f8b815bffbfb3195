"""What came of a command that ran in a corner of the lab."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

# `ip -batch -` says "Command failed -:7", `nft -f -` says "/dev/stdin:7:12-15: Error: ..."
_LINE_OF_SCRIPT = re.compile(r"(?:Command failed -|/dev/stdin):(\d+)")


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended; negative `returncode` is the signal that ended it."""

    returncode: int
    stdout: str
    stderr: str


class CommandError(Exception):
    """A command in a place of the lab failed, could not start, or took too long."""

    def __init__(
        self, place: str, argv: Sequence[str], reason: str, stderr: str = "", script: str = ""
    ) -> None:
        self.place = place
        self.argv = tuple(argv)
        self.stderr = stderr.strip()
        self.script_line = _line_of(script, stderr)
        where = f" at {self.script_line!r}" if self.script_line else ""
        said = f": {self.stderr}" if self.stderr else ""
        super().__init__(f"in {place}: {shlex.join(argv)} {reason}{where}{said}")


def _line_of(script: str, stderr: str) -> str:
    """The line of a batch that its interpreter complained about, or nothing."""
    found = _LINE_OF_SCRIPT.search(stderr)
    lines = script.splitlines()
    if not found or not 0 < int(found[1]) <= len(lines):
        return ""
    return lines[int(found[1]) - 1].strip()
