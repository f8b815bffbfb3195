"""Printing what was seen, and keeping count of what held."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TextIO

OK, FAILED = "ok", "FAILED"


@dataclass(slots=True)
class Report:
    """Sections with checked lines."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    held: int = 0
    failed: list[str] = field(default_factory=list)

    def section(self, title: str, why: str) -> None:
        """What comes now, and why one looks at it."""
        print(f"\n{title}\n  {why}", file=self.out, flush=True)

    def note(self, text: str) -> None:
        """Something to know that is not a claim."""
        print(f"         {text}", file=self.out, flush=True)

    def check(self, claim: str, *, seen: object, holds: bool) -> None:
        """A claim with what was seen for it."""
        if holds:
            self.held += 1
        else:
            self.failed.append(claim)
        print(f"  {OK if holds else FAILED:6} {claim}: {seen}", file=self.out, flush=True)

    def summary(self) -> bool:
        """The last words; whether everything held."""
        total = self.held + len(self.failed)
        if not self.failed:
            print(f"\nall {total} checks held", file=self.out, flush=True)
            return True
        print(f"\n{len(self.failed)} of {total} checks FAILED:", file=self.out)
        for claim in self.failed:
            print(f"  - {claim}", file=self.out, flush=True)
        return False
