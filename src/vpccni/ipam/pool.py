"""The node's addresses: which ENI holds which block, and whose each address is.

Assigning and releasing cost O(log n) in ENIs and O(1) in pods and addresses; every count is kept, none is recomputed
(design, idea 6).
"""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

from vpccni.ipam.slots import RELEASED, Holder, Slot, Tally, new_slot
from vpccni.ipam.values import (
    Address,
    Assignment,
    Block,
    BlockKind,
    Cooling,
    Eni,
    EniId,
    Interface,
    Pod,
    SandboxKey,
    numbered_address,
)

ONLY = Interface()
SHIFTS = {BlockKind.PREFIX: 4, BlockKind.IPV6_PREFIX: 48}
"""By how many bits an address of a prefix is moved to find the prefix."""


class PoolError(Exception):
    """Something impossible was asked of the pool; it is unchanged."""


class UnknownEniError(PoolError):
    """The pool does not have this ENI."""


class DuplicateEniError(PoolError):
    """The pool has this ENI already."""


class UnknownBlockError(PoolError):
    """The ENI does not hold this block."""


class AddressHeldError(PoolError):
    """An address of the block is in the pool already."""


class InUseError(PoolError):
    """A pod has an address of it, or one cools."""


class NotAssignableError(PoolError):
    """This very address cannot be assigned to this sandbox."""


@dataclass(frozen=True, slots=True)
class EniView:
    """An ENI's numbers, both kinds of blocks together, for decisions, status and metrics."""

    eni: Eni
    since: float
    usable: bool
    blocks: int
    """Slots in use, those on their way back to EC2 included."""
    total: int
    assigned: int
    cooling: int

    @property
    def free(self) -> int:
        """Addresses that are neither assigned nor cooling nor on their way back."""
        return self.total - self.assigned - self.cooling


class Pool:
    """Every address of the node. Time is an argument: seconds, never going back."""

    def __init__(self, cooldown: float) -> None:
        self.cooldown = cooldown
        self._holders: dict[EniId, Holder] = {}
        self._idle: dict[EniId, Holder] = {}
        self._tallies = {kind: Tally() for kind in BlockKind}
        self._keys: dict[SandboxKey, tuple[Assignment, Slot]] = {}
        self._owners: dict[int, SandboxKey] = {}
        self._pods: dict[Pod, dict[SandboxKey, None]] = {}
        self._singles: dict[int, Slot] = {}
        self._prefixes: dict[int, Slot] = {}  # by address >> SHIFTS; no number of IPv4 is one of IPv6
        # the first to be free first
        self._cooling: deque[tuple[float, int]] = deque()
        # addresses that no ENI holds may be in it: they go on cooling if they come (back)
        self._cools_until: dict[int, float] = {}
        self._turn = RELEASED
        # (-assigned, order, ENI): the fullest first, then the one that came first; stale entries as in Holder
        self._fullest: dict[BlockKind, list[tuple[int, int, Holder]]] = {kind: [] for kind in BlockKind}
        self._orders = 0
        # single addresses that EC2 does not hold on their ENI: their pods keep them, and nobody gets them after
        self._on_trust: set[int] = set()
        self.shortest_reuse: float | None = None
        """Seconds between a release and the next assignment of the same address: the shortest there was."""

    # --- what is held ---------------------------------------------------------------------------------------

    def add_eni(self, eni: Eni, now: float, *, usable: bool = True) -> None:
        """An ENI without blocks; if not `usable`, no pod gets an address of it. Raises DuplicateEniError."""
        if eni.id in self._holders:
            raise DuplicateEniError(f"{eni.id} is in the pool already")
        self._orders += 1
        # the primary ENI can never be given back, so among equals it is filled first
        order = self._orders - (1 << 32) if eni.is_primary else self._orders
        holder = Holder(eni, order, now, usable=usable)
        self._holders[eni.id] = self._idle[eni.id] = holder

    def remove_eni(self, eni_id: EniId, *, force: bool = False) -> tuple[Assignment, ...]:
        """Take an ENI and its blocks out; what was taken from pods is returned.

        Raises UnknownEniError, and InUseError unless `force`.
        """
        holder = self._holder(eni_id)
        if holder.busy and not force:
            raise InUseError(f"{eni_id} has {holder.busy} assigned or cooling addresses")
        dropped = [a for block in list(holder.slots) for a in self.remove_block(eni_id, block, force=force)]
        del self._holders[eni_id]
        self._idle.pop(eni_id, None)
        return tuple(dropped)

    def set_usable(self, eni_id: EniId, *, usable: bool) -> None:
        """Whether pods get addresses of it from now on; those that have some keep them. Raises UnknownEniError."""
        holder = self._holder(eni_id)
        if holder.usable == usable:
            return
        holder.usable = usable
        for slot in holder.slots.values():
            shared = self._tallies[slot.kind]
            if not slot.leaving:
                slot.enter_tallies(-1)
            slot.tallies = (holder.tallies[slot.kind], *((shared,) if usable else ()))
            if not slot.leaving:
                slot.enter_tallies()
        self._offer_eni(holder)

    def add_block(self, eni_id: EniId, block: Block) -> None:
        """A block whose addresses may be assigned from now on, unless one is known to cool.

        EC2 gives no address twice: what is on its way back and comes again, on whichever ENI, has got there before
        we were told, and is taken out. Raises UnknownEniError, AddressHeldError.
        """
        holder = self._holder(eni_id)
        kind, first = block.kind, int(block.network.network_address)
        there = {slot.first: slot for a in self._known_in(block) if (slot := self._slot_at(a)) is not None}
        for other in there.values():
            if not other.leaving:
                raise AddressHeldError(f"{block} is in {other.holder.eni.id} already: it has {other.block}")
        for other in there.values():
            self.remove_block(other.holder.eni.id, other.block)
        tallies = (holder.tallies[kind], *((self._tallies[kind],) if holder.usable else ()))
        slot = new_slot(block, holder, tallies, first)
        for address in self._known_in(block):
            if address in self._cools_until and slot.take(address):
                slot.cooling += 1
        holder.slots[block] = slot
        if kind in SHIFTS:
            self._prefixes[first >> SHIFTS[kind]] = slot
        else:
            self._singles[first] = slot
        slot.enter_tallies()
        self._note_busy(holder, slot.cooling)
        self._offer(slot)

    def remove_block(self, eni_id: EniId, block: Block, *, force: bool = False) -> tuple[Assignment, ...]:
        """Take a block out; what was taken from pods is returned.

        Raises UnknownEniError, UnknownBlockError, and InUseError unless `force`. A cooldown outlives it.
        """
        slot = self._slot(eni_id, block)
        if not slot.empty and not force:
            raise InUseError(
                f"{block} of {eni_id} has {slot.assigned} assigned and {slot.cooling} cooling addresses"
            )
        dropped: list[Assignment] = []
        for address in self._known_in(block) if slot.assigned else ():
            if (key := self._owners.get(address)) is not None:
                dropped.append(self._forget(key)[0])
                slot.put_back(address)
        if not slot.leaving:
            slot.enter_tallies(-1)
        self._note_busy(slot.holder, -slot.cooling)
        slot.leaving = True  # entries of it may be left in heaps
        self._offer_eni(slot.holder)
        del slot.holder.slots[block]
        if slot.kind in SHIFTS:
            del self._prefixes[slot.first >> SHIFTS[slot.kind]]
        else:
            del self._singles[slot.first]
            self._on_trust.discard(slot.first)
        return tuple(dropped)

    def set_leaving(self, eni_id: EniId, block: Block, *, leaving: bool) -> None:
        """Mark an empty block as being given back: its addresses are not assigned any more. Or unmark it.

        Raises UnknownEniError, UnknownBlockError, InUseError.
        """
        slot = self._slot(eni_id, block)
        if slot.leaving == leaving:
            return
        if not slot.empty:
            raise InUseError(f"{block} of {eni_id} is in use")
        slot.leaving = leaving
        slot.enter_tallies(-1 if leaving else 1)
        self._offer(slot)

    # --- whose it is ----------------------------------------------------------------------------------------

    def assign(
        self, key: SandboxKey, pod: Pod, now: float, kind: BlockKind, interface: Interface = ONLY
    ) -> Assignment | None:
        """An address for the sandbox: the one it has, else a free one of the fullest ENI, else None."""
        known = self._keys.get(key)
        if known is not None:
            return known[0]
        self.advance(now)
        slot = self._next_slot(kind)
        if slot is None:
            return None
        address, released_at = slot.take_next()
        if released_at is not None:
            age = now - released_at
            self.shortest_reuse = age if self.shortest_reuse is None else min(age, self.shortest_reuse)
        return self._give(
            slot, Assignment(key, pod, numbered_address(address), slot.holder.eni.id, now, interface)
        )

    def restore(self, assignment: Assignment) -> Assignment:
        """Give the very address of an earlier assignment, with the ENI that holds it now.

        Raises NotAssignableError if no ENI does, if it is not free, or if the sandbox has another.
        """
        if assignment.key in self._keys:
            raise NotAssignableError(f"{assignment.key} has {self._keys[assignment.key][0].address} already")
        address = assignment.address
        slot = self._slot_at(int(address))
        if slot is None:
            raise NotAssignableError(f"{address} is on no ENI")
        if slot.leaving or not slot.take(int(address)):
            owner = self.owner(address)
            why = f"{owner} has it" if owner else "it cools or is being given back"
            raise NotAssignableError(f"{address} is not free: {why}")
        return self._give(slot, replace(assignment, eni=slot.holder.eni.id))

    def release(self, key: SandboxKey, now: float) -> Assignment | None:
        """Take the sandbox's address back; it cools. None if the sandbox has none."""
        if key not in self._keys:
            return None
        self.advance(now)
        assignment, slot = self._forget(key)
        address = int(assignment.address)
        self._cool(slot, address, now + self.cooldown)
        if address in self._on_trust:
            self.remove_block(slot.holder.eni.id, slot.block, force=True)
        return assignment

    def trust(self, address: Address) -> None:
        """EC2 is not known to hold this single address on its ENI: it is its pod's, and nobody's after that."""
        if int(address) in self._singles:
            self._on_trust.add(int(address))

    def trusted(self, eni_id: EniId) -> frozenset[Block]:
        """Blocks of the ENI that are only kept for their pods. Raises UnknownEniError."""
        slots = (self._singles.get(address) for address in self._on_trust)
        return frozenset(slot.block for slot in slots if slot and slot.holder is self._holder(eni_id))

    def confirm(self, block: Block) -> None:
        """EC2 holds it after all."""
        self._on_trust.discard(int(block.network.network_address))

    def undo(self, key: SandboxKey) -> None:
        """Take back an address that the sandbox never heard of: it does not cool."""
        if key in self._keys:
            assignment, slot = self._forget(key)
            slot.put_back(int(assignment.address))
            self._offer(slot)

    def cool(self, cooling: Cooling, now: float) -> None:
        """Go on with a cooldown of before a restart; one longer than our own (the clock was set) is cut to ours.

        An address that a pod has does not cool; one that no ENI holds is remembered.
        """
        address, until = int(cooling.address), min(cooling.until, now + self.cooldown)
        if until <= now or address in self._cools_until:
            return
        slot = self._slot_at(address)
        if slot is not None and (slot.leaving or not slot.take(address)):
            return
        self._cool(slot, address, until)

    def advance(self, now: float) -> None:
        """Let addresses whose time has come be free again."""
        while self._cooling and self._cooling[0][0] <= now:
            until, address = self._cooling.popleft()
            del self._cools_until[address]
            slot = self._slot_at(address)
            if slot is None:
                continue
            self._turn += 1
            slot.released.append((self._turn, address, until - self.cooldown))
            self._count(slot, cooling=-1)
            self._offer(slot)

    # --- questions ------------------------------------------------------------------------------------------

    def tally(self, kind: BlockKind) -> Tally:
        """The numbers of all blocks of this kind on usable ENIs. Live: read, do not keep."""
        return self._tallies[kind]

    @property
    def total(self) -> dict[BlockKind, int]:
        """Addresses on usable ENIs, by kind; those of IPv6 only if there are any."""
        return {kind: t.total for kind, t in self._tallies.items() if t.total or kind.version == 4}

    @property
    def assigned(self) -> dict[BlockKind, int]:
        """Addresses that pods have on usable ENIs, by kind; those of IPv6 only if there are any."""
        return {kind: t.assigned for kind, t in self._tallies.items() if t.total or kind.version == 4}

    @property
    def cooling_count(self) -> int:
        """How many addresses cool, on whichever ENI or none."""
        return len(self._cools_until)

    @property
    def assigned_count(self) -> int:
        """How many addresses pods have, on whichever ENI."""
        return len(self._keys)

    def find(self, key: SandboxKey) -> Assignment | None:
        """What the sandbox has."""
        known = self._keys.get(key)
        return known[0] if known else None

    def owner(self, address: Address) -> SandboxKey | None:
        """Whose the address is."""
        return self._owners.get(int(address))

    def of_pod(self, pod: Pod) -> tuple[Assignment, ...]:
        """Every assignment under this pod's name."""
        return tuple(self._keys[key][0] for key in self._pods.get(pod, ()))

    def assignments(self) -> Iterator[Assignment]:
        """Every assignment, in the order in which they were made."""
        return (assignment for assignment, _ in self._keys.values())

    def cooling(self) -> tuple[Cooling, ...]:
        """Every cooling address, the first to be free first."""
        return tuple(Cooling(numbered_address(address), until) for until, address in self._cooling)

    def next_free_at(self, kind: BlockKind | None = None) -> float | None:
        """When the next cooling address becomes free; of this kind and assignable, if a kind is given."""
        if kind is None:
            return self._cooling[0][0] if self._cooling else None
        for until, address in self._cooling:
            slot = self._slot_at(address)
            if slot is not None and slot.kind is kind and slot.holder.usable:
                return until
        return None

    def holds(self, address: Address) -> bool:
        """Whether some ENI holds the address."""
        return self._slot_at(int(address)) is not None

    def enis(self) -> tuple[EniView, ...]:
        """Every ENI's numbers, the one that came first first."""
        return tuple(_view(holder) for holder in self._holders.values())

    def idle_enis(self) -> tuple[EniView, ...]:
        """ENIs without an assigned or cooling address."""
        return tuple(_view(holder) for holder in self._idle.values())

    def eni(self, eni_id: EniId) -> EniView:
        """One ENI's numbers. Raises UnknownEniError."""
        return _view(self._holder(eni_id))

    def eni_tally(self, eni_id: EniId, kind: BlockKind) -> Tally:
        """One ENI's numbers for one kind of blocks. Live: read, do not keep. Raises UnknownEniError."""
        return self._holder(eni_id).tallies[kind]

    def has_eni(self, eni_id: EniId) -> bool:
        """Whether the pool has it."""
        return eni_id in self._holders

    @property
    def eni_count(self) -> int:
        """ENIs, usable or not."""
        return len(self._holders)

    def has_block(self, eni_id: EniId, block: Block) -> bool:
        """Whether the ENI holds it, on its way back or not. Raises UnknownEniError."""
        return block in self._holder(eni_id).slots

    def blocks_of(self, eni_id: EniId) -> tuple[Block, ...]:
        """What the ENI holds, those on their way back included. Raises UnknownEniError."""
        return tuple(self._holder(eni_id).slots)

    def empty_blocks_of(self, eni_id: EniId, kind: BlockKind) -> tuple[Block, ...]:
        """Blocks that could be given back: nothing assigned, nothing cooling, not on their way already.

        The lowest comes first. O(n) in the ENI's slots, if there are any such. Raises UnknownEniError.
        """
        holder = self._holder(eni_id)
        if not holder.tallies[kind].empty_blocks:
            return ()
        slots = holder.slots.values()
        found = [slot for slot in slots if slot.kind is kind and slot.empty and not slot.leaving]
        return tuple(slot.block for slot in sorted(found, key=lambda slot: slot.first))

    # --- inside ---------------------------------------------------------------------------------------------

    def _holder(self, eni_id: EniId) -> Holder:
        try:
            return self._holders[eni_id]
        except KeyError:
            raise UnknownEniError(f"{eni_id} is not in the pool") from None

    def _slot(self, eni_id: EniId, block: Block) -> Slot:
        slot = self._holder(eni_id).slots.get(block)
        if slot is None:
            raise UnknownBlockError(f"{eni_id} does not hold {block}")
        return slot

    def _slot_at(self, address: int) -> Slot | None:
        return (
            self._singles.get(address)
            or self._prefixes.get(address >> SHIFTS[BlockKind.PREFIX])
            or self._prefixes.get(address >> SHIFTS[BlockKind.IPV6_PREFIX])
        )

    def _known_in(self, block: Block) -> Iterable[int]:
        """The block's addresses; of a block that is too large for that, those that something is known about."""
        first, size = int(block.network.network_address), block.kind.addresses
        if block.kind is not BlockKind.IPV6_PREFIX:
            return range(first, first + size)
        known = {first, *self._owners, *self._cools_until, *self._singles}
        return sorted(address for address in known if first <= address < first + size)

    def _give(self, slot: Slot, assignment: Assignment) -> Assignment:
        self._count(slot, assigned=1)
        self._keys[assignment.key] = (assignment, slot)
        self._owners[int(assignment.address)] = assignment.key
        self._pods.setdefault(assignment.pod, {})[assignment.key] = None
        self._offer(slot)
        return assignment

    def _forget(self, key: SandboxKey) -> tuple[Assignment, Slot]:
        """The sandbox has nothing any more; what becomes of the address is the caller's to say."""
        assignment, slot = known = self._keys.pop(key)
        del self._owners[int(assignment.address)]
        mates = self._pods[assignment.pod]
        del mates[key]
        if not mates:
            del self._pods[assignment.pod]
        self._count(slot, assigned=-1)
        return known

    def _cool(self, slot: Slot | None, address: int, until: float) -> None:
        self._cools_until[address] = until
        entry = (until, address)
        if not self._cooling or self._cooling[-1][0] <= until:
            self._cooling.append(entry)
        else:
            bisect.insort(self._cooling, entry, key=itemgetter(0))
        if slot is not None:
            self._count(slot, cooling=1)
            self._offer(slot)

    def _count(self, slot: Slot, *, assigned: int = 0, cooling: int = 0) -> None:
        slot.count(assigned=assigned, cooling=cooling)
        slot.holder.assigned += assigned
        self._note_busy(slot.holder, assigned + cooling)

    def _note_busy(self, holder: Holder, change: int) -> None:
        holder.busy += change
        if holder.busy == 0:
            self._idle[holder.eni.id] = holder
        else:
            self._idle.pop(holder.eni.id, None)

    def _offer(self, slot: Slot) -> None:
        """Make the slot findable in its ENI, and the ENI by how full it is now."""
        slot.holder.offer(slot)
        self._offer_eni(slot.holder)

    def _offer_eni(self, holder: Holder) -> None:
        if not holder.usable:
            return
        entry = (-holder.assigned, holder.order, holder)
        for kind, heap in self._fullest.items():
            if holder.tallies[kind].free and (not heap or heap[0] != entry):
                heapq.heappush(heap, entry)
                if len(heap) > 2 * len(self._holders) + 64:
                    live = {old[1]: old for old in heap if self._current(old, kind)}
                    heap[:] = live.values()
                    heapq.heapify(heap)

    def _next_slot(self, kind: BlockKind) -> Slot | None:
        heap = self._fullest[kind]
        while heap:
            if self._current(heap[0], kind):
                return heap[0][2].fullest(kind)
            heapq.heappop(heap)
        return None

    def _current(self, entry: tuple[int, int, Holder], kind: BlockKind) -> bool:
        count, _, holder = entry
        return (
            holder.assigned == -count
            and holder.usable
            and holder.tallies[kind].free > 0
            and self._holders.get(holder.eni.id) is holder
        )


def _view(holder: Holder) -> EniView:
    total = assigned = cooling = 0
    for tally in holder.tallies.values():
        total += tally.total
        assigned += tally.assigned
        cooling += tally.cooling
    return EniView(holder.eni, holder.since, holder.usable, len(holder.slots), total, assigned, cooling)
