"""What will happen by itself: an attachment completes, an instance starts to run."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Schedule:
    """Steps in the order of their times; equal times in the order they were planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0

    def at(self, due: float, step: Callable[[], None]) -> None:
        """Plan a step; it checks for itself that it is still wanted when its time comes."""
        self._planned += 1
        heapq.heappush(self._heap, (due, self._planned, step))

    def next_due(self) -> float | None:
        """When the next step is due; None if nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> tuple[float, Callable[[], None]] | None:
        """The next step whose time has come, with that time."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, step = heapq.heappop(self._heap)
        return due, step
