"""Links, addresses, routes, rules and neighbours: as values, and as rtnetlink messages."""

from __future__ import annotations

import enum
import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from vpccni.linux.rtnl import CREATE, EXCL, REPLACE, Netlink, Request, attribute, attributes

NEWLINK, DELLINK, GETLINK, SETLINK = 16, 17, 18, 19
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH = 28
NEWRULE, DELRULE, GETRULE = 32, 33, 34

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_GROUP = 1, 3, 4, 18, 28, 27
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFF_UP = 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_NOPREFIXROUTE = 0x200
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC, RTA_TABLE = 1, 4, 5, 7, 15
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK = 1, 2, 3, 6, 10, 15, 16
FRA_OIFNAME = 17
FR_ACT_TO_TBL = 1
RTPROT_BOOT, RTPROT_KERNEL = 3, 2
RTN_UNICAST = 1
MAIN = 254

IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBI")
RTMSG = struct.Struct("=BBBBBBBBI")
NDMSG = struct.Struct("=BxxxiHBB")

GONE = (errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL)
THERE = (errno.EEXIST,)


class Scope(enum.IntEnum):
    """A route's scope."""

    UNIVERSE = 0
    LINK = 253


@dataclass(frozen=True, slots=True)
class Link:
    """A network device."""

    index: int
    name: str
    mac: str
    mtu: int
    up: bool
    group: int


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 address of a device."""

    index: int
    interface: IPv4Interface
    adds_route: bool
    """Whether the kernel made the subnet's route for it."""


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast IPv4 route; `destination` None is the default route."""

    destination: IPv4Network | None
    table: int
    index: int
    gateway: IPv4Address | None = None
    scope: Scope = Scope.UNIVERSE

    def __str__(self) -> str:
        via = f" via {self.gateway}" if self.gateway else ""
        return f"{self.destination or 'default'}{via} table {self.table}"


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy rule of the kinds that we make: a lookup of a table by source, destination or mark."""

    priority: int
    table: int
    source: IPv4Network | None = None
    destination: IPv4Network | None = None
    mark: int | None = None
    mask: int | None = None

    def __str__(self) -> str:
        words = [f"{self.priority}:"]
        if self.source:
            words.append(f"from {self.source}")
        if self.destination:
            words.append(f"to {self.destination}")
        if self.mark is not None:
            words.append(f"fwmark {self.mark:#x}/{self.mask:#x}")
        return " ".join([*words, f"lookup {self.table}"])


# --- links ----------------------------------------------------------------------------------------------------


def add_veth(name: str, mac: bytes, mtu: int, *, peer: str, peer_netns: int, peer_mtu: int) -> Request:
    """A pair whose other end is made right in another namespace: moving it there later waits 20 ms for the kernel."""
    other = IFINFO.pack(0, 0, 0, 0, 0)
    other += _name(peer) + attribute(IFLA_MTU, struct.pack("=I", peer_mtu))
    other += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
    info = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, other))
    body = IFINFO.pack(0, 0, 0, 0, 0) + _name(name) + attribute(IFLA_ADDRESS, mac)
    body += attribute(IFLA_MTU, struct.pack("=I", mtu)) + attribute(IFLA_LINKINFO, info)
    return Request(NEWLINK, CREATE | EXCL, body, f"add veth {name} with peer {peer}")


def set_link(index: int, *, up: bool | None = None, mtu: int | None = None, name: str | None = None,
             group: int | None = None) -> Request:  # fmt: skip
    """Change a device."""
    flags = IFF_UP if up else 0
    body = IFINFO.pack(0, 0, index, flags, 0 if up is None else IFF_UP)
    if mtu is not None:
        body += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if name is not None:
        body += _name(name)
    if group is not None:
        body += attribute(IFLA_GROUP, struct.pack("=I", group))
    return Request(NEWLINK, 0, body, f"set link {index}")


def delete_link(index: int) -> Request:
    """Remove a device."""
    return Request(DELLINK, 0, IFINFO.pack(0, 0, index, 0, 0), f"delete link {index}", GONE)


def delete_group(group: int) -> Request:
    """Remove every device of a group in one wait of the kernel."""
    body = IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_GROUP, struct.pack("=I", group))
    return Request(DELLINK, 0, body, f"delete links of group {group}", GONE)


def link_named(netlink: Netlink, name: str) -> Link | None:
    """The device of that name, if there is one."""
    try:
        payload = netlink.get(GETLINK, IFINFO.pack(0, 0, 0, 0, 0) + _name(name), f"get link {name}")
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return _link(payload)


def links(netlink: Netlink) -> list[Link]:
    """Every device."""
    answers = netlink.dump(GETLINK, IFINFO.pack(0, 0, 0, 0, 0), "list links")
    return [_link(payload) for kind, payload in answers if kind == NEWLINK]


def _link(payload: bytes) -> Link:
    _, _, index, flags, _ = IFINFO.unpack_from(payload)
    found = attributes(payload[IFINFO.size :])
    return Link(
        index=index,
        name=found.get(IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=_u32(found.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        group=_u32(found.get(IFLA_GROUP)),
    )


# --- addresses ------------------------------------------------------------------------------------------------


def add_address(index: int, interface: IPv4Interface, *, adds_route: bool = True) -> Request:
    """Give a device an address."""
    flags = 0 if adds_route else IFA_F_NOPREFIXROUTE
    body = IFADDR.pack(socket.AF_INET, interface.network.prefixlen, 0, 0, index)
    body += attribute(IFA_LOCAL, interface.ip.packed) + attribute(IFA_ADDRESS, interface.ip.packed)
    body += attribute(IFA_FLAGS, struct.pack("=I", flags))
    return Request(NEWADDR, CREATE | REPLACE, body, f"add address {interface} to link {index}")


def delete_address(index: int, interface: IPv4Interface) -> Request:
    """Take an address off a device."""
    body = IFADDR.pack(socket.AF_INET, interface.network.prefixlen, 0, 0, index)
    body += attribute(IFA_LOCAL, interface.ip.packed)
    return Request(DELADDR, 0, body, f"delete address {interface} of link {index}", GONE)


def addresses(netlink: Netlink, index: int) -> list[Address]:
    """A device's IPv4 addresses of global scope."""
    answers = netlink.dump(GETADDR, IFADDR.pack(socket.AF_INET, 0, 0, 0, index), "list addresses")
    found: list[Address] = []
    for kind, payload in answers:
        if kind != NEWADDR:
            continue
        _, length, flags, scope, owner = IFADDR.unpack_from(payload)
        body = attributes(payload[IFADDR.size :])
        local = body.get(IFA_LOCAL, body.get(IFA_ADDRESS))
        if owner != index or scope != Scope.UNIVERSE or local is None:
            continue
        flags = _u32(body[IFA_FLAGS]) if IFA_FLAGS in body else flags
        found.append(Address(owner, IPv4Interface((local, length)), not flags & IFA_F_NOPREFIXROUTE))
    return found


# --- routes ---------------------------------------------------------------------------------------------------


def put_route(route: Route) -> Request:
    """Add the route, or put it in the place of one to the same destination."""
    return Request(NEWROUTE, CREATE | REPLACE, _route_body(route, RTPROT_BOOT), f"put route {route}")


def delete_route(route: Route) -> Request:
    """Remove the route."""
    return Request(DELROUTE, 0, _route_body(route, 0), f"delete route {route}", GONE)


def delete_host_route(address: IPv4Address, table: int = MAIN) -> Request:
    """Remove the /32 route to an address, whatever device it leads to."""
    body = RTMSG.pack(socket.AF_INET, 32, 0, 0, table & 0xFF if table < 256 else 0, 0, 255, 0, 0)
    body += attribute(RTA_DST, address.packed) + attribute(RTA_TABLE, struct.pack("=I", table))
    return Request(DELROUTE, 0, body, f"delete route {address} table {table}", GONE)


def routes(netlink: Netlink, table: int) -> list[Route]:
    """The unicast IPv4 routes of one table."""
    body = RTMSG.pack(socket.AF_INET, 0, 0, 0, table if table < 256 else 0, 0, 0, 0, 0)
    body += attribute(RTA_TABLE, struct.pack("=I", table))
    try:
        answers = netlink.dump(GETROUTE, body, f"list routes of table {table}")
    except OSError as error:
        if error.errno == errno.ENOENT:  # the table does not exist before its first route
            return []
        raise
    found: list[Route] = []
    for kind, payload in answers:
        if kind != NEWROUTE:
            continue
        _, length, _, _, _, _, scope, route_type, _ = RTMSG.unpack_from(payload)
        body_of = attributes(payload[RTMSG.size :])
        if _u32(body_of.get(RTA_TABLE)) != table or route_type != RTN_UNICAST or RTA_OIF not in body_of:
            continue
        gateway = IPv4Address(body_of[RTA_GATEWAY]) if RTA_GATEWAY in body_of else None
        destination = IPv4Network((body_of[RTA_DST], length)) if RTA_DST in body_of else None
        if scope in {Scope.UNIVERSE, Scope.LINK}:
            found.append(Route(destination, table, _u32(body_of[RTA_OIF]), gateway, Scope(scope)))
    return found


def _route_body(route: Route, protocol: int) -> bytes:
    length = route.destination.prefixlen if route.destination else 0
    body = RTMSG.pack(
        socket.AF_INET,
        length,
        0,
        0,
        route.table if route.table < 256 else 0,
        protocol,
        route.scope,
        RTN_UNICAST,
        0,
    )
    if route.destination:
        body += attribute(RTA_DST, route.destination.network_address.packed)
    if route.gateway:
        body += attribute(RTA_GATEWAY, route.gateway.packed)
    body += attribute(RTA_OIF, struct.pack("=I", route.index))
    return body + attribute(RTA_TABLE, struct.pack("=I", route.table))


# --- rules ----------------------------------------------------------------------------------------------------


def add_rule(rule: Rule) -> Request:
    """Add the rule; one that is there already is fine."""
    return Request(NEWRULE, CREATE | EXCL, _rule_body(rule), f"add rule {rule}", THERE)


def add_missing_rule(rule: Rule) -> Request:
    """Add a rule that was looked for and is not there.

    Without EXCL: the kernel takes a stranger's narrower rule of the same priority for ours and would say EEXIST.
    """
    return Request(NEWRULE, CREATE, _rule_body(rule), f"add rule {rule}")


def delete_rule(rule: Rule) -> Request:
    """Remove one such rule."""
    return Request(DELRULE, 0, _rule_body(rule), f"delete rule {rule}", GONE)


def rules(netlink: Netlink) -> list[Rule]:
    """The IPv4 rules of the kinds that we make; others (by device, by port, inverted …) are not listed."""
    answers = netlink.dump(GETRULE, RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list rules")
    return [rule for kind, payload in answers if kind == NEWRULE and (rule := _rule(payload)) is not None]


PLAIN = frozenset({FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK, 14, 21})
"""Attributes of our kinds of rules; 14 and 21 are the suppress length and the protocol, which the kernel always tells."""


def _rule(payload: bytes) -> Rule | None:
    _, destination_length, source_length, _, _, _, _, action, flags = RTMSG.unpack_from(payload)
    found = attributes(payload[RTMSG.size :])
    if action != FR_ACT_TO_TBL or flags & 0x2 or not found.keys() <= PLAIN:
        return None
    return Rule(
        priority=_u32(found.get(FRA_PRIORITY)),
        table=_u32(found.get(FRA_TABLE)),
        source=IPv4Network((found[FRA_SRC], source_length)) if FRA_SRC in found else None,
        destination=IPv4Network((found[FRA_DST], destination_length)) if FRA_DST in found else None,
        mark=_u32(found[FRA_FWMARK]) if FRA_FWMARK in found else None,
        mask=_u32(found[FRA_FWMASK]) if FRA_FWMASK in found else None,
    )


def _rule_body(rule: Rule) -> bytes:
    body = RTMSG.pack(
        socket.AF_INET,
        rule.destination.prefixlen if rule.destination else 0,
        rule.source.prefixlen if rule.source else 0,
        0,
        rule.table if rule.table < 256 else 0,
        0,
        0,
        FR_ACT_TO_TBL,
        0,
    )
    if rule.destination:
        body += attribute(FRA_DST, rule.destination.network_address.packed)
    if rule.source:
        body += attribute(FRA_SRC, rule.source.network_address.packed)
    body += attribute(FRA_PRIORITY, struct.pack("=I", rule.priority))
    if rule.mark is not None:
        body += attribute(FRA_FWMARK, struct.pack("=I", rule.mark))
    if rule.mask is not None:
        body += attribute(FRA_FWMASK, struct.pack("=I", rule.mask))
    return body + attribute(FRA_TABLE, struct.pack("=I", rule.table))


# --- neighbours -----------------------------------------------------------------------------------------------


def put_neighbour(index: int, address: IPv4Address, mac: str) -> Request:
    """A permanent neighbour: nobody has to ask."""
    body = NDMSG.pack(socket.AF_INET, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, address.packed) + attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return Request(NEWNEIGH, CREATE | REPLACE, body, f"put neighbour {address} at {mac}")


def _name(name: str) -> bytes:
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _u32(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value else 0
