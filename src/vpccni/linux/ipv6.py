"""IPv6 addresses, routes and neighbours as rtnetlink messages: as much as a second interface for IPv6 needs."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.addresses import (
    IFA_ADDRESS,
    IFA_FLAGS,
    IFADDR,
    NDA_DST,
    NDA_LLADDR,
    NDMSG,
    NEWADDR,
    NEWNEIGH,
    NUD_PERMANENT,
)
from vpccni.linux.routes import (
    GETROUTE,
    NEWROUTE,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_TABLE,
    RTMSG,
    RTN_UNICAST,
    RTPROT_BOOT,
)
from vpccni.linux.rtnl import CREATE, REPLACE, Netlink, Request, attribute, attributes

NO_DETECTION = 0x02
"""IFA_F_NODAD: nobody else can have the address, so nobody waits a second to find out."""
UNIVERSE, LINK = 0, 253
FIRST_CHOICE = 1024
"""The metric that routes of IPv6 have if none is given."""
RTA_PRIORITY = 6


@dataclass(frozen=True, slots=True)
class Route6:
    """A unicast route of the main table; `destination` None is the default route."""

    destination: IPv6Network | None
    index: int
    gateway: IPv6Address | None = None

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"{self.destination or 'default'}{via} dev {self.index}"


def put_address6(index: int, interface: IPv6Interface) -> Request:
    """Give a device an address, at once; it may have it already."""
    scope = LINK if interface.is_link_local else UNIVERSE
    body = IFADDR.pack(socket.AF_INET6, interface.network.prefixlen, NO_DETECTION, scope, index)
    body += attribute(IFA_ADDRESS, interface.ip.packed) + attribute(
        IFA_FLAGS, struct.pack("=I", NO_DETECTION)
    )
    return Request(NEWADDR, CREATE | REPLACE, body, f"add address {interface} to link {index}")


def put_route6(route: Route6) -> Request:
    """Add the route, or put it in the place of one to the same destination."""
    return Request(NEWROUTE, CREATE | REPLACE, _body(route), f"put route {route}")


def destinations6(netlink: Netlink) -> frozenset[IPv6Network]:
    """Where the main table's routes lead to."""
    body = RTMSG.pack(socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0)
    found: set[IPv6Network] = set()
    for kind, payload in netlink.dump(GETROUTE, body, "list routes of IPv6"):
        _, length, _, _, table, *_ = RTMSG.unpack_from(payload)
        to = attributes(payload[RTMSG.size :]).get(RTA_DST)
        if kind == NEWROUTE and table == MAIN_TABLE and to is not None:
            found.add(IPv6Network((to, length)))
    return frozenset(found)


def put_neighbour6(index: int, address: IPv6Address, mac: str) -> Request:
    """A permanent neighbour: nobody has to ask."""
    body = NDMSG.pack(socket.AF_INET6, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, address.packed)
    body += attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"put neighbour {address} at {mac}")


def _body(route: Route6) -> bytes:
    length = route.destination.prefixlen if route.destination else 0
    body = RTMSG.pack(socket.AF_INET6, length, 0, 0, MAIN_TABLE, RTPROT_BOOT, UNIVERSE, RTN_UNICAST, 0)
    if route.destination:
        body += attribute(RTA_DST, route.destination.network_address.packed)
    if route.gateway:
        body += attribute(RTA_GATEWAY, route.gateway.packed)
    body += attribute(RTA_OIF, struct.pack("=I", route.index))
    body += attribute(RTA_PRIORITY, struct.pack("=I", FIRST_CHOICE))
    return body + attribute(RTA_TABLE, struct.pack("=I", MAIN_TABLE))
