"""Which addresses of one subnet are taken: a 16-bit mask for each aligned block of sixteen, which is also EC2's /28 prefix.

Taking the lowest free address or prefix is O(log n) in the subnet's size, everything else O(1); only a CIDR reservation
(`reserve`) is laid over the whole subnet anew.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network

BLOCK = 16
PREFIX_LENGTH = 28
"""EC2 delegates IPv4 prefixes of this length only (aws-emulation 4.2)."""
FULL = 0xFFFF
RESERVED_HEAD, RESERVED_TAIL = 4, 1
"""Network, router, DNS and one more for the future; the last address (aws-emulation 4.2)."""


class AddressSpace:
    """The accounting of one CIDR block of /28 or larger. It trusts its caller: see `is_free` and `free` before taking."""

    def __init__(self, cidr: IPv4Network, *, head: int = RESERVED_HEAD, tail: int = RESERVED_TAIL) -> None:
        if cidr.prefixlen > PREFIX_LENGTH:
            raise ValueError(f"{cidr} is smaller than a /{PREFIX_LENGTH}")
        self.cidr = cidr
        self._base = int(cidr.network_address)
        self._head, self._tail = head, tail
        blocks = cidr.num_addresses // BLOCK
        self._taken = array("H", bytes(2 * blocks))
        self._free = cidr.num_addresses
        self._lay_out({})
        for offset in (*range(head), *range(cidr.num_addresses - tail, cidr.num_addresses)):
            self._set(offset // BLOCK, 1 << offset % BLOCK)

    def reserve(self, reservations: Mapping[IPv4Network, bool]) -> None:
        """Lay these CIDR reservations, and no others, over the subnet; what is taken stays so.

        Args:
            reservations: ranges inside the subnet that do not overlap. True: only prefixes come from it, and those that EC2
                chooses come from it first (aws-emulation 4.2). False: only what a call names comes from it.
        """
        self._lay_out(reservations)

    def _lay_out(self, reservations: Mapping[IPv4Network, bool]) -> None:
        blocks = len(self._taken)
        self._choosable = array("H", [FULL]) * blocks
        """Per block, which addresses EC2 may choose one by one."""
        self._rank = [block + blocks for block in range(blocks)]
        """Per block, its turn when EC2 chooses prefixes; -1: never."""
        self._for_prefixes = bytearray(blocks)
        for network, for_prefixes in reservations.items():
            first = int(network.network_address) - self._base
            for offset in range(first, first + network.num_addresses):
                block, bit = divmod(offset, BLOCK)
                self._choosable[block] &= ~(1 << bit) & FULL
                self._rank[block] = block if for_prefixes else -1
                self._for_prefixes[block] = for_prefixes
        self._singles = sum((~t & c & FULL).bit_count() for t, c in self._blocks())
        whole = [rank for rank, taken in zip(self._rank, self._taken, strict=True) if rank >= 0 and not taken]
        self._free_prefixes = len(whole)
        # Heaps of blocks that may have room; a block that lost it is thrown out when it comes up.
        self._with_room = [block for block, (t, c) in enumerate(self._blocks()) if ~t & c & FULL]
        self._whole = sorted(whole)
        self._queued_room, self._queued_whole = bytearray(blocks), bytearray(blocks)
        for block in self._with_room:
            self._queued_room[block] = 1
        for rank in whole:
            self._queued_whole[rank % blocks] = 1

    def _blocks(self) -> Iterable[tuple[int, int]]:
        return zip(self._taken, self._choosable, strict=True)

    @property
    def free(self) -> int:
        """AvailableIpAddressCount: addresses neither reserved nor assigned, one by one or by prefix."""
        return self._free

    @property
    def free_to_choose(self) -> int:
        """Free addresses that EC2 may choose by itself: those in no reservation."""
        return self._singles

    @property
    def free_prefixes(self) -> int:
        """Aligned /28 blocks in which nothing is taken and that EC2 may choose by itself."""
        return self._free_prefixes

    def is_reserved(self, address: IPv4Address) -> bool:
        """Whether AWS keeps the address for itself."""
        offset = int(address) - self._base
        return (
            0 <= offset < self._head
            or self.cidr.num_addresses - self._tail <= offset < self.cidr.num_addresses
        )

    def only_for_prefixes(self, network: IPv4Network) -> bool:
        """Whether an address (/32) of the subnet lies in a range from which only prefixes come."""
        return network.prefixlen != PREFIX_LENGTH and bool(self._for_prefixes[self._place(network)[0]])

    def is_free(self, network: IPv4Network) -> bool:
        """Whether an address (/32) or a prefix (/28) is inside the subnet and wholly free."""
        if not network.subnet_of(self.cidr):
            return False
        block, mask = self._place(network)
        return not self._taken[block] & mask

    def take(self, network: IPv4Network) -> None:
        """Take a free address (/32) or prefix (/28). Raises ValueError if it is not free."""
        if not self.is_free(network):
            raise ValueError(f"{network} is not free in {self.cidr}")
        self._set(*self._place(network))

    def take_lowest(self, count: int) -> tuple[IPv4Address, ...]:
        """The lowest free addresses. Raises ValueError, taking nothing, if there are fewer."""
        if count > self._singles:
            raise ValueError(f"{count} addresses wanted of {self.cidr}, {self._singles} free to choose")
        taken: list[IPv4Address] = []
        while len(taken) < count:
            block = self._with_room[0]
            room = ~self._taken[block] & self._choosable[block] & FULL
            if not room:
                heapq.heappop(self._with_room)
                self._queued_room[block] = 0
                continue
            lowest = room & -room
            self._set(block, lowest)
            taken.append(IPv4Address(self._base + block * BLOCK + lowest.bit_length() - 1))
        return tuple(taken)

    def take_lowest_prefixes(self, count: int) -> tuple[IPv4Network, ...]:
        """The lowest free /28 prefixes. Raises ValueError, taking nothing, if there are fewer."""
        if count > self._free_prefixes:
            raise ValueError(f"{count} prefixes wanted of {self.cidr}, {self._free_prefixes} free")
        taken: list[IPv4Network] = []
        while len(taken) < count:
            block = heapq.heappop(self._whole) % len(self._taken)
            self._queued_whole[block] = 0
            if not self._taken[block]:
                self._set(block, FULL)
                taken.append(IPv4Network((self._base + block * BLOCK, PREFIX_LENGTH)))
        return tuple(taken)

    def release(self, networks: Iterable[IPv4Network]) -> None:
        """Give taken addresses and prefixes back. Raises ValueError for one that is not taken or is reserved."""
        for network in networks:
            if not network.subnet_of(self.cidr) or self.is_reserved(network.network_address):
                raise ValueError(f"{network} is not assigned in {self.cidr}")
            block, mask = self._place(network)
            if self._taken[block] & mask != mask:
                raise ValueError(f"{network} is not assigned in {self.cidr}")
            self._taken[block] &= ~mask & FULL
            self._free += network.num_addresses
            self._singles += (mask & self._choosable[block]).bit_count()
            if not self._queued_room[block]:
                heapq.heappush(self._with_room, block)
                self._queued_room[block] = 1
            if not self._taken[block] and self._rank[block] >= 0:
                self._free_prefixes += 1
                if not self._queued_whole[block]:
                    heapq.heappush(self._whole, self._rank[block])
                    self._queued_whole[block] = 1

    def _place(self, network: IPv4Network) -> tuple[int, int]:
        block, bit = divmod(int(network.network_address) - self._base, BLOCK)
        return block, FULL if network.prefixlen == PREFIX_LENGTH else 1 << bit

    def _set(self, block: int, mask: int) -> None:
        if not self._taken[block] and self._rank[block] >= 0:
            self._free_prefixes -= 1
        self._singles -= (mask & self._choosable[block]).bit_count()
        self._taken[block] |= mask
        self._free -= mask.bit_count()
