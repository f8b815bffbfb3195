"""How much the pool should hold: the warm targets' formulas (spec 6.7), pure numbers in and out."""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.values import BlockKind

PREFIX_SIZE = BlockKind.PREFIX.addresses


@dataclass(frozen=True, slots=True)
class WarmTargets:
    """The four settings; 0 means unset, except for `warm_eni`, whose default is 1 (spec 2)."""

    warm_eni: int = 1
    warm_ip: int = 0
    minimum_ip: int = 0
    warm_prefix: int = 0

    @property
    def by_ip(self) -> bool:
        """WARM_IP_TARGET or MINIMUM_IP_TARGET is set, and so the other two are ignored."""
        return self.warm_ip != 0 or self.minimum_ip != 0


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What the node can hold. `max_enis` is min(MAX_ENI, the type's); unmanaged ENIs count against it."""

    max_enis: int
    slots_per_eni: int
    max_pods: int
    unmanaged_enis: int = 0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the pool holds now, in the active mode.

    `available` leaves cooling addresses out, unlike the original, whose pool can look full when nothing is
    assignable (spec 11.1 number 6; docs/differences.md).
    """

    total: int
    assigned: int
    cooling: int = 0
    prefixes: int = 0
    free_prefixes: int = 0

    @property
    def available(self) -> int:
        """Addresses a pod could get now."""
        return self.total - self.assigned - self.cooling


def shortage(targets: WarmTargets, limits: NodeLimits, held: Holdings, kind: BlockKind) -> int:
    """Blocks of the active kind that are missing; 0 if the pool is warm enough.

    Without IP targets a shortage of a whole ENI's worth in secondary-IP mode: as much as fits (spec 6.7 a).
    """
    if held.total >= limits.max_pods:
        return 0
    if targets.by_ip:
        short = max(targets.warm_ip - held.available, targets.minimum_ip - held.total, 0)
        return -(-short // kind.addresses)
    if kind is BlockKind.PREFIX:
        short = max(targets.warm_prefix - held.free_prefixes, 0)
        low = held.available < PREFIX_SIZE * targets.warm_prefix or (
            targets.warm_prefix == 0 and held.available == 0
        )
        return max(short, 1) if low else 0
    low = held.available < limits.slots_per_eni * targets.warm_eni or (
        targets.warm_eni == 0 and held.available == 0
    )
    return limits.slots_per_eni if low else 0


def surplus(targets: WarmTargets, held: Holdings, kind: BlockKind) -> int:
    """Blocks of the active kind beyond the targets that may be given back; whole ENIs are judged elsewhere."""
    if targets.by_ip:
        if kind is BlockKind.PREFIX:
            need_warm = -(-(held.assigned + held.cooling + targets.warm_ip) // PREFIX_SIZE)
            need_minimum = -(-targets.minimum_ip // PREFIX_SIZE)
            return max(min(held.free_prefixes, held.prefixes - max(need_warm, need_minimum)), 0)
        over = max(held.available - targets.warm_ip, 0)
        return max(min(over, held.total - targets.minimum_ip), 0)
    if kind is BlockKind.PREFIX:
        return max(held.free_prefixes - targets.warm_prefix, 0)
    return 0


def eni_is_extra(targets: WarmTargets, limits: NodeLimits, held: Holdings, kind: BlockKind) -> bool:
    """Whether holdings are so large that a whole ENI may be looked for to give back (spec 6.7)."""
    if targets.by_ip:
        return True
    target = targets.warm_eni if kind is BlockKind.SECONDARY_IP else targets.warm_prefix
    return held.available >= (target + 1) * limits.slots_per_eni * kind.addresses
