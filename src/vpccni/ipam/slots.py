"""An ENI's slots, and how the next address is found among them without looking at each.

A slot holds a block: one address or sixteen, the same idea. Addresses are plain numbers in here, because hashing and
comparing `IPv4Address` costs more than the rest of an assignment.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from vpccni.ipam.values import Block, BlockKind, Eni

RELEASED = 1 << 32
"""Ranks from here on are turns of release; below it are never-used addresses, ranked by their number."""


@dataclass(slots=True)
class Tally:
    """What some slots hold together. Blocks on their way back to EC2 do not count."""

    total: int = 0
    assigned: int = 0
    cooling: int = 0
    blocks: int = 0
    empty_blocks: int = 0
    """Blocks without an assigned or cooling address: they could be given back."""

    @property
    def free(self) -> int:
        """Addresses that a pod could get now."""
        return self.total - self.assigned - self.cooling


@dataclass(slots=True, eq=False)
class Slot:
    """A block on its ENI. What it changes is counted in `tallies`: its ENI's and, if that is usable, the pool's."""

    block: Block
    holder: Holder
    kind: BlockKind
    tallies: tuple[Tally, ...]
    first: int
    size: int
    fresh: int
    """Bit i: the address `first + i` was never given to a pod."""
    released: deque[tuple[int, int, float]] = field(default_factory=deque)
    """(turn, address, when it was released) of those that have cooled, the longest ago first."""
    assigned: int = 0
    cooling: int = 0
    leaving: bool = False

    @property
    def free(self) -> int:
        """Addresses that are neither assigned nor cooling."""
        return self.size - self.assigned - self.cooling

    @property
    def empty(self) -> bool:
        """No pod has one of its addresses and none cools."""
        return not self.assigned and not self.cooling

    @property
    def rank(self) -> int:
        """The order of its next address among those of slots that are equally full. It must have a free one."""
        if self.fresh:
            return self.first + (self.fresh & -self.fresh).bit_length() - 1
        return self.released[0][0]

    def count(self, *, assigned: int = 0, cooling: int = 0) -> None:
        """Change its numbers, and those it is counted in."""
        before = self.empty
        self.assigned += assigned
        self.cooling += cooling
        became_empty = self.empty - before
        for tally in self.tallies:
            tally.assigned += assigned
            tally.cooling += cooling
            tally.empty_blocks += became_empty

    def enter_tallies(self, sign: int = 1) -> None:
        """Count it with all that it holds; with -1, no more."""
        for tally in self.tallies:
            tally.total += sign * self.size
            tally.assigned += sign * self.assigned
            tally.cooling += sign * self.cooling
            tally.blocks += sign
            tally.empty_blocks += sign * self.empty

    def take_next(self) -> tuple[int, float | None]:
        """Its next address: never used before, the lowest first; else the one released longest ago, and when that was."""
        if self.fresh:
            lowest = self.fresh & -self.fresh
            self.fresh ^= lowest
            return self.first + lowest.bit_length() - 1, None
        _, address, released_at = self.released.popleft()
        return address, released_at

    def take(self, address: int) -> bool:
        """This very address, if it is free."""
        bit = 1 << (address - self.first)
        if self.fresh & bit:
            self.fresh ^= bit
            return True
        for entry in self.released:
            if entry[1] == address:
                self.released.remove(entry)
                return True
        return False

    def put_back(self, address: int) -> None:
        """As if it had never been taken."""
        self.fresh |= 1 << (address - self.first)


@dataclass(slots=True, eq=False)
class WideSlot(Slot):
    """A block with more addresses than anybody could mark one by one: of those never used only the first is known.

    `fresh` counts on from the start; what a restart took out of turn, or was put back, is remembered beside it.
    """

    returned: list[int] = field(default_factory=list)
    out_of_turn: set[int] = field(default_factory=set)

    @property
    def rank(self) -> int:
        """As in `Slot`, by place in the block: numbers of IPv6 are beyond the turns of release."""
        return self.released[0][0] if self._none_fresh else self._next() - self.first

    @property
    def _none_fresh(self) -> bool:
        return not self.returned and self.fresh >= self.size

    def _next(self) -> int:
        return self.returned[0] if self.returned else self.first + self.fresh

    def take_next(self) -> tuple[int, float | None]:
        """As in `Slot`."""
        if self._none_fresh:
            _, address, released_at = self.released.popleft()
            return address, released_at
        address = self._next()
        self.take(address)
        return address, None

    def take(self, address: int) -> bool:
        """As in `Slot`."""
        if address in self.returned:
            self.returned.remove(address)
            heapq.heapify(self.returned)
            return True
        offset = address - self.first
        if offset >= self.fresh and address not in self.out_of_turn:
            self.out_of_turn.add(address)
            while self.first + self.fresh in self.out_of_turn:
                self.out_of_turn.remove(self.first + self.fresh)
                self.fresh += 1
            return True
        for entry in self.released:
            if entry[1] == address:
                self.released.remove(entry)
                return True
        return False

    def put_back(self, address: int) -> None:
        """As in `Slot`."""
        heapq.heappush(self.returned, address)


def new_slot(block: Block, holder: Holder, tallies: tuple[Tally, ...], first: int) -> Slot:
    """A slot of which nothing was ever used."""
    kind = block.kind
    if kind is BlockKind.IPV6_PREFIX:
        return WideSlot(block, holder, kind, tallies, first, kind.addresses, fresh=0)
    size = kind.addresses
    return Slot(block, holder, kind, tallies, first, size, fresh=(1 << size) - 1)


class Holder:
    """An ENI with its slots.

    For each kind, slots with a free address are in one heap per number of assigned addresses, by rank. Entries are
    not taken out when a slot changes: they are seen to be stale when they come to the top, and swept when they
    outnumber the slots. So every operation costs O(log n) in the ENI's slots.
    """

    __slots__ = (
        "_heaps",
        "_levels",
        "assigned",
        "busy",
        "eni",
        "order",
        "since",
        "slots",
        "tallies",
        "usable",
    )

    def __init__(self, eni: Eni, order: int, since: float, *, usable: bool) -> None:
        self.eni = eni
        self.order = order
        self.since = since
        self.usable = usable
        self.slots: dict[Block, Slot] = {}
        self.tallies = {kind: Tally() for kind in BlockKind}
        self.assigned = 0
        self.busy = 0
        """Assigned and cooling addresses."""
        # (rank, tie-break, slot); a block that left and came back is another slot of the same rank
        self._heaps: dict[BlockKind, dict[int, list[tuple[int, int, Slot]]]] = {
            kind: {} for kind in BlockKind
        }
        # bit i: the heap of slots with i assigned addresses has entries
        self._levels = dict.fromkeys(BlockKind, 0)

    def offer(self, slot: Slot) -> None:
        """Make the slot findable by what it has to give now."""
        if slot.leaving or not slot.free:
            return
        level = slot.assigned
        heap = self._heaps[slot.kind].setdefault(level, [])
        heapq.heappush(heap, (slot.rank, id(slot), slot))
        self._levels[slot.kind] |= 1 << level
        if len(heap) > 2 * len(self.slots) + 16:
            live = {entry[1]: entry for entry in heap if _current(entry, level)}
            heap[:] = live.values()
            heapq.heapify(heap)

    def fullest(self, kind: BlockKind) -> Slot | None:
        """Of the slots with a free address the one with most pods; among equals the lowest rank."""
        levels, heaps = self._levels[kind], self._heaps[kind]
        while levels:
            level = levels.bit_length() - 1
            heap = heaps[level]
            while heap:
                if _current(heap[0], level):
                    self._levels[kind] = levels
                    return heap[0][2]
                heapq.heappop(heap)
            levels ^= 1 << level
        self._levels[kind] = 0
        return None


def _current(entry: tuple[int, int, Slot], level: int) -> bool:
    rank, _, slot = entry
    return slot.assigned == level and not slot.leaving and slot.free > 0 and slot.rank == rank
