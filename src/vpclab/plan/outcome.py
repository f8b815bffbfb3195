"""What a policy came to: numbers, reasons, and how they went over time. Plain values, as `-o json` prints them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class SubnetOutcome:
    """One subnet. Addresses are counted as EC2 does: ENIs' own and whole prefixes included, the five reserved ones not."""

    name: str
    cidr: str
    zone: str
    capacity: int
    """Addresses that could be had, others' included."""
    of_others: int
    peak_held: int = 0
    """By the cluster's nodes."""
    mean_held: float = 0.0
    peak_used: int = 0
    mean_used: float = 0.0
    lowest_free: int = 0
    lowest_free_prefixes: int = 0
    """Free aligned /28s at the least."""


@dataclass(slots=True)
class CallsOutcome:
    """One EC2 action against the account's bucket."""

    action: str
    calls: int
    refused: int
    size: float
    refill: float
    no_address: int
    """Refused because the subnet had no free address, or no free /28."""
    lowest: float
    """Tokens left at the busiest moment; the bucket holds `size`."""

    @property
    def headroom(self) -> float:
        """The part of the bucket that was never needed."""
        return max(0.0, self.lowest / self.size)


@dataclass(slots=True)
class ReasonOutcome:
    """One typed reason for which pods waited or ADDs failed."""

    reason: str
    waited: int = 0
    failed: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    pod: str = ""
    node: str = ""
    detail: str = ""
    """Of the first."""


@dataclass(slots=True)
class Series:
    """Samples at equal distances."""

    times: list[float] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    """Pods with addresses."""
    waiting: list[int] = field(default_factory=list)
    """Pods on nodes without addresses."""
    held: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    """EC2 calls since the last sample."""
    subnet_held: dict[str, list[int]] = field(default_factory=dict)
    subnet_used: dict[str, list[int]] = field(default_factory=dict)
    subnet_free: dict[str, list[int]] = field(default_factory=dict)
    subnet_free_prefixes: dict[str, list[int]] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    """One policy's."""

    policy: str
    manager: str
    env: dict[str, str]
    nodes: int
    pods: int
    """That were to run."""
    connected: int = 0
    waited: int = 0
    failed_adds: int = 0
    never: int = 0
    """Pods on a node that were gone, or the plan over, before they had an address."""
    no_room: int = 0
    """Pods that no node had room for when they came."""
    wait_p50: float = 0.0
    wait_p99: float = 0.0
    wait_max: float = 0.0
    mean_held: float = 0.0
    mean_used: float = 0.0
    peak_held: int = 0
    unused_hours: float = 0.0
    calls: int = 0
    by_action: list[CallsOutcome] = field(default_factory=list)
    subnets: list[SubnetOutcome] = field(default_factory=list)
    reasons: list[ReasonOutcome] = field(default_factory=list)
    constraint: str = ""
    largest: str = ""
    largest_nodes: int | None = None
    series: Series = field(default_factory=Series)
    cpu_seconds: float = 0.0

    @property
    def mean_unused(self) -> float:
        """Addresses that were held and that no pod had, on average."""
        return self.mean_held - self.mean_used

    @property
    def waited_part(self) -> float:
        """The part of pods whose address was not there at once, those that never had one included."""
        return (self.waited + self.never) / self.pods if self.pods else 0.0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "mean_unused": self.mean_unused, "waited_part": self.waited_part}
