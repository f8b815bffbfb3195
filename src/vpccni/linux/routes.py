"""Routes of either family: as values, and as rtnetlink messages."""

from __future__ import annotations

import enum
import errno
import struct
from dataclasses import dataclass
from functools import lru_cache

from vpccni.ipam.values import Address, Network
from vpccni.linux.family import Family, address, network
from vpccni.linux.rtnl import CREATE, GONE, KNOWN, REPLACE, Netlink, Request, attribute, attributes, u32

NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE = 1, 4, 5, 6, 15
USUAL_METRIC = 1024
"""What the kernel takes for a route of IPv6 without a metric; IPv4's have none."""
RTPROT_BOOT = 3
"""Who made a route: an administrator's tool; what the original writes too (spec 12)."""
RTN_UNICAST = 1
RTMSG = struct.Struct("=BBBBBBBBI")


class Scope(enum.IntEnum):
    """How far away a route's destination is; IPv6 knows no such thing, its routes are all of the first."""

    UNIVERSE = 0
    LINK = 253


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route; `destination` None is the default route, of its gateway's family."""

    destination: Network | None
    table: int
    index: int
    gateway: Address | None = None
    scope: Scope = Scope.UNIVERSE

    @property
    def family(self) -> Family:
        """IPv4, if nothing tells."""
        told = self.destination or self.gateway
        return Family.IPV4 if told is None else Family.of(told)

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"{self.destination or 'default'}{via} dev {self.index} table {self.table}"


def put_route(route: Route) -> Request:
    """Add the route, or put it in the place of one to the same destination."""
    return Request(NEWROUTE, CREATE | REPLACE, _body(route, RTPROT_BOOT), f"put route {route}")


def delete_route(route: Route) -> Request:
    """Remove the route."""
    return Request(DELROUTE, 0, _body(route, 0), f"delete route {route}", GONE)


def delete_pod_route(to: Address, table: int) -> Request:
    """Remove the link-scope route to an address alone, whatever device it leads to."""
    family = Family.of(to)
    body = RTMSG.pack(family, family.bits, 0, 0, _low(table), 0, link_scope(family), 0, 0)
    body += attribute(RTA_DST, to.packed) + attribute(RTA_TABLE, struct.pack("=I", table))
    return Request(DELROUTE, 0, body, f"delete route {to} table {table}", GONE)


def link_scope(family: Family) -> Scope:
    """Of a route that leads straight to its destination."""
    return Scope.LINK if family is Family.IPV4 else Scope.UNIVERSE


def routes(netlink: Netlink, table: int, family: Family = Family.IPV4) -> list[Route]:
    """The unicast routes of one table."""
    body = RTMSG.pack(family, 0, 0, 0, _low(table), 0, 0, 0, 0)
    body += attribute(RTA_TABLE, struct.pack("=I", table))
    try:
        answers = netlink.dump(GETROUTE, body, f"list routes of table {table}")
    except OSError as error:
        if error.errno == errno.ENOENT:  # the table does not exist before its first route
            return []
        raise
    listed = (parse_route(payload) for kind, payload in answers if kind == NEWROUTE)
    return [route for route in listed if route is not None and route.table == table]


@lru_cache(KNOWN)
def parse_route(payload: bytes) -> Route | None:
    """The route that a message of the kernel is about; None if it is not of the kinds that we make."""
    _, length, _, _, _, _, scope, kind, _ = RTMSG.unpack_from(payload)
    found = attributes(payload[RTMSG.size :])
    if kind != RTN_UNICAST or RTA_OIF not in found or scope not in {Scope.UNIVERSE, Scope.LINK}:
        return None
    return Route(
        destination=network(found[RTA_DST], length) if RTA_DST in found else None,
        table=u32(found.get(RTA_TABLE)),
        index=u32(found[RTA_OIF]),
        gateway=address(found[RTA_GATEWAY]) if RTA_GATEWAY in found else None,
        scope=Scope(scope),
    )


def _body(route: Route, protocol: int) -> bytes:
    length = route.destination.prefixlen if route.destination else 0
    body = RTMSG.pack(route.family, length, 0, 0, _low(route.table), protocol, route.scope, RTN_UNICAST, 0)
    if route.destination:
        body += attribute(RTA_DST, route.destination.network_address.packed)
    if route.gateway:
        body += attribute(RTA_GATEWAY, route.gateway.packed)
    body += attribute(RTA_OIF, struct.pack("=I", route.index))
    return body + attribute(RTA_TABLE, struct.pack("=I", route.table))


def _low(table: int) -> int:
    """The header's one byte; a greater number is in the attribute only."""
    return table if table < 256 else 0
