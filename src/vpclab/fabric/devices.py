"""Names and numbers in a VPC's router: devices by what is behind them, routing tables and marks by what they serve."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from zlib import crc32

FABRIC_MAC = "0e:00:00:00:00:01"
"""The router's end of every link; what ARP for any address is answered with."""
NODE_END = IPv4Address("169.254.0.1")
"""Stands for "the far end of this link" in the router: its one permanent neighbour, so nothing is ever asked there."""
GATEWAY6 = IPv6Address("fe80::1")
"""The VPC's router on every link, of IPv6."""
JUMBO = 9001
"""MTU inside a VPC, and between peered ones of a region."""
GATEWAY_MTU = 1500
"""An internet gateway passes no jumbo frames."""
VPN_MTU = 1446
"""Inside a site-to-site VPN's tunnel (VPN user guide: 1,446 bytes with AES and SHA-1)."""
IGW_DEVICE = "igw"
TO_IGW = (IPv4Address("169.254.255.1"), IPv4Address("169.254.255.2"))
"""The router's and the internet gateway's end of the link between them."""
NOWHERE = "nowhere"
"""What has no route goes there and is counted."""
ENI, PEERING, VPN = "e", "p", "v"
"""How devices begin, by what is behind them."""


def device(kind: str, identifier: str) -> str:
    """A resource's device. An AWS id is longer than a device's name may be; its last 14 digits are enough."""
    return f"{kind}{identifier.partition('-')[2][-14:]}"


def number(identifier: str) -> int:
    """A routing table's or a mark's number: the same for the same id, in every process; above all that the kernel reserves."""
    return 1000 + crc32(identifier.encode()) % 2**30


def way(to: str) -> str:
    """The end of an `ip route` line that leads to a device."""
    if to == NOWHERE:
        return f"dev {NOWHERE}"
    return f"via {TO_IGW[1] if to == IGW_DEVICE else NODE_END} dev {to} onlink"
