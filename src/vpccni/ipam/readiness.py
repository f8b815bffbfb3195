"""How many addresses must be ready so that of the pods that come no more than a set part waits, by what a node has seen.

At each pod's arrival two numbers are noted: how many pods came within the time that EC2 needs to bring more (the rush), and how
many addresses were in use then (the level). So many beyond those in use as a rush seldom exceeds, or so many in all as the level
seldom exceeds, are enough; how seldom follows from the pods that did wait: each makes it stricter, each that did not a little
laxer, so that the part that waits comes to what was asked for whatever the load is like (adaptive conformal inference, Gibbs and
Candès 2021).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from vpccni.ipam.quantiles import Counts, Delay

ENOUGH_ARRIVALS = 30
"""Pods after which the node knows its own load."""
FORGET_ARRIVALS = 1000
"""Pods after which half of what was learned from a pod is forgotten."""
ASSIGN_TAKES, ATTACH_TAKES = 1.0, 6.0
"""Seconds that EC2 is thought to need before it was seen to."""
AIM = 0.5
"""The part of the bound that is aimed at, so that chance does not lead beyond it."""
STRICTER = 0.1
"""By how much a pod that waits lowers the part of rushes that may be exceeded."""
STRICTEST, LAXEST = 0.001, 0.5
"""What that part may be."""
OWED = 2.0
"""How far below nothing it is counted: twenty pods that waited are made up for by those that come after, more are forgotten."""
SURPRISES = 32
"""Arrivals over which it is counted how often the level was exceeded."""


class Readiness:
    """One pool's. `wait_probability` is the bound, between 0 and 1."""

    def __init__(self, wait_probability: float) -> None:
        self.wait_probability = wait_probability
        self.arrivals = 0
        self._allowed = wait_probability * AIM
        self._recent: deque[float] = deque()
        self._rush = {False: Counts(FORGET_ARRIVALS), True: Counts(FORGET_ARRIVALS)}
        """By whether an ENI must be attached."""
        self._level = Counts(FORGET_ARRIVALS)
        self._surprised = 10 / SURPRISES
        """The part of late arrivals that exceeded the level; at first it is not trusted."""
        self._takes = {False: Delay(ASSIGN_TAKES), True: Delay(ATTACH_TAKES)}

    def came(self, now: float, level: int) -> None:
        """A pod came, the `level`-th that is in use."""
        self.arrivals += 1
        self._recent.append(now)
        while self._recent[0] < now - self._takes[True].high:
            self._recent.popleft()
        at_once = now - self._takes[False].high
        self._rush[True].add(len(self._recent))
        self._rush[False].add(sum(1 for at in self._recent if at >= at_once))
        surprise = level > self._level.quantile(1 - self.exceeded)
        self._surprised += (surprise - self._surprised) / SURPRISES
        self._level.add(level)

    def judge(self, *, waits: bool) -> None:
        """Whether a pod waits for which as much was ready as `rush` and `level` said."""
        found = self._allowed + STRICTER * (self.wait_probability * AIM - waits)
        self._allowed = min(max(found, -OWED), LAXEST)

    @property
    def exceeded(self) -> float:
        """The part of rushes, and of levels, that may be exceeded."""
        return max(self._allowed, STRICTEST)

    def took(self, seconds: float, *, attach: bool) -> None:
        """EC2's delay."""
        self._takes[attach].add(seconds)

    def rush(self, spare: int) -> int:
        """Addresses to have ready beyond those in use, where the ENIs have places for `spare` more; 1 at least.

        Whom an ENI that is yet to be attached would let wait has an address beyond those places ready: it comes with that ENI.
        """
        part = 1 - self.exceeded
        soon, late = self._rush[False].quantile(part), self._rush[True].quantile(part)
        return max(soon, spare + 1 if late > spare else 0, 1)

    @property
    def level(self) -> int | None:
        """Addresses to have in all, which is enough too; None while the level goes on being exceeded, as that of a load that grows."""
        if self._level.weight < ENOUGH_ARRIVALS or self._surprised > 2 * self.exceeded + 2 / SURPRISES:
            return None
        # of few arrivals the highest is not yet what is seldom exceeded
        few = self._level.weight * self.exceeded < 1
        return self._level.quantile(1 - self.exceeded) + few

    @property
    def delays(self) -> tuple[float, float]:
        """Seconds that EC2 is thought to need at most for more addresses, and for an ENI."""
        return self._takes[False].high, self._takes[True].high

    def plain(self) -> dict[str, Any]:
        """For a file."""
        return {
            "arrivals": self.arrivals,
            "allowed": round(self._allowed, 6),
            "surprised": round(self._surprised, 6),
            "rush": [self._rush[attach].plain() for attach in (False, True)],
            "level": self._level.plain(),
            "takes": [self._takes[attach].plain() for attach in (False, True)],
        }

    @classmethod
    def of(cls, wait_probability: float, said: Mapping[str, Any]) -> Readiness:
        """What `plain` gave. Raises ValueError, KeyError, TypeError, OverflowError."""
        made = cls(wait_probability)
        made.arrivals = int(said["arrivals"])
        allowed, made._surprised = float(said["allowed"]), float(said["surprised"])
        rush = [Counts.of(FORGET_ARRIVALS, one) for one in said["rush"]]
        takes = [Delay.of(one) for one in said["takes"]]
        if len(rush) != 2 or len(takes) != 2 or made.arrivals < 0:
            raise ValueError("two of each were expected")
        if not (math.isfinite(allowed) and 0 <= made._surprised <= 1):
            raise ValueError("parts of one were expected")
        made._allowed = min(max(allowed, -OWED), LAXEST)
        made._level = Counts.of(FORGET_ARRIVALS, said["level"])
        made._rush = dict(zip((False, True), rush, strict=True))
        made._takes = dict(zip((False, True), takes, strict=True))
        return made
