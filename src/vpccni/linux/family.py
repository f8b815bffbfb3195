"""The two address families, as netlink numbers them and as what is different between them."""

from __future__ import annotations

import enum
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

Of = IPv4Address | IPv6Address | IPv4Network | IPv6Network | IPv4Interface | IPv6Interface


class Family(enum.IntEnum):
    """The value is the kernel's."""

    IPV4 = socket.AF_INET
    IPV6 = socket.AF_INET6

    @classmethod
    def of(cls, what: Of) -> Family:
        """An address's or a network's."""
        return cls.IPV4 if what.version == 4 else cls.IPV6

    @property
    def bits(self) -> int:
        """The length of an address."""
        return 32 if self is Family.IPV4 else 128


def network(packed: bytes, length: int) -> IPv4Network | IPv6Network:
    """From the kernel's bytes."""
    return IPv4Network((packed, length)) if len(packed) == 4 else IPv6Network((packed, length))


def address(packed: bytes) -> IPv4Address | IPv6Address:
    """From the kernel's bytes."""
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def interface(packed: bytes, length: int) -> IPv4Interface | IPv6Interface:
    """From the kernel's bytes."""
    return IPv4Interface((packed, length)) if len(packed) == 4 else IPv6Interface((packed, length))
