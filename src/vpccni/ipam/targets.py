"""How much the pool should hold: the warm targets' formulas (spec 6.7), pure numbers in and out."""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.values import BlockKind

PREFIX_SIZE = BlockKind.PREFIX.addresses
FALLBACK_WARM = 2
"""Single addresses that are kept free while a subnet has no /28 for us."""


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
    unmanaged_device_indexes: frozenset[int] = frozenset()
    """Device indexes that ENIs outside of the pool use."""
    trunk_place: bool = False
    """One place is for a trunk ENI, which somebody else attaches (spec 6.9)."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the pool holds, or will hold, in the active mode.

    Two differences from the original, both on purpose. Cooling addresses are not available: counted as such, a pool
    can look full when nothing is assignable (spec 11.1 number 6). And pods that wait for an address have theirs
    already, as it were: the targets are met beyond them.
    """

    total: int
    assigned: int
    cooling: int = 0
    blocks: int = 0
    empty_blocks: int = 0
    """Blocks without assigned or cooling addresses."""
    waiting: int = 0
    """Pods that found the pool empty."""

    @property
    def available(self) -> int:
        """Addresses that pods could get now and nobody waits for; negative if too many wait."""
        return self.total - self.assigned - self.cooling - self.waiting

    def with_blocks(self, count: int, kind: BlockKind) -> Holdings:
        """The same with so many more empty blocks."""
        if count == 0:
            return self
        return Holdings(
            self.total + count * kind.addresses,
            self.assigned,
            self.cooling,
            self.blocks + count,
            self.empty_blocks + count,
            self.waiting,
        )


def shortage(targets: WarmTargets, limits: NodeLimits, held: Holdings, kind: BlockKind) -> int:
    """Blocks of the active kind that are missing; 0 if the pool is warm enough.

    Without IP targets the secondary-IP mode is short of a whole ENI's worth or of nothing, and the prefix mode of as many
    as make the original's condition "low" untrue (spec 6.7); the original then asks for one for each that has a pod, too.
    """
    if held.total >= limits.max_pods:
        return 0
    # no more than the node may have pods, even if many wait at once
    most = -(-(limits.max_pods - held.total) // kind.addresses)
    return min(_missing(targets, limits, held, kind), most)


def _missing(targets: WarmTargets, limits: NodeLimits, held: Holdings, kind: BlockKind) -> int:
    if kind is BlockKind.IPV6_PREFIX:  # one is enough for all the pods that there can be (spec 6.6)
        return 0 if held.blocks else 1
    if targets.by_ip:
        return -(-_short_of_addresses(targets, held) // kind.addresses)
    if kind is BlockKind.PREFIX:
        wanted = PREFIX_SIZE * targets.warm_prefix or 1
        return max(-(-(wanted - held.available) // PREFIX_SIZE), 0)
    wanted = limits.slots_per_eni * targets.warm_eni or 1
    return limits.slots_per_eni if held.available < wanted else 0


def addresses_short(targets: WarmTargets, limits: NodeLimits, held: Holdings) -> int:
    """Single addresses that are missing while prefixes are not to be had; below zero: that many are too many.

    They come from a subnet that is nearly full and take the slots that prefixes would, so without IP targets no more
    than `FALLBACK_WARM` are kept free.
    """
    if targets.by_ip:
        short = max(targets.warm_ip - held.available, targets.minimum_ip - held.total)
    else:
        short = (FALLBACK_WARM if targets.warm_prefix else 1) - held.available
    return min(short, limits.max_pods - held.total)


def surplus(targets: WarmTargets, limits: NodeLimits, held: Holdings, kind: BlockKind) -> int:
    """Blocks of the active kind that may be given back, so that no shortage comes of it; whole ENIs: see below.

    The original lacks that last condition, and with WARM_PREFIX_TARGET=0 takes and gives one prefix for ever.
    """
    if kind is BlockKind.IPV6_PREFIX:
        return 0
    if targets.by_ip:
        if kind is BlockKind.PREFIX:
            in_use = held.assigned + held.cooling + held.waiting
            need_warm = -(-(in_use + targets.warm_ip) // PREFIX_SIZE)
            need_minimum = -(-targets.minimum_ip // PREFIX_SIZE)
            over = held.blocks - max(need_warm, need_minimum)
        else:
            over = min(held.available - targets.warm_ip, held.total - targets.minimum_ip)
    elif kind is BlockKind.PREFIX:
        over = held.empty_blocks - targets.warm_prefix
    else:
        over = 0
    over = min(over, held.empty_blocks)
    while over > 0 and shortage(targets, limits, held.with_blocks(-over, kind), kind):
        over -= 1
    return max(over, 0)


def eni_is_extra(
    targets: WarmTargets, limits: NodeLimits, held: Holdings, without: Holdings, kind: BlockKind
) -> bool:
    """Whether an ENI without pods may be given back: `held` with it, `without` it (spec 6.7)."""
    if kind is BlockKind.IPV6_PREFIX or shortage(targets, limits, without, kind):
        return False
    if targets.by_ip:
        return True
    if kind is BlockKind.PREFIX:
        return without.empty_blocks >= targets.warm_prefix
    return held.available >= (targets.warm_eni + 1) * limits.slots_per_eni


def _short_of_addresses(targets: WarmTargets, held: Holdings) -> int:
    return max(targets.warm_ip - held.available, targets.minimum_ip - held.total, 0)
