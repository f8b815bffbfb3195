"""What was asked of EC2, how often, with what answer and how fast: for metrics and for counting calls in tests."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

OK = "ok"
"""The code of a call that worked."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The calls of one action that got one code."""

    calls: int = 0
    seconds: float = 0.0
    """All of them together."""
    slowest: float = 0.0
    """Seconds."""

    def with_call(self, seconds: float) -> Tally:
        """One call more."""
        return Tally(self.calls + 1, self.seconds + seconds, max(self.slowest, seconds))


@dataclass(slots=True)
class CallLog:
    """Tallies by action and code; repeated attempts count one by one. Threads may record at the same time."""

    _tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, action: str, code: str, seconds: float) -> None:
        """One call was answered, or failed: `code` is EC2's, or "ok"."""
        with self._lock:
            self._tallies[action, code] = self._tallies.get((action, code), Tally()).with_call(seconds)

    def tallies(self) -> Mapping[tuple[str, str], Tally]:
        """By (action, code), as of now."""
        with self._lock:
            return dict(self._tallies)

    def count(self, action: str) -> int:
        """Calls of an action, however they ended."""
        return sum(tally.calls for (name, _), tally in self.tallies().items() if name == action)
