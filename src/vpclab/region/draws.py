"""Every "random" choice of the region: ids, MACs, delays. A hash of the seed and a counter, so a run repeats exactly."""

from __future__ import annotations

import hashlib

_MANTISSA = 53


class Draws:
    """A deterministic sequence of draws; each purpose has one of its own, so that none disturbs another's."""

    def __init__(self, seed: int, purpose: str = "") -> None:
        self._seed = f"{seed}{purpose}"
        self._drawn = 0

    def bits(self, count: int) -> int:
        """The next draw as an integer of at most `count` bits (256 at most)."""
        self._drawn += 1
        digest = hashlib.sha256(f"{self._seed}/{self._drawn}".encode()).digest()
        return int.from_bytes(digest) >> (256 - count)

    def uniform(self, low: float, high: float) -> float:
        """A number between low and high; draws nothing if they are equal."""
        if low == high:
            return low
        return low + (high - low) * self.bits(_MANTISSA) / (1 << _MANTISSA)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform(0.0, 1.0) < probability

    def identifier(self, prefix: str) -> str:
        """An AWS id: the prefix, a dash, 0 and sixteen hex digits."""
        return f"{prefix}-0{self.bits(64):016x}"

    def mac(self) -> str:
        """A locally administered unicast MAC as EC2 gives them out."""
        return ":".join(f"{octet:02x}" for octet in (0x02, *self.bits(40).to_bytes(5)))

    def uuid(self) -> str:
        """A request id."""
        digits = f"{self.bits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
