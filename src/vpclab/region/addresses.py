"""The addresses of one subnet: five reserved, the rest given one by one or as aligned /28s (aws-emulation 4.2)."""

from __future__ import annotations

import heapq
from ipaddress import IPv4Address, IPv4Network

PREFIX_LENGTH, PREFIX_SIZE = 28, 16
RESERVED_FIRST, RESERVED_LAST = 4, 1
"""The network, the router, DNS, one for the future; and the broadcast address."""


class SubnetAddresses:
    """Which addresses are taken. Which free one EC2 picks is not documented; here it is the lowest."""

    def __init__(self, cidr: IPv4Network) -> None:
        self.cidr = cidr
        self._base = int(cidr.network_address)
        self._size = cidr.num_addresses
        self._taken: set[int] = set()
        self._next = 0
        self._returned: list[int] = []
        self._used_in_block = [0] * max(1, self._size // PREFIX_SIZE)
        for offset in (*range(RESERVED_FIRST), *range(self._size - RESERVED_LAST, self._size)):
            self._mark(offset)
        self.reserved = len(self._taken)

    @property
    def free(self) -> int:
        """AvailableIpAddressCount."""
        return self._size - len(self._taken)

    def is_free(self, address: IPv4Address) -> bool:
        """Whether the address is in the subnet, not reserved and not taken."""
        return address in self.cidr and int(address) - self._base not in self._taken

    def take_lowest(self, count: int) -> tuple[IPv4Address, ...]:
        """That many free addresses; the caller has made sure that there are."""
        return tuple(self._take_one() for _ in range(count))

    def take(self, address: IPv4Address) -> None:
        """This very address; the caller has made sure that it is free."""
        self._mark(int(address) - self._base)

    def take_prefixes(self, count: int) -> tuple[IPv4Network, ...]:
        """That many aligned /28s, the lowest free ones; fewer if there are not so many."""
        found: list[IPv4Network] = []
        for block, used in enumerate(self._used_in_block):
            if len(found) == count:
                break
            if used == 0 and self._size >= PREFIX_SIZE:
                found.append(IPv4Network((self._base + block * PREFIX_SIZE, PREFIX_LENGTH)))
                for offset in range(block * PREFIX_SIZE, (block + 1) * PREFIX_SIZE):
                    self._mark(offset)
        return tuple(found)

    @property
    def free_prefixes(self) -> int:
        """How many aligned /28s are wholly free."""
        return sum(1 for used in self._used_in_block if used == 0)

    def give_back(self, network: IPv4Network) -> None:
        """One address or one /28."""
        for address in range(int(network.network_address), int(network.broadcast_address) + 1):
            offset = address - self._base
            self._taken.discard(offset)
            self._used_in_block[offset // PREFIX_SIZE] -= 1
            heapq.heappush(self._returned, offset)

    def _take_one(self) -> IPv4Address:
        while self._returned and self._returned[0] in self._taken:
            heapq.heappop(self._returned)
        if self._returned and self._returned[0] < self._next:
            offset = heapq.heappop(self._returned)
        else:
            while self._next in self._taken:
                self._next += 1
            offset = self._next
        self._mark(offset)
        return IPv4Address(self._base + offset)

    def _mark(self, offset: int) -> None:
        self._taken.add(offset)
        self._used_in_block[offset // PREFIX_SIZE] += 1
