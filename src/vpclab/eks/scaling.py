"""Which nodes of a group come and which go: over the zones in turn, as an Auto Scaling group balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a group that lives."""

    instance_id: str
    subnet_id: str
    launched_at: float
    order: int = 0
    """Among those that were launched at the same time."""


def to_launch(members: Sequence[Member], subnets: Sequence[str], count: int) -> list[str]:
    """The subnets of so many further nodes: each time the one with the fewest, the first of those that are equal."""
    held = {subnet: sum(one.subnet_id == subnet for one in members) for subnet in subnets}
    chosen: list[str] = []
    for _ in range(count):
        subnet = min(subnets, key=lambda one: held[one])
        held[subnet] += 1
        chosen.append(subnet)
    return chosen


def to_end(members: Sequence[Member], count: int) -> list[str]:
    """The instances of so many nodes that go: each time from the fullest subnet, there the newest.

    The Auto Scaling default policy takes the oldest launch template's; with one template for all, EKS's choice among equals is
    not documented: the newest has the fewest pods as a rule.
    """
    left = list(members)
    chosen: list[str] = []
    for _ in range(min(count, len(left))):
        held = _by_subnet(left)
        last = max(left, key=lambda one: (held[one.subnet_id], one.launched_at, one.order))
        left.remove(last)
        chosen.append(last.instance_id)
    return chosen


def _by_subnet(members: Sequence[Member]) -> Mapping[str, int]:
    return {one.subnet_id: sum(other.subnet_id == one.subnet_id for other in members) for one in members}
