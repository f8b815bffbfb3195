"""Connections of an address that was given back are forgotten: its next pod must not meet the last one's NAT or marks.

A kernel since 6.11 takes two filtered deletions for it; an older one is asked for its entries, and each is deleted. Either
walks the kernel's whole table, so it is not done while the runtime waits for its DEL.
"""

from __future__ import annotations

import errno
import struct
import threading

from vpccni.ipam.values import Address
from vpccni.linux.family import Family
from vpccni.linux.nfnetlink import CONNTRACK, NESTED, Netfilter, header
from vpccni.linux.rtnl import Request, attribute, attributes

GET, DELETE = 1, 2
TUPLE_ORIGINAL, TUPLE_REPLY, FILTER = 1, 2, 25
TUPLE_IP = 1
IP_SOURCE = {Family.IPV4: 1, Family.IPV6: 3}
FILTER_FLAGS = {TUPLE_ORIGINAL: 1, TUPLE_REPLY: 2}
SOURCE_FLAG = 1
"""CTA_FILTER_F_CTA_IP_SRC."""
CANNOT_FILTER = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT)
EITHER_WAY = (TUPLE_ORIGINAL, TUPLE_REPLY)
"""What the pod began has it as the source; what began elsewhere has it as the source of the replies, whatever address it was
sent to."""


def forget(netfilter: Netfilter, address: Address) -> None:
    """Delete every connection of the address. Raises OSError."""
    for direction in EITHER_WAY:
        body = header(Family.of(address)) + _filter(address, direction)
        request = Request(CONNTRACK << 8 | DELETE, 0, body, f"forget the connections of {address}")
        [error] = netfilter.attempt([request])
        if error is None:
            continue
        if error.errno not in CANNOT_FILTER:
            raise error
        forget_each(netfilter, address, direction)


def forget_each(netfilter: Netfilter, address: Address, direction: int) -> None:
    """The same for kernels that cannot delete by a filter. Raises OSError."""
    family = Family.of(address)
    body = header(family) + _filter(address, direction)
    answers = netfilter.dump(CONNTRACK << 8 | GET, body, f"list the connections of {address}")
    doomed: list[Request] = []
    for _, payload in answers:
        tuples = attributes(payload[4:])
        source = attributes(attributes(tuples.get(direction, b"")).get(TUPLE_IP, b"")).get(IP_SOURCE[family])
        if source == address.packed:  # kernels before 5.8 tell of all
            which = header(family) + attribute(TUPLE_ORIGINAL | NESTED, tuples[TUPLE_ORIGINAL])
            kind = CONNTRACK << 8 | DELETE
            doomed.append(Request(kind, 0, which, f"forget a connection of {address}", (errno.ENOENT,)))
    netfilter.run(doomed)


class Released:
    """Addresses given back whose connections are still to be forgotten. May be used by several threads."""

    def __init__(self) -> None:
        self._waiting: set[Address] = set()
        self._under_way = threading.Lock()

    def note(self, address: Address) -> None:
        """The address has no pod any more; costs nothing now."""
        self._waiting.add(address)

    def forget_all(self) -> None:
        """Forget the connections of all that wait. Raises OSError, and tries again the next time."""
        with self._under_way, Netfilter() as netfilter:
            for address in list(self._waiting):
                forget(netfilter, address)
                self._waiting.discard(address)

    def settle(self, address: Address) -> None:
        """The address is about to have a pod again: by now its connections must be forgotten. Raises OSError."""
        if not self._waiting:
            return
        with self._under_way:
            if address not in self._waiting:
                return
            with Netfilter() as netfilter:
                forget(netfilter, address)
            self._waiting.discard(address)


def _filter(address: Address, direction: int) -> bytes:
    source = attribute(IP_SOURCE[Family.of(address)], address.packed)
    flags = {kind: SOURCE_FLAG if kind == direction else 0 for kind in EITHER_WAY}
    wanted = b"".join(attribute(FILTER_FLAGS[kind], struct.pack("=I", flags[kind])) for kind in EITHER_WAY)
    return attribute(direction | NESTED, attribute(TUPLE_IP | NESTED, source)) + attribute(
        FILTER | NESTED, wanted
    )
