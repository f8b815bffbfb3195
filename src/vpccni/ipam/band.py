"""How far a pool may be above what it must hold, so that EC2 is asked neither for every pod nor for what then lies idle.

The rule is Miller and Orr's, for the cash that a firm keeps (1966): what must be held wanders with a variance that is seen; a call
costs as much as some address held for `CALL_WORTH`. Then the least cost is with asking up to
z = (3/4 * cost of a call * variance / cost of holding) ^ (1/3) above the least, letting be what is within 3 z, and giving back
down to z.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vpccni.ipam.quantiles import Counts, Mean

CALL_WORTH = 30.0
"""Seconds for which one address is held rather than one call made. With it a thousand nodes with a pod a minute each stay
within the 5 calls a second that EC2 takes of an action (aws-emulation 4.3)."""
STEP = 60.0
"""Seconds; how much what must be held changes in each gives the variance."""
FORGET_STEPS = 360
"""Steps after which one counts half: six hours."""
FOLLOWS = 60.0
"""Seconds of which it is noted by how much more is needed after something had to be asked for."""
FORGET_RISES = 100
"""The same for rises: half after so many."""
LONGEST_IDLE = 2000
"""Steps; nothing is left of what was seen before."""


class Band:
    """One pool's. Times are seconds, never going back."""

    def __init__(self) -> None:
        self._variance = Mean(FORGET_STEPS)
        self._rises = Counts(FORGET_RISES)
        self._step: int | None = None
        self._least = 0
        self._least_before = 0
        """At the end of the step before."""
        self._rise: tuple[float, int, int] | None = None
        """Since when, from what, and up to what more is needed."""

    def passes(self, least: int, now: float, *, lacks: bool) -> None:
        """So much must be held from now on; `lacks`: it is not."""
        self._pass_steps(least, now)
        self._least = least
        if self._rise is not None:
            began, low, high = self._rise
            high = max(high, least)
            self._rise = (began, low, high)
            if now >= began + FOLLOWS:
                self._rises.add(high - low)
                self._rise = None
        if self._rise is None and lacks:
            self._rise = (now, least, least)

    @property
    def rise_ends_at(self) -> float | None:
        """When what was asked for is no longer kept for what may follow; None: nothing was asked for of late."""
        return self._rise[0] + FOLLOWS if self._rise is not None else None

    @property
    def back(self) -> int:
        """Beyond the least, what is left when something is given back."""
        return round(self._z)

    @property
    def ask(self) -> int:
        """Beyond the least, what is asked for when something must be: the usual rise, if that is more."""
        return max(self.back, self._rises.quantile(0.5))

    @property
    def most(self) -> int:
        """Beyond the least, what is let be."""
        return max(round(3 * self._z), self.ask if self._rise is not None else 0)

    @property
    def _z(self) -> float:
        return math.cbrt(0.75 * CALL_WORTH / STEP * self._variance.value)

    def _pass_steps(self, least: int, now: float) -> None:
        """What is needed from now on is not part of the steps that have passed."""
        step = int(now // STEP)
        if self._step is None:
            self._step, self._least_before = step, least
        passed = min(step - self._step, LONGEST_IDLE)
        if passed > 0:
            self._variance.add((self._least - self._least_before) ** 2)
            self._variance.add(0.0, times=passed - 1)
            self._step, self._least_before = step, self._least

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return {"variance": self._variance.plain(), "rises": self._rises.plain()}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Band:
        """What `plain` gave. Raises ValueError, KeyError, TypeError, OverflowError."""
        made = cls()
        made._variance = Mean.of(FORGET_STEPS, said["variance"])
        made._rises = Counts.of(FORGET_RISES, said["rises"])
        return made
