"""Addresses of devices and permanent neighbours: as values, and as rtnetlink messages."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from vpccni.ipam.values import Address
from vpccni.linux import family as families
from vpccni.linux.family import Family
from vpccni.linux.rtnl import CREATE, GONE, REPLACE, Netlink, Request, attribute, attributes

NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWNEIGH, GETNEIGH = 28, 30
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NOPREFIXROUTE, IFA_F_NODAD = 0x200, 0x02
GLOBAL = 0
"""The scope of an address that others may send to."""
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
IFADDR = struct.Struct("=BBBBI")
NDMSG = struct.Struct("=BxxxiHBB")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent entry of the neighbour table."""

    index: int
    address: Address
    mac: str


def put_address(index: int, interface: IPv4Interface | IPv6Interface, *, adds_route: bool = True) -> Request:
    """Give a device an address, which it may have already; `adds_route`: with the kernel's own route to its subnet.

    Of IPv6 it is usable at once: EC2 gives no address twice, so nobody looks for a second holder.
    """
    family = Family.of(interface)
    body = IFADDR.pack(family, interface.network.prefixlen, 0, GLOBAL, index)
    body += attribute(IFA_LOCAL, interface.ip.packed) + attribute(IFA_ADDRESS, interface.ip.packed)
    flags = (0 if adds_route else IFA_F_NOPREFIXROUTE) | (IFA_F_NODAD if family is Family.IPV6 else 0)
    body += attribute(IFA_FLAGS, struct.pack("=I", flags))
    return Request(NEWADDR, CREATE | REPLACE, body, f"add address {interface} to link {index}")


def delete_address(index: int, interface: IPv4Interface) -> Request:
    """Take an address off a device."""
    body = IFADDR.pack(Family.IPV4, interface.network.prefixlen, 0, GLOBAL, index)
    body += attribute(IFA_LOCAL, interface.ip.packed)
    return Request(DELADDR, 0, body, f"delete address {interface} of link {index}", GONE)


def addresses(netlink: Netlink, index: int) -> list[IPv4Interface]:
    """A device's IPv4 addresses of global scope."""
    return [one for one in all_addresses(netlink, index) if isinstance(one, IPv4Interface)]


def all_addresses(
    netlink: Netlink, index: int, family: Family = Family.IPV4
) -> list[IPv4Interface | IPv6Interface]:
    """A device's addresses of global scope, of a family."""
    answers = netlink.dump(GETADDR, IFADDR.pack(family, 0, 0, 0, index), "list addresses")
    found: list[IPv4Interface | IPv6Interface] = []
    for kind, payload in answers:
        if kind != NEWADDR:
            continue
        _, length, _, scope, owner = IFADDR.unpack_from(payload)
        body = attributes(payload[IFADDR.size :])
        local = body.get(IFA_LOCAL, body.get(IFA_ADDRESS))
        if owner == index and scope == GLOBAL and local is not None:
            found.append(families.interface(local, length))
    return found


def put_neighbour(neighbour: Neighbour) -> Request:
    """A permanent neighbour: nobody has to ask."""
    body = NDMSG.pack(Family.of(neighbour.address), neighbour.index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, neighbour.address.packed)
    body += attribute(NDA_LLADDR, bytes.fromhex(neighbour.mac.replace(":", "")))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"put neighbour {neighbour.address} at {neighbour.mac}")


def permanent_neighbours(netlink: Netlink, family: Family = Family.IPV4) -> list[Neighbour]:
    """A family's neighbours that were put, not learned."""
    answers = netlink.dump(GETNEIGH, NDMSG.pack(family, 0, 0, 0, 0), "list neighbours")
    found: list[Neighbour] = []
    for kind, payload in answers:
        if kind != NEWNEIGH:
            continue
        _, index, state, _, _ = NDMSG.unpack_from(payload)
        body = attributes(payload[NDMSG.size :])
        if state & NUD_PERMANENT and NDA_DST in body and NDA_LLADDR in body:
            found.append(Neighbour(index, families.address(body[NDA_DST]), body[NDA_LLADDR].hex(":")))
    return found
