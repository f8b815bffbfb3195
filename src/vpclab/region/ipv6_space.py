"""Which IPv6 addresses and /80 prefixes of a subnet's /64 are taken.

The subnet is far too large for a mask, so what is taken is kept and what is free is counted on from below. Addresses that EC2
chooses come from the first /80, prefixes from those behind it: neither ever stands in the other's way.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

SUBNET_LENGTH = 64
PREFIX_LENGTH = 80
"""EC2 delegates IPv6 prefixes of this length only (EC2 user guide, prefix delegation)."""
RESERVED_HEAD, RESERVED_TAIL = 4, 1
"""AWS keeps the first four addresses and the last one of a subnet (VPC user guide, subnet sizing for IPv6)."""
_BLOCK_BITS = 128 - PREFIX_LENGTH
BLOCKS = 1 << (PREFIX_LENGTH - SUBNET_LENGTH)
"""Prefixes in a subnet."""


class Ipv6Space:
    """The accounting of one /64. It trusts its caller: see `is_free` and `free_prefixes` before taking."""

    def __init__(self, cidr: IPv6Network) -> None:
        self.cidr = cidr
        self._base = int(cidr.network_address)
        self._last = self._base + cidr.num_addresses - RESERVED_TAIL
        self._singles: set[int] = set()
        self._singles_in: Counter[int] = Counter()
        self._prefixes: set[int] = set()
        # What EC2 chooses next: given back ones first (lowest first), then on from where it was.
        self._next_single, self._next_block = self._base + RESERVED_HEAD, 1
        self._back_singles: list[int] = []
        self._back_blocks: list[int] = []

    @property
    def empty(self) -> bool:
        """Whether nothing of it is taken."""
        return not self._singles and not self._prefixes

    @property
    def free_prefixes(self) -> int:
        """How many whole /80 EC2 may choose: all but the first one, and those in which something is taken."""
        return BLOCKS - 1 - len((self._prefixes | self._singles_in.keys()) - {0})

    def is_reserved(self, address: IPv6Address) -> bool:
        """Whether AWS keeps the address for itself."""
        return self._base <= int(address) < self._base + RESERVED_HEAD or int(address) == self._last

    def is_free(self, network: IPv6Network) -> bool:
        """Whether an address (/128) or a prefix (/80) is inside the subnet and wholly free."""
        if not network.subnet_of(self.cidr):
            return False
        first, block = int(network.network_address), self._block(network)
        if network.prefixlen == PREFIX_LENGTH:
            return block not in self._prefixes and not self._singles_in[block]
        return first not in self._singles and block not in self._prefixes

    def take(self, network: IPv6Network) -> None:
        """Take a free address or prefix. Raises ValueError if it is not free."""
        if not self.is_free(network):
            raise ValueError(f"{network} is not free in {self.cidr}")
        if network.prefixlen == PREFIX_LENGTH:
            self._prefixes.add(self._block(network))
        else:
            self._singles.add(int(network.network_address))
            self._singles_in[self._block(network)] += 1

    def take_lowest(self, count: int) -> tuple[IPv6Address, ...]:
        """The lowest free addresses of the first /80, of which there are always enough."""
        taken: list[IPv6Address] = []
        while len(taken) < count:
            if self._back_singles:
                number = heapq.heappop(self._back_singles)
            else:
                number, self._next_single = self._next_single, self._next_single + 1
            address = IPv6Address(number)
            if self.is_free(IPv6Network(address)):
                self.take(IPv6Network(address))
                taken.append(address)
        return tuple(taken)

    def take_lowest_prefixes(self, count: int) -> tuple[IPv6Network, ...]:
        """The lowest free /80 behind the first. Raises ValueError, taking nothing, if there are fewer."""
        if count > self.free_prefixes:
            raise ValueError(f"{count} prefixes wanted of {self.cidr}, {self.free_prefixes} free")
        taken: list[IPv6Network] = []
        while len(taken) < count:
            if self._back_blocks:
                block = heapq.heappop(self._back_blocks)
            else:
                block, self._next_block = self._next_block, self._next_block + 1
            prefix = IPv6Network((self._base + (block << _BLOCK_BITS), PREFIX_LENGTH))
            if self.is_free(prefix):
                self.take(prefix)
                taken.append(prefix)
        return tuple(taken)

    def release(self, networks: Iterable[IPv6Network]) -> None:
        """Give taken addresses and prefixes back. Raises ValueError for one that is not taken."""
        for network in networks:
            first, block = int(network.network_address), self._block(network)
            held, what = (
                (self._prefixes, block) if network.prefixlen == PREFIX_LENGTH else (self._singles, first)
            )
            if what not in held:
                raise ValueError(f"{network} is not assigned in {self.cidr}")
            held.remove(what)
            if network.prefixlen != PREFIX_LENGTH:
                self._singles_in[block] -= 1
                if not self._singles_in[block]:
                    del self._singles_in[block]
                if first < self._next_single:
                    heapq.heappush(self._back_singles, first)
            if (
                block
                and block not in self._prefixes
                and block not in self._singles_in
                and block < self._next_block
            ):
                heapq.heappush(self._back_blocks, block)

    def _block(self, network: IPv6Network) -> int:
        return (int(network.network_address) - self._base) >> _BLOCK_BITS
