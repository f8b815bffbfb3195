"""Counts of small whole numbers that fade, a mean that does, and a delay that is followed: what the adaptive warm target learns by."""

from __future__ import annotations

import math
from typing import Any

MOST = 4096
"""The highest number that is told apart: no node has more addresses."""
RESCALE = 1e12
LEAST_SPREAD = 0.001
"""Seconds; what was seen has one."""


class Counts:
    """How often each number was seen, the older the less. Adding costs O(1), a quantile O(numbers told apart)."""

    __slots__ = ("_bins", "_growth", "_unit", "weight")

    def __init__(self, half_life: float) -> None:
        """`half_life`: additions after which one counts half."""
        self._growth = 2.0 ** (1 / half_life)
        self._unit = 1.0
        self._bins: list[float] = []
        self.weight = 0.0
        """Additions, the older ones less."""

    def add(self, number: int) -> None:
        """One more; below 0 is 0."""
        number = min(max(number, 0), MOST)
        if number >= len(self._bins):
            self._bins.extend([0.0] * (number + 1 - len(self._bins)))
        self._unit *= self._growth
        self._bins[number] += self._unit
        self.weight = self.weight / self._growth + 1
        if self._unit > RESCALE:
            self._bins = [one / self._unit for one in self._bins]
            self._unit = 1.0

    def quantile(self, part: float) -> int:
        """The least number that this part of what was seen does not exceed; 0 if nothing was seen."""
        left = sum(self._bins) * (1 - part)
        beyond = 0.0
        for number in range(len(self._bins) - 1, -1, -1):
            beyond += self._bins[number]
            if beyond > left:
                return number
        return 0

    def plain(self) -> list[float]:
        """For a file: a weight a number."""
        return [round(one / self._unit, 4) for one in self._bins]

    @classmethod
    def of(cls, half_life: float, said: Any) -> Counts:
        """What `plain` gave. Raises ValueError."""
        made = cls(half_life)
        if not isinstance(said, list) or len(said) > MOST + 1:
            raise ValueError("a list of weights was expected")
        made._bins = [float(one) for one in said]
        if not all(math.isfinite(one) and one >= 0 for one in made._bins):
            raise ValueError("a weight is a number from 0 on")
        made.weight = sum(made._bins)
        return made


class Mean:
    """A mean in which what is older counts less."""

    __slots__ = ("_keeps", "_sum", "_weight")

    def __init__(self, half_life: float) -> None:
        """`half_life`: additions after which one counts half."""
        self._keeps = 2.0 ** (-1 / half_life)
        self._sum = 0.0
        self._weight = 0.0

    def add(self, number: float, times: int = 1) -> None:
        """So many more of it."""
        kept = self._keeps**times
        self._sum = self._sum * kept + number * (1 - kept) / (1 - self._keeps)
        self._weight = self._weight * kept + (1 - kept) / (1 - self._keeps)

    @property
    def value(self) -> float:
        """0 if nothing was seen."""
        return self._sum / self._weight if self._weight else 0.0

    def plain(self) -> list[float]:
        """For a file."""
        return [round(self.value, 4), round(self._weight, 4)]

    @classmethod
    def of(cls, half_life: float, said: Any) -> Mean:
        """What `plain` gave. Raises ValueError."""
        if not isinstance(said, list) or len(said) != 2:
            raise ValueError("a mean and a weight were expected")
        value, weight = (float(one) for one in said)
        if not (0 <= value <= MOST**2 and 0 <= weight < RESCALE):
            raise ValueError("a mean and a weight are numbers from 0 on")
        made = cls(half_life)
        made._sum, made._weight = value * weight, weight
        return made


class Delay:
    """A duration's mean and spread, as TCP follows a round trip (RFC 6298); the first that is seen takes the guess's place."""

    __slots__ = ("_mean", "_spread")

    def __init__(self, guess: float) -> None:
        self._mean = guess
        self._spread = 0.0

    def add(self, seconds: float) -> None:
        """One more was seen."""
        if self._spread == 0:
            self._mean, self._spread = seconds, max(seconds / 2, LEAST_SPREAD)
            return
        self._spread += 0.25 * (abs(seconds - self._mean) - self._spread)
        self._mean += 0.125 * (seconds - self._mean)

    @property
    def high(self) -> float:
        """Seconds that it hardly ever exceeds."""
        return self._mean + 4 * self._spread

    def plain(self) -> list[float]:
        """For a file."""
        return [round(self._mean, 4), round(self._spread, 4)]

    @classmethod
    def of(cls, said: Any) -> Delay:
        """What `plain` gave. Raises ValueError."""
        if not isinstance(said, list) or len(said) != 2:
            raise ValueError("a mean and a spread were expected")
        mean, spread = (float(one) for one in said)
        if not (0 <= mean < 3600 and 0 <= spread < 3600):
            raise ValueError("a delay is between 0 and an hour")
        made = cls(mean)
        made._spread = spread
        return made
