"""The node's addresses: which ENI holds which block, and whose each address is.

A block is one slot of an ENI: one address or sixteen, the same idea. Assigning and releasing cost O(log n) in ENIs and
O(1) in pods and addresses; every count is kept, none is recomputed (design, idea 6).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vpccni.ipam.values import Assignment, Block, BlockKind, Cooling, Eni, EniId, Pod, SandboxKey


class PoolError(Exception):
    """Something impossible was asked of the pool; it is unchanged."""


@dataclass(slots=True, eq=False)
class _Slot:
    """A block on its ENI.

    `free` holds addresses in the order in which they are given: new ones by number, then released ones, the longest
    ago first.
    """

    block: Block
    holder: _Holder
    free: deque[IPv4Address]
    assigned: int = 0
    cooling: int = 0
    leaving: bool = False

    @property
    def empty(self) -> bool:
        """No pod has one of its addresses and none cools."""
        return self.assigned == 0 and self.cooling == 0


@dataclass(slots=True, eq=False)
class _Holder:
    """An ENI and its slots. Slots with a free address are kept by how many of theirs are assigned."""

    eni: Eni
    order: int
    since: float
    usable: bool = True
    slots: dict[Block, _Slot] = field(default_factory=dict)
    by_use: dict[BlockKind, list[dict[Block, _Slot]]] = field(
        default_factory=lambda: {kind: [{} for _ in range(kind.addresses)] for kind in BlockKind}
    )
    assigned: int = 0
    cooling: int = 0
    counts: dict[BlockKind, int] = field(default_factory=lambda: dict.fromkeys(BlockKind, 0))
    free: dict[BlockKind, int] = field(default_factory=lambda: dict.fromkeys(BlockKind, 0))

    def fullest(self, kind: BlockKind) -> _Slot | None:
        """Of the slots with a free address, the one with most pods."""
        for bucket in reversed(self.by_use[kind]):
            if bucket:
                return next(iter(bucket.values()))
        return None


@dataclass(frozen=True, slots=True)
class EniView:
    """An ENI's numbers, for decisions, status and metrics."""

    eni: Eni
    since: float
    usable: bool
    blocks: int
    total: int
    assigned: int
    cooling: int
    free: int


class Pool:
    """Every address of the node. Time is an argument: seconds, never going back."""

    def __init__(self, cooldown: float) -> None:
        self.cooldown = cooldown
        self._holders: dict[EniId, _Holder] = {}
        self._keys: dict[SandboxKey, tuple[Assignment, _Slot]] = {}
        self._owners: dict[IPv4Address, SandboxKey] = {}
        self._pods: dict[Pod, dict[SandboxKey, None]] = {}
        self._slot_of: dict[IPv4Address, _Slot] = {}
        self._cooling: deque[tuple[float, IPv4Address]] = deque()
        self._cooling_until: dict[IPv4Address, float] = {}
        # (-assigned, order, id): the fullest ENI first, then the one that came first. An entry is pushed whenever an
        # ENI's count or free addresses change; stale ones are dropped when they come to the top
        self._fullest: dict[BlockKind, list[tuple[int, int, EniId]]] = {kind: [] for kind in BlockKind}
        self._orders = 0
        # by kind, over usable ENIs; blocks on their way back do not count
        self.total = dict.fromkeys(BlockKind, 0)
        self.free = dict.fromkeys(BlockKind, 0)
        self.assigned = dict.fromkeys(BlockKind, 0)
        self.blocks = dict.fromkeys(BlockKind, 0)
        self.empty_blocks = dict.fromkeys(BlockKind, 0)

    # --- what is held ---------------------------------------------------------------------------------------

    def add_eni(self, eni: Eni, now: float, *, usable: bool = True) -> None:
        """An ENI without blocks. Raises PoolError if the pool has it."""
        if eni.id in self._holders:
            raise PoolError(f"{eni.id} is in the pool already")
        # the primary ENI can never be given back, so among equals it is filled first
        self._orders += 1
        order = 0 if eni.is_primary else self._orders
        self._holders[eni.id] = _Holder(eni, order, now, usable)

    def remove_eni(self, eni_id: EniId) -> None:
        """Take an ENI and its blocks out. Raises PoolError if a pod has one of its addresses or one cools."""
        holder = self._holder(eni_id)
        if holder.assigned or holder.cooling:
            raise PoolError(f"{eni_id} has {holder.assigned} assigned and {holder.cooling} cooling addresses")
        for block in list(holder.slots):
            self.remove_block(eni_id, block)
        del self._holders[eni_id]

    def add_block(self, eni_id: EniId, block: Block) -> None:
        """A block whose addresses may be assigned from now on. Raises PoolError if one of them is in the pool."""
        holder = self._holder(eni_id)
        addresses = list(block.network)
        taken = [a for a in addresses if a in self._slot_of]
        if taken:
            raise PoolError(f"{taken[0]} of {block} is in the pool already")
        slot = _Slot(block, holder, deque(addresses))
        holder.slots[block] = slot
        holder.counts[block.kind] += 1
        self.blocks[block.kind] += 1
        self.empty_blocks[block.kind] += 1
        self._count_free(slot, len(addresses))
        self._count_total(slot, len(addresses))
        for address in addresses:
            self._slot_of[address] = slot
        self._index(slot)

    def remove_block(self, eni_id: EniId, block: Block) -> None:
        """Take a block out. Raises PoolError if a pod has one of its addresses or one cools."""
        holder = self._holder(eni_id)
        slot = holder.slots.get(block)
        if slot is None:
            raise PoolError(f"{eni_id} does not hold {block}")
        if not slot.empty:
            raise PoolError(
                f"{block} of {eni_id} has {slot.assigned} assigned and {slot.cooling} cooling addresses"
            )
        self._unindex(slot)
        if not slot.leaving:
            self._count_free(slot, -len(slot.free))
            self._count_total(slot, -block.kind.addresses)
            self.blocks[block.kind] -= 1
            self.empty_blocks[block.kind] -= 1
        del holder.slots[block]
        holder.counts[block.kind] -= 1
        for address in block.network:
            del self._slot_of[address]

    def set_leaving(self, eni_id: EniId, block: Block, *, leaving: bool) -> None:
        """Mark an empty block as being given back: none of its addresses is assigned any more. Or unmark it."""
        slot = self._holder(eni_id).slots[block]
        if slot.leaving == leaving:
            return
        if leaving and not slot.empty:
            raise PoolError(f"{block} of {eni_id} is in use")
        if leaving:
            self._unindex(slot)
        slot.leaving = leaving
        sign = -1 if leaving else 1
        self._count_free(slot, sign * len(slot.free))
        self._count_total(slot, sign * block.kind.addresses)
        self.blocks[block.kind] += sign
        self.empty_blocks[block.kind] += sign
        if not leaving:
            self._index(slot)

    # --- whose it is ----------------------------------------------------------------------------------------

    def assign(self, key: SandboxKey, pod: Pod, now: float, kind: BlockKind) -> Assignment | None:
        """An address for the sandbox: the one it has, else a free one of the fullest ENI, else None."""
        known = self._keys.get(key)
        if known is not None:
            return known[0]
        self.advance(now)
        slot = self._next_slot(kind)
        if slot is None:
            return None
        self._unindex(slot)
        address = slot.free.popleft()
        return self._give(slot, Assignment(key, pod, address, slot.holder.eni.id, now))

    def restore(self, assignment: Assignment) -> None:
        """Give the very address of an earlier assignment. Raises PoolError if it is not free here."""
        slot = self._slot_of.get(assignment.address)
        if slot is None:
            raise PoolError(f"{assignment.address} is on no ENI")
        if assignment.key in self._keys:
            raise PoolError(f"{assignment.key} has {self._keys[assignment.key][0].address} already")
        if assignment.address not in slot.free:
            raise PoolError(f"{assignment.address} is not free")
        self._unindex(slot)
        slot.free.remove(assignment.address)
        self._give(
            slot,
            Assignment(
                assignment.key, assignment.pod, assignment.address, slot.holder.eni.id, assignment.assigned_at
            ),
        )

    def release(self, key: SandboxKey, now: float) -> Assignment | None:
        """Take the sandbox's address back; it cools. None if the sandbox has none."""
        taken = self._take(key)
        if taken is None:
            return None
        self.advance(now)
        assignment, slot = taken
        self._cool(slot, assignment.address, now + self.cooldown)
        self._index(slot)
        return assignment

    def undo(self, key: SandboxKey) -> None:
        """Take back an address that the sandbox never heard of: it can be given at once."""
        taken = self._take(key)
        if taken is None:
            return
        assignment, slot = taken
        slot.free.appendleft(assignment.address)
        self._count_free(slot, 1)
        if slot.empty:
            self.empty_blocks[slot.block.kind] += 1
        self._index(slot)

    def cool(self, cooling: Cooling, now: float) -> None:
        """Go on with a cooldown of before a restart; one longer than our own (the clock was set) is cut to ours."""
        slot = self._slot_of.get(cooling.address)
        if slot is None or cooling.address not in slot.free or cooling.until <= now:
            return
        self._unindex(slot)
        slot.free.remove(cooling.address)
        self._count_free(slot, -1)
        if slot.empty:
            self.empty_blocks[slot.block.kind] -= 1
        self._cool(slot, cooling.address, min(cooling.until, now + self.cooldown))
        self._cooling = deque(sorted(self._cooling))
        self._index(slot)

    def advance(self, now: float) -> None:
        """Let addresses whose time has come be free again."""
        while self._cooling and self._cooling[0][0] <= now:
            _, address = self._cooling.popleft()
            del self._cooling_until[address]
            slot = self._slot_of[address]
            self._unindex(slot)
            slot.free.append(address)
            slot.cooling -= 1
            slot.holder.cooling -= 1
            self._count_free(slot, 1)
            if slot.empty:
                self.empty_blocks[slot.block.kind] += 1
            self._index(slot)

    # --- questions ------------------------------------------------------------------------------------------

    def find(self, key: SandboxKey) -> Assignment | None:
        """What the sandbox has."""
        known = self._keys.get(key)
        return known[0] if known else None

    def owner(self, address: IPv4Address) -> SandboxKey | None:
        """Whose the address is."""
        return self._owners.get(address)

    def of_pod(self, pod: Pod) -> tuple[Assignment, ...]:
        """Every assignment under this pod's name."""
        return tuple(self._keys[key][0] for key in self._pods.get(pod, ()))

    def assignments(self) -> Iterator[Assignment]:
        """Every assignment, in the order in which they were made."""
        return (assignment for assignment, _ in self._keys.values())

    def cooling(self) -> tuple[Cooling, ...]:
        """Every cooling address, the first to be free first."""
        return tuple(Cooling(address, until) for until, address in self._cooling)

    @property
    def cooling_count(self) -> int:
        """How many addresses cool."""
        return len(self._cooling)

    @property
    def next_free_at(self) -> float | None:
        """When the next cooling address becomes free."""
        return self._cooling[0][0] if self._cooling else None

    def holds(self, address: IPv4Address) -> bool:
        """Whether some ENI holds the address."""
        return address in self._slot_of

    def enis(self) -> tuple[EniView, ...]:
        """Every ENI's numbers, the one that came first first."""
        return tuple(self._view(h) for h in self._holders.values())

    def eni(self, eni_id: EniId) -> EniView:
        """One ENI's numbers. Raises PoolError if the pool does not have it."""
        return self._view(self._holder(eni_id))

    def has_eni(self, eni_id: EniId) -> bool:
        """Whether the pool has it."""
        return eni_id in self._holders

    def blocks_of(self, eni_id: EniId) -> tuple[Block, ...]:
        """What the ENI holds, those on their way back included."""
        return tuple(self._holder(eni_id).slots)

    def empty_blocks_of(self, eni_id: EniId, kind: BlockKind) -> Iterable[Block]:
        """Blocks that could be given back: nothing assigned, nothing cooling, not on their way already."""
        holder = self._holder(eni_id)
        return (block for block, slot in holder.by_use[kind][0].items() if slot.empty)

    # --- inside ---------------------------------------------------------------------------------------------

    def _holder(self, eni_id: EniId) -> _Holder:
        try:
            return self._holders[eni_id]
        except KeyError:
            raise PoolError(f"{eni_id} is not in the pool") from None

    def _view(self, h: _Holder) -> EniView:
        total = sum(h.counts[kind] * kind.addresses for kind in BlockKind)
        return EniView(
            h.eni, h.since, h.usable, len(h.slots), total, h.assigned, h.cooling, sum(h.free.values())
        )

    def _give(self, slot: _Slot, assignment: Assignment) -> Assignment:
        if slot.empty:
            self.empty_blocks[slot.block.kind] -= 1
        slot.assigned += 1
        slot.holder.assigned += 1
        self.assigned[slot.block.kind] += 1
        self._count_free(slot, -1)
        self._keys[assignment.key] = (assignment, slot)
        self._owners[assignment.address] = assignment.key
        self._pods.setdefault(assignment.pod, {})[assignment.key] = None
        self._index(slot)
        return assignment

    def _take(self, key: SandboxKey) -> tuple[Assignment, _Slot] | None:
        known = self._keys.pop(key, None)
        if known is None:
            return None
        assignment, slot = known
        del self._owners[assignment.address]
        mates = self._pods[assignment.pod]
        del mates[key]
        if not mates:
            del self._pods[assignment.pod]
        self._unindex(slot)
        slot.assigned -= 1
        slot.holder.assigned -= 1
        self.assigned[slot.block.kind] -= 1
        return known

    def _cool(self, slot: _Slot, address: IPv4Address, until: float) -> None:
        slot.cooling += 1
        slot.holder.cooling += 1
        self._cooling.append((until, address))
        self._cooling_until[address] = until

    def _count_free(self, slot: _Slot, change: int) -> None:
        slot.holder.free[slot.block.kind] += change
        if slot.holder.usable:
            self.free[slot.block.kind] += change

    def _count_total(self, slot: _Slot, change: int) -> None:
        if slot.holder.usable:
            self.total[slot.block.kind] += change

    def _index(self, slot: _Slot) -> None:
        """Make the slot findable, if it has something to give, and its ENI by how full that is now."""
        if slot.free and not slot.leaving:
            slot.holder.by_use[slot.block.kind][slot.assigned][slot.block] = slot
        holder = slot.holder
        if not holder.usable:
            return
        entry = (-holder.assigned, holder.order, holder.eni.id)
        for kind, heap in self._fullest.items():
            if holder.free[kind] and (not heap or heap[0] != entry):
                heapq.heappush(heap, entry)
                if len(heap) > 64 + 4 * len(self._holders):
                    self._rebuild(kind)

    def _unindex(self, slot: _Slot) -> None:
        if slot.free and not slot.leaving:
            slot.holder.by_use[slot.block.kind][slot.assigned].pop(slot.block, None)

    def _rebuild(self, kind: BlockKind) -> None:
        heap = [
            (-h.assigned, h.order, h.eni.id) for h in self._holders.values() if h.usable and h.fullest(kind)
        ]
        heapq.heapify(heap)
        self._fullest[kind] = heap

    def _next_slot(self, kind: BlockKind) -> _Slot | None:
        heap = self._fullest[kind]
        while heap:
            count, _, eni_id = heap[0]
            holder = self._holders.get(eni_id)
            if (
                holder is not None
                and holder.assigned == -count
                and (slot := holder.fullest(kind)) is not None
            ):
                return slot
            heapq.heappop(heap)
        return None
