"""What was asked of EC2, how often, with what answer and how fast: for metrics and for counting calls in tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vpccni.histogram import CALL_SECONDS, Histogram

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


class Kind(NamedTuple):
    """Calls that are alike."""

    action: str
    code: str
    """EC2's, or "ok"."""
    status: int | None
    """HTTP's; None if there was no answer."""


@dataclass(slots=True)
class CallLog:
    """Tallies by action and code; repeated attempts count one by one. Threads may record at the same time."""

    clock: Callable[[], float] = time.monotonic
    _tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    _latencies: dict[Kind, Histogram] = field(default_factory=dict)
    _answered_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, action: str, code: str, seconds: float, status: int | None = None) -> None:
        """One call was answered, or failed: `code` is EC2's, or "ok"; `status` is HTTP's if there was an answer."""
        kind = Kind(action, code, status)
        with self._lock:
            self._tallies[action, code] = self._tallies.get((action, code), Tally()).with_call(seconds)
            if kind not in self._latencies:
                self._latencies[kind] = Histogram(CALL_SECONDS)
            self._latencies[kind].observe(seconds)
            if status is not None:
                self._answered_at = self.clock()

    def tallies(self) -> Mapping[tuple[str, str], Tally]:
        """By (action, code), as of now."""
        with self._lock:
            return dict(self._tallies)

    def latencies(self) -> Mapping[Kind, Histogram]:
        """Seconds of every call, as of now."""
        with self._lock:
            return {kind: histogram.copy() for kind, histogram in self._latencies.items()}

    @property
    def answer_age(self) -> float | None:
        """Seconds since EC2 last answered anything; None if it never did."""
        at = self._answered_at
        return None if at is None else self.clock() - at

    def count(self, action: str) -> int:
        """Calls of an action, however they ended."""
        return sum(tally.calls for (name, _), tally in self.tallies().items() if name == action)
