"""Virtual time: what happens next, in a heap. No threads, no asyncio; a day passes as fast as its events are worked off."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Step = Callable[[], None]
Work = Generator[float, None, T]
"""Something that takes time: yields how many seconds to wait, returns what came of it."""


class Timer:
    """A step that is planned, until it is done or cancelled."""

    __slots__ = ("at", "step")

    def __init__(self, at: float, step: Step) -> None:
        self.at = at
        self.step: Step | None = step

    def cancel(self) -> None:
        """It will not be done."""
        self.step = None


class Running:
    """Work that is under way; it can be killed between two of its steps, as a process can."""

    __slots__ = ("_timer", "_work")

    def __init__(self, work: Work[object]) -> None:
        self._work = work
        self._timer: Timer | None = None

    def wait(self, timer: Timer) -> None:
        """It goes on then."""
        self._timer = timer

    def kill(self) -> None:
        """Nothing more of it is done."""
        if self._timer is not None:
            self._timer.cancel()
        self._work.close()


class Events:
    """The clock and the heap. Equal times are worked off in the order in which they were planned."""

    def __init__(self, now: float, advance: Callable[[float], None]) -> None:
        """`advance` is told of each new time before anything happens at it (the region's clock)."""
        self.now = now
        self.done = 0
        """Steps so far: what a run costs."""
        self._advance = advance
        self._heap: list[tuple[float, int, Timer]] = []
        self._planned = 0
        advance(now)

    def at(self, when: float, step: Step) -> Timer:
        """Plan a step; a time that has passed is now."""
        self._planned += 1
        timer = Timer(max(when, self.now), step)
        heapq.heappush(self._heap, (timer.at, self._planned, timer))
        return timer

    def after(self, seconds: float, step: Step) -> Timer:
        """Plan a step for so many seconds from now."""
        return self.at(self.now + seconds, step)

    def start(self, work: Work[T], done: Callable[[T], None] = lambda _: None) -> Running:
        """Begin work once the present step has ended, as a task would; `done` is told what it returned."""
        running = Running(work)

        def go_on() -> None:
            try:
                seconds = next(work)
            except StopIteration as end:
                done(end.value)
            else:
                running.wait(self.after(seconds, go_on))

        running.wait(self.after(0.0, go_on))
        return running

    def next_at(self) -> float | None:
        """When something happens next; None: nothing is planned."""
        while self._heap and self._heap[0][2].step is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, end: float) -> None:
        """Let everything happen that is planned until then, and what comes of it."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            at, _, timer = heapq.heappop(heap)
            if timer.step is None:
                continue
            if at > self.now:
                self.now = at
                self._advance(at)
            step, timer.step = timer.step, None
            self.done += 1
            step()
        if end > self.now:
            self.now = end
            self._advance(end)
