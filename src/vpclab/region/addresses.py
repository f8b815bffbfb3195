"""Which addresses of one subnet are taken: a 16-bit mask for each aligned block of sixteen, which is also EC2's /28 prefix.

Taking the lowest free address or prefix is O(log n) in the subnet's size, everything else O(1).
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable
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
        self._free_prefixes = blocks
        # Heaps of block numbers that may have room; a block that lost it is thrown out when it comes up.
        self._with_room = list(range(blocks))
        self._whole = list(range(blocks))
        self._queued_room = bytearray(b"\1" * blocks)
        self._queued_whole = bytearray(b"\1" * blocks)
        for offset in (*range(head), *range(cidr.num_addresses - tail, cidr.num_addresses)):
            self._set(offset // BLOCK, 1 << offset % BLOCK)

    @property
    def free(self) -> int:
        """AvailableIpAddressCount: addresses neither reserved nor assigned, one by one or by prefix."""
        return self._free

    @property
    def free_prefixes(self) -> int:
        """Aligned /28 blocks in which nothing is taken."""
        return self._free_prefixes

    def is_reserved(self, address: IPv4Address) -> bool:
        """Whether AWS keeps the address for itself."""
        offset = int(address) - self._base
        return (
            0 <= offset < self._head
            or self.cidr.num_addresses - self._tail <= offset < self.cidr.num_addresses
        )

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
        if count > self._free:
            raise ValueError(f"{count} addresses wanted of {self.cidr}, {self._free} free")
        taken: list[IPv4Address] = []
        while len(taken) < count:
            block = self._with_room[0]
            room = ~self._taken[block] & FULL
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
            block = heapq.heappop(self._whole)
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
            if not self._queued_room[block]:
                heapq.heappush(self._with_room, block)
                self._queued_room[block] = 1
            if not self._taken[block]:
                self._free_prefixes += 1
                if not self._queued_whole[block]:
                    heapq.heappush(self._whole, block)
                    self._queued_whole[block] = 1

    def _place(self, network: IPv4Network) -> tuple[int, int]:
        block, bit = divmod(int(network.network_address) - self._base, BLOCK)
        return block, FULL if network.prefixlen == PREFIX_LENGTH else 1 << bit

    def _set(self, block: int, mask: int) -> None:
        if not self._taken[block]:
            self._free_prefixes -= 1
        self._taken[block] |= mask
        self._free -= mask.bit_count()
