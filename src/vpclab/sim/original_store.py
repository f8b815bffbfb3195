"""The original's data store as a model: which address a pod gets, what counts as available, what may go (spec 6.1-6.5, 6.7).

Written from the specification's facts. What matters for costs is kept as it is there: any ENI and any block in map order, and
addresses that cool count as available and may be given back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vpccni.ipam.values import Assignment, Block, BlockKind, EniId, Pod, SandboxKey

YOUNG = 60.0
"""Seconds for which an ENI is not removed (spec 6.7)."""


@dataclass(slots=True)
class StoredBlock:
    """One CIDR of an ENI: who has which address, and when addresses were given back."""

    block: Block
    assigned: set[int] = field(default_factory=set)
    freed_at: dict[int, float] = field(default_factory=dict)

    def free_address(self, now: float, cooldown: float) -> int | None:
        """The first used one that has cooled, else the lowest that was never used (spec 6.2)."""
        cooled = [address for address, at in self.freed_at.items() if now - at > cooldown]
        for address in cooled:
            del self.freed_at[address]
        if cooled:
            return cooled[0]
        first = int(self.block.network.network_address)
        for address in range(first, first + self.block.kind.addresses):
            if address not in self.assigned and address not in self.freed_at:
                return address
        return None

    def cools(self, now: float, cooldown: float) -> bool:
        """Whether an address of it was given back lately."""
        return any(now - at <= cooldown for at in self.freed_at.values())


@dataclass(slots=True)
class StoredEni:
    """An ENI of the store."""

    id: EniId
    primary: bool
    since: float
    blocks: dict[Block, StoredBlock] = field(default_factory=dict)
    assigned: int = 0


class OriginalStore:
    """One node's. Counts are kept where the original counts anew: what it says is the same, only faster."""

    def __init__(self, kind: BlockKind, cooldown: float, chance: random.Random) -> None:
        self.kind = kind
        self.cooldown = cooldown
        self.enis: dict[EniId, StoredEni] = {}
        self.total = 0
        self.assigned = 0
        self._keys: dict[SandboxKey, tuple[StoredEni, StoredBlock, Assignment]] = {}
        self._chance = chance

    @property
    def available(self) -> int:
        """Total less assigned: what cools counts (spec 6.5)."""
        return self.total - self.assigned

    @property
    def prefixes(self) -> int:
        """All prefixes."""
        return sum(1 for eni in self.enis.values() for block in eni.blocks if block.kind is BlockKind.PREFIX)

    @property
    def free_prefixes(self) -> int:
        """Prefixes without an assigned address."""
        return sum(
            1
            for eni in self.enis.values()
            for stored in eni.blocks.values()
            if stored.block.kind is BlockKind.PREFIX and not stored.assigned
        )

    def in_map_order(self) -> list[StoredEni]:
        """Go's maps begin anywhere."""
        enis = list(self.enis.values())
        self._chance.shuffle(enis)
        return enis

    def add_eni(self, eni: EniId, blocks: tuple[Block, ...], now: float, *, primary: bool = False) -> None:
        """With what it holds."""
        self.enis[eni] = StoredEni(eni, primary, now)
        for block in blocks:
            self.add_block(eni, block)

    def add_block(self, eni: EniId, block: Block) -> None:
        """One more; one that is there stays as it is."""
        blocks = self.enis[eni].blocks
        if block not in blocks:
            blocks[block] = StoredBlock(block)
            self.total += block.kind.addresses if block.kind is self.kind else 0

    def remove_block(self, eni: EniId, block: Block) -> None:
        """Without asking who has an address of it: the caller has."""
        stored = self.enis[eni].blocks.pop(block)
        if block.kind is self.kind:
            self.total -= block.kind.addresses
            self.assigned -= len(stored.assigned)
        self.enis[eni].assigned -= len(stored.assigned)

    def remove_eni(self, eni: EniId) -> None:
        """With all that it holds."""
        for block in list(self.enis[eni].blocks):
            self.remove_block(eni, block)
        del self.enis[eni]

    def assign(self, key: SandboxKey, pod: Pod, now: float) -> Assignment | None:
        """Any free address of any ENI (spec 6.2)."""
        known = self._keys.get(key)
        if known is not None:
            return known[2]
        if self.available <= 0:
            return None
        for eni in self.in_map_order():
            blocks = list(eni.blocks.values())
            self._chance.shuffle(blocks)
            for stored in blocks:
                if stored.block.kind is not self.kind:
                    continue
                address = stored.free_address(now, self.cooldown)
                if address is not None:
                    given = Assignment(key, pod, IPv4Address(address), eni.id, now)
                    stored.freed_at.pop(address, None)
                    stored.assigned.add(address)
                    eni.assigned += 1
                    self.assigned += 1
                    self._keys[key] = (eni, stored, given)
                    return given
        return None

    def release(self, key: SandboxKey, now: float) -> None:
        """It cools, and counts as available."""
        known = self._keys.pop(key, None)
        if known is None:
            return
        eni, stored, given = known
        if eni.blocks.get(stored.block) is not stored:
            return
        stored.assigned.discard(int(given.address))
        stored.freed_at[int(given.address)] = now
        eni.assigned -= 1
        if stored.block.kind is self.kind:
            self.assigned -= 1

    def removable(self, now: float, *, warm_ip: int, minimum_ip: int, warm_prefix: int) -> EniId | None:
        """The first ENI that nobody needs (spec 6.7, "ENI removal"), in map order."""
        if len(self.enis) < 2:
            return None
        for eni in self.in_map_order():
            if eni.primary or eni.assigned or now - eni.since < YOUNG:
                continue
            if any(stored.cools(now, self.cooldown) for stored in eni.blocks.values()):
                continue
            own = sum(b.kind.addresses for b in eni.blocks if b.kind is self.kind)
            others_total = self.total - own
            if warm_ip and others_total - self.assigned < self._rounded(warm_ip):
                continue
            if minimum_ip and others_total < self._rounded(minimum_ip):
                continue
            if self.kind is BlockKind.PREFIX and warm_prefix:
                own_prefixes = sum(1 for b in eni.blocks if b.kind is BlockKind.PREFIX)
                if self.free_prefixes - own_prefixes < warm_prefix:
                    continue
            return eni.id
        return None

    def freeable(self, eni: StoredEni) -> list[Block]:
        """Blocks of any kind without an assigned address; cooling does not count (spec 6.7, 11.1 number 7)."""
        return [stored.block for stored in eni.blocks.values() if not stored.assigned]

    def _rounded(self, target: int) -> int:
        size = self.kind.addresses
        return -(-target // size) * size
