"""Counts of values by size, cheap enough for the path of every pod: half a microsecond a value, no lock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import inf

POD_SECONDS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    30.0,
)
"""Bounds for what a pod waits for: wiring takes a few milliseconds, addresses from EC2 up to 20 s."""
CALL_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for calls to EC2 and for what is made of several."""
PROMETHEUS_DEFAULT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The bounds that the original's start-up histograms have (spec 8.2)."""


class Histogram:
    """Written by one thread at a time; a value on a bound belongs to that bound, as Prometheus has it."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bound; the last is beyond them all."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One value more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """For each bound, and infinity, how many values are at most that."""
        seen = 0
        for bound, count in zip((*self.bounds, inf), self.counts, strict=True):
            seen += count
            yield bound, seen

    def copy(self) -> Histogram:
        """As it is now."""
        other = Histogram(self.bounds)
        other.counts, other.sum = self.counts.copy(), self.sum
        return other
