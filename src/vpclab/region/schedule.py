"""What will happen by itself: an attachment completes, an instance starts to run.

A step is a name with arguments, not a function: so what is planned is plain data that can be kept with the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Step = Callable[..., None]


class Schedule:
    """Steps in the order of their times; equal times in the order they were planned."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._planned = 0
        self._steps: dict[str, Step] = {}

    def means(self, name: str, step: Step) -> None:
        """From now on, a step of this name is this."""
        self._steps[name] = step

    def at(self, due: float, name: str, *arguments: Any) -> None:
        """Plan a step; it checks for itself that it is still wanted when its time comes. Raises KeyError for an unknown name."""
        self._steps[name]
        self._planned += 1
        heapq.heappush(self._heap, (due, self._planned, name, arguments))

    def after(self, now: float, seconds: float, name: str, *arguments: Any) -> None:
        """Plan it so many seconds after `now`; with none it happens at once."""
        if seconds > 0:
            self.at(now + seconds, name, *arguments)
        else:
            self._steps[name](*arguments)

    def next_due(self) -> float | None:
        """When the next step is due; None if nothing is planned."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> tuple[float, Callable[[], None]] | None:
        """The next step whose time has come, with that time."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, name, arguments = heapq.heappop(self._heap)
        return due, lambda: self._steps[name](*arguments)

    def __getstate__(self) -> tuple[Any, ...]:
        """What is planned; what the names mean is told anew by whoever plans."""
        return self._heap, self._planned

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._heap, self._planned = state
        self._steps = {}
