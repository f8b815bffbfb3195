"""What a call meets before it is looked at: injected faults, the account's rate limits; and how long a call takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from vpclab.region.draws import Draws
from vpclab.region.values import ApiError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: calls at once, and calls more a second."""

    size: float
    refill: float


# Per account and region; aws-emulation 4.3.
_ENI_MUTATION = Rate(100, 5)
RATES: Mapping[str, Rate] = MappingProxyType(
    {
        "CreateNetworkInterface": _ENI_MUTATION,
        "DeleteNetworkInterface": _ENI_MUTATION,
        "ModifyNetworkInterfaceAttribute": _ENI_MUTATION,
        "AssignPrivateIpAddresses": _ENI_MUTATION,
        "UnassignPrivateIpAddresses": _ENI_MUTATION,
        "AssignIpv6Addresses": _ENI_MUTATION,
        "CreateTags": Rate(100, 10),
        "DeleteTags": Rate(100, 10),
        "RunInstances": Rate(5, 2),
        "TerminateInstances": Rate(100, 5),
        "CreateSubnetCidrReservation": Rate(5, 1),
    }
)
MUTATING = Rate(50, 5)
DESCRIBE = Rate(100, 20)
READING = ("Describe", "Get", "List")
DESCRIBE_ALL = Rate(50, 10)
"""DescribeInstances, DescribeNetworkInterfaces and DescribeSecurityGroups without ids, filters or pages."""
COSTLY_WHEN_WHOLE = frozenset({"DescribeInstances", "DescribeNetworkInterfaces", "DescribeSecurityGroups"})


@dataclass(slots=True)
class _Bucket:
    rate: Rate
    tokens: float
    at: float
    lowest: float = math.inf
    taken: int = 0
    refused: int = 0

    def take(self, now: float) -> bool:
        self.tokens = min(self.rate.size, self.tokens + max(0.0, now - self.at) * self.rate.refill)
        self.at = now
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.taken += 1
        self.lowest = min(self.lowest, self.tokens)
        return True


@dataclass(frozen=True, slots=True)
class BucketUse:
    """What one bucket was good for so far."""

    rate: Rate
    lowest: float
    """Tokens at its emptiest."""
    taken: int
    refused: int


@dataclass(slots=True, eq=False)
class Fault:
    """An error to answer with: the next `count` calls of the action, or each with the probability `rate`."""

    action: str
    error: ApiError
    count: int | None = None
    rate: float | None = None
    hits: int = 0
    """How many calls it has failed."""


@dataclass(slots=True)
class Latency:
    """Seconds that calls take; a range is drawn from uniformly."""

    every: tuple[float, float] = (0.0, 0.0)
    by_action: dict[str, tuple[float, float]] = field(default_factory=dict)


class Gate:
    """One account's gate. `throttle` may be switched at any time, `rates` replaced, `latency` set.

    EC2's calls are named by their action, other services' as `eks:DescribeCluster`; a fault, a limit or a latency of the
    action alone is also theirs.
    """

    THROTTLED = "RequestLimitExceeded"

    def __init__(self, draws: Draws, account: str, *, throttle: bool = True) -> None:
        self.throttle = throttle
        self.rates: dict[str, Rate] = dict(RATES)
        self.latency = Latency()
        self.faults: list[Fault] = []
        self._draws = draws
        self._account = account
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, action: str, now: float, *, whole: bool = False) -> None:
        """Let a call in. `whole`: it describes without ids, filters or pages. Raises ApiError: a fault's, or throttling."""
        self._fail(action)
        if self.throttle and not self._bucket(action, now, whole=whole).take(now):
            raise ApiError(
                self.THROTTLED,
                f"Request limit exceeded. Account {self._account} has been throttled on ec2:{action} "
                "because it exceeded its request rate limit.",
                status=503,
            )

    def set_rates(self, rates: Mapping[str, Rate]) -> None:
        """Other limits for some calls; their buckets begin full, the others stay as they are."""
        for action in rates.keys() | self.rates.keys():
            if rates.get(action) != self.rates.get(action):
                self._buckets.pop(action, None)
        self.rates = dict(rates)

    def use(self) -> Mapping[str, BucketUse]:
        """Each bucket that was asked, by the call's name."""
        return {
            name: BucketUse(b.rate, min(b.lowest, b.tokens), b.taken, b.refused)
            for name, b in self._buckets.items()
        }

    def forget_use(self) -> None:
        """Count anew; what the buckets hold stays."""
        for bucket in self._buckets.values():
            bucket.lowest, bucket.taken, bucket.refused = bucket.tokens, 0, 0

    def call_seconds(self, action: str) -> float:
        """How long this call is to take."""
        return self._draws.uniform(*self._own(self.latency.by_action, action, self.latency.every))

    def request_id(self) -> str:
        """The id of a request that came in."""
        return self._draws.uuid()

    def _bucket(self, action: str, now: float, *, whole: bool) -> _Bucket:
        """Each action has a bucket of its own (EC2's developer guide, request throttling)."""
        costly = whole and action in COSTLY_WHEN_WHOLE
        name = f"{action} of everything" if costly else action
        if name not in self._buckets:
            reads = action.rpartition(":")[2].startswith(READING)
            rate = DESCRIBE_ALL if costly else self._own(self.rates, action, DESCRIBE if reads else MUTATING)
            self._buckets[name] = _Bucket(rate, rate.size, now)
        return self._buckets[name]

    def _own(self, of: Mapping[str, T], action: str, usual: T) -> T:
        return of.get(action, of.get(action.rpartition(":")[2], usual))

    def _fail(self, action: str) -> None:
        for fault in self.faults:
            if fault.action not in (action, action.rpartition(":")[2], "*"):
                continue
            if fault.rate is not None and not self._draws.chance(fault.rate):
                continue
            fault.hits += 1
            if fault.count is not None:
                fault.count -= 1
                if not fault.count:
                    self.faults.remove(fault)
            error = fault.error
            raise ApiError(error.code, error.message, error.status)
