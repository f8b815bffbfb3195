"""One node's share of an account's EC2 call rate: a token bucket per action, which shrinks when EC2 throttles.

EC2 counts per account, region and action (aws-emulation 4.3); a node cannot see what the others use. So it takes a share,
and gives way when EC2 says RequestLimitExceeded: halves its rate, at most once a second, and wins it back with every call
that works (additive increase, multiplicative decrease, as TCP shares a link). Pure: the time is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHARE = 0.2
"""Of each bucket: bursts of 20 creates, one a second after that. Enough for a node to fill its 15 ENIs at once, and five
nodes that start together stay within the account's buckets without a single refusal."""
SLOWEST = 1 / 16
"""The least part of its rate that a throttled action keeps."""
STEP = 1 / 16
"""The part of the rate that a call wins back."""
CALM = 1.0
"""Seconds in which several refusals count as one: calls under way when EC2 began to refuse tell nothing new."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket's size in calls, and what flows in per second."""

    size: float
    refill: float

    def shared(self, share: float) -> Rate:
        """A part of it; a bucket that does not hold one call would never let one pass."""
        return Rate(max(1.0, self.size * share), self.refill * share)


_ADDRESSES = Rate(100, 5)
MUTATING = Rate(50, 5)
DESCRIBE = Rate(100, 20)
RATES = {
    "AssignIpv6Addresses": _ADDRESSES,
    "AssignPrivateIpAddresses": _ADDRESSES,
    "CreateNetworkInterface": _ADDRESSES,
    "CreateTags": Rate(100, 10),
    "DeleteNetworkInterface": _ADDRESSES,
    "ModifyNetworkInterfaceAttribute": _ADDRESSES,
    "UnassignPrivateIpAddresses": _ADDRESSES,
}
"""The account's buckets where they are not the general ones (aws-emulation 4.3)."""


def rate_of(action: str) -> Rate:
    """The account's bucket of an action. Describes are filtered or paged, all of ours."""
    return RATES.get(action, DESCRIBE if action.startswith("Describe") else MUTATING)


@dataclass(frozen=True, slots=True)
class Level:
    """How an action's bucket stands at some time."""

    tokens: float
    """Calls that could be made at once; below zero: that many have been promised a later time."""
    size: float
    refill: float
    """Calls a second, as slow as EC2's refusals have made it."""
    pace: float
    """The part of the rate that EC2's refusals leave."""


@dataclass(slots=True)
class Bucket:
    """Tokens of one action. Goes below zero when calls have been promised a later time."""

    rate: Rate
    tokens: float
    at: float
    """Seconds; when `tokens` was true."""
    pace: float = 1.0
    """The part of the rate that EC2's refusals leave."""
    refused_at: float | None = None

    def take(self, now: float) -> float:
        """Take a token; how many seconds to wait before the call may be made (0: now)."""
        self._flow(now)
        self.tokens -= 1
        return max(0.0, -self.tokens / (self.rate.refill * self.pace))

    def throttled(self, now: float) -> None:
        """EC2 refused a call: whatever is left belongs to others, and half the rate too."""
        self._flow(now)
        self.tokens = min(self.tokens, 0.0)
        if self.refused_at is None or now - self.refused_at >= CALM:
            self.refused_at = now
            self.pace = max(SLOWEST, self.pace / 2)

    def accepted(self, now: float) -> None:
        """EC2 took a call."""
        self._flow(now)
        self.pace = min(1.0, self.pace + STEP)

    def level(self, now: float) -> Level:
        """How it stands; changes nothing."""
        passed = max(0.0, now - self.at)
        refill = self.rate.refill * self.pace
        return Level(min(self.rate.size, self.tokens + passed * refill), self.rate.size, refill, self.pace)

    def _flow(self, now: float) -> None:
        passed = max(0.0, now - self.at)  # a caller that read the clock earlier may come later
        self.tokens = min(self.rate.size, self.tokens + passed * self.rate.refill * self.pace)
        self.at = max(self.at, now)


@dataclass(slots=True)
class CallBudget:
    """The buckets of every action that was used. Times are seconds of one clock. Not locked: its owner is."""

    share: float = SHARE
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def take(self, action: str, now: float) -> float:
        """Take a token; how many seconds to wait before the call may be made (0: now)."""
        return self._bucket(action, now).take(now)

    def throttled(self, action: str, now: float) -> None:
        """EC2 refused a call for its rate."""
        self._bucket(action, now).throttled(now)

    def accepted(self, action: str, now: float) -> None:
        """EC2 took a call, whatever came of it."""
        self._bucket(action, now).accepted(now)

    def pace(self, action: str) -> float:
        """The part of the rate that EC2's refusals leave for an action: 1 if there were none."""
        bucket = self._buckets.get(action)
        return 1.0 if bucket is None else bucket.pace

    def levels(self, now: float) -> Mapping[str, Level]:
        """Every bucket that was used.

        Others may read it while its owner is at work: a number may then be a call behind, for whoever looks at it.
        """
        return {action: bucket.level(now) for action, bucket in self._buckets.copy().items()}

    def _bucket(self, action: str, now: float) -> Bucket:
        bucket = self._buckets.get(action)
        if bucket is None:
            rate = rate_of(action).shared(self.share)
            bucket = self._buckets[action] = Bucket(rate, rate.size, now)
        return bucket
