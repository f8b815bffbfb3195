"""One network namespace read whole over rtnetlink. Changes nothing."""

from __future__ import annotations

import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from vpccni.cli.kernel.values import (
    EVERYWHERE,
    Action,
    Device,
    Held,
    Hop,
    Kind,
    Network,
    PolicyRule,
    TableRoute,
)
from vpccni.linux.addresses import GETADDR, IFA_ADDRESS, IFA_LOCAL, IFADDR, NEWADDR
from vpccni.linux.links import (
    GETLINK,
    IFF_UP,
    IFINFO,
    IFLA_ADDRESS,
    IFLA_GROUP,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MTU,
    NEWLINK,
)
from vpccni.linux.routes import (
    GETROUTE,
    NEWROUTE,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_TABLE,
    RTMSG,
)
from vpccni.linux.rtnl import Netlink, attribute, attributes, u32
from vpccni.linux.rules import (
    FRA_DST,
    FRA_FWMARK,
    FRA_FWMASK,
    FRA_PRIORITY,
    FRA_PROTOCOL,
    FRA_SRC,
    FRA_SUPPRESS_PREFIXLEN,
    FRA_TABLE,
    GETRULE,
    INVERTED,
    NEWRULE,
    NOT_SUPPRESSED,
)
from vpccni.linux.rules import HEADER as RULE_HEADER

IFF_LOWER_UP = 0x10000
IFLA_LINK_NETNSID = 37
IFA_F_SECONDARY = 0x1
FRA_IIF, FRA_GOTO, FRA_FLOW, FRA_OIF, FRA_UIDS, FRA_IP_PROTO, FRA_SPORTS, FRA_DPORTS = (
    3,
    4,
    11,
    17,
    20,
    22,
    23,
    24,
)
SAID = frozenset(
    {
        FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK, FRA_SUPPRESS_PREFIXLEN, FRA_PROTOCOL,
        FRA_IIF, FRA_GOTO, FRA_FLOW, FRA_OIF, FRA_UIDS, FRA_IP_PROTO, FRA_SPORTS, FRA_DPORTS,
    }
)  # fmt: skip
"""What a `PolicyRule` can say, and what selects nothing: the realm, and who made the rule."""
RTA_METRIC, RTA_SOURCE, RTA_MULTIPATH = 6, 7, 9
HOP = struct.Struct("=HBBi")
HOP_DEAD = 0x1
GETNSID, NEWNSID = 90, 88
NETNSA_NSID, NETNSA_FD = 1, 3
RTGEN = struct.Struct("=Bxxx")


def read_network(netlink: Netlink) -> Network:
    """All of a namespace's IPv4. Raises OSError."""
    return Network(
        devices=read_devices(netlink),
        addresses=read_addresses(netlink),
        rules=read_rules(netlink),
        routes=read_routes(netlink),
    )


def read_devices(netlink: Netlink) -> tuple[Device, ...]:
    """Every device, by index. Raises OSError."""
    answers = netlink.dump(GETLINK, IFINFO.pack(0, 0, 0, 0, 0), "list links")
    found = [parse_device(payload) for kind, payload in answers if kind == NEWLINK]
    return tuple(sorted(found, key=lambda device: device.index))


def read_addresses(netlink: Netlink) -> tuple[Held, ...]:
    """Every IPv4 address, in the kernel's order. Raises OSError."""
    answers = netlink.dump(GETADDR, IFADDR.pack(socket.AF_INET, 0, 0, 0, 0), "list addresses")
    found: list[Held] = []
    for kind, payload in answers:
        if kind == NEWADDR:
            _, length, flags, scope, index = IFADDR.unpack_from(payload)
            body = attributes(payload[IFADDR.size :])
            local = body.get(IFA_LOCAL, body.get(IFA_ADDRESS, bytes(4)))
            found.append(
                Held(index, IPv4Interface((local, length)), scope, secondary=bool(flags & IFA_F_SECONDARY))
            )
    return tuple(found)


def read_rules(netlink: Netlink) -> tuple[PolicyRule, ...]:
    """Every policy rule, in the order in which the kernel asks them. Raises OSError."""
    answers = netlink.dump(GETRULE, RULE_HEADER.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list rules")
    return tuple(parse_policy_rule(payload) for kind, payload in answers if kind == NEWRULE)


def read_routes(netlink: Netlink) -> tuple[TableRoute, ...]:
    """Every route of every table, in the kernel's order. Raises OSError."""
    answers = netlink.dump(GETROUTE, RTMSG.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0), "list routes")
    return tuple(parse_table_route(payload) for kind, payload in answers if kind == NEWROUTE)


def namespace_number(netlink: Netlink, fd: int) -> int | None:
    """The number that this namespace has for another one; None if it has none. Raises OSError."""
    body = RTGEN.pack(socket.AF_UNSPEC) + attribute(NETNSA_FD, struct.pack("=I", fd))
    try:
        answer = netlink.get(GETNSID, body, "ask for a namespace's number")
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):  # a file that is no namespace
            return None
        raise
    value = attributes(answer[RTGEN.size :]).get(NETNSA_NSID)
    number = struct.unpack("=i", value)[0] if value else -1
    return number if number >= 0 else None


def parse_device(payload: bytes) -> Device:
    """The device that a message is about."""
    _, _, index, flags, _ = IFINFO.unpack_from(payload)
    body = attributes(payload[IFINFO.size :])
    info = attributes(body.get(IFLA_LINKINFO, b""))
    return Device(
        index=index,
        name=_text(body.get(IFLA_IFNAME)),
        mac=body.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=u32(body.get(IFLA_MTU)),
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP),
        kind=_text(info.get(IFLA_INFO_KIND)),
        group=u32(body.get(IFLA_GROUP)),
        peer=u32(body.get(IFLA_LINK)),
        peer_namespace=struct.unpack("=i", body[IFLA_LINK_NETNSID])[0] if IFLA_LINK_NETNSID in body else None,
    )


def parse_policy_rule(payload: bytes) -> PolicyRule:
    """The rule that a message is about."""
    _, destination_length, source_length, tos, _, _, _, action, flags = RULE_HEADER.unpack_from(payload)
    body = attributes(payload[RULE_HEADER.size :])
    suppressed = u32(body[FRA_SUPPRESS_PREFIXLEN]) if FRA_SUPPRESS_PREFIXLEN in body else NOT_SUPPRESSED
    unread = {kind for kind in body if kind not in SAID}
    return PolicyRule(
        priority=u32(body.get(FRA_PRIORITY)),
        action=Action(action) if action in set(Action) else Action.NOTHING,
        table=u32(body.get(FRA_TABLE)),
        source=IPv4Network((body[FRA_SRC], source_length)) if FRA_SRC in body else None,
        destination=IPv4Network((body[FRA_DST], destination_length)) if FRA_DST in body else None,
        mark=u32(body.get(FRA_FWMARK)),
        mask=u32(body.get(FRA_FWMASK)),
        iif=_text(body[FRA_IIF]) if FRA_IIF in body else None,
        oif=_text(body[FRA_OIF]) if FRA_OIF in body else None,
        tos=tos,
        protocol=body[FRA_IP_PROTO][0] if FRA_IP_PROTO in body else None,
        source_ports=_pair("=HH", body.get(FRA_SPORTS)),
        destination_ports=_pair("=HH", body.get(FRA_DPORTS)),
        uids=_pair("=II", body.get(FRA_UIDS)),
        goto=u32(body[FRA_GOTO]) if FRA_GOTO in body else None,
        inverted=bool(flags & INVERTED),
        suppress_length=None if suppressed == NOT_SUPPRESSED else suppressed,
        unread=frozenset(unread),
    )


def parse_table_route(payload: bytes) -> TableRoute:
    """The route that a message is about."""
    _, length, _, tos, table, _, scope, kind, flags = RTMSG.unpack_from(payload)
    body = attributes(payload[RTMSG.size :])
    hops: tuple[Hop, ...] = ()
    if RTA_MULTIPATH in body:
        hops = _hops(body[RTA_MULTIPATH])
    elif RTA_OIF in body:
        hops = (_hop(u32(body[RTA_OIF]), flags, body),)
    return TableRoute(
        destination=IPv4Network((body[RTA_DST], length)) if RTA_DST in body else EVERYWHERE,
        table=u32(body[RTA_TABLE]) if RTA_TABLE in body else table,
        kind=Kind(kind) if kind in set(Kind) else Kind.OTHER,
        hops=hops,
        metric=u32(body.get(RTA_METRIC)),
        tos=tos,
        scope=scope,
        source=IPv4Address(body[RTA_SOURCE]) if RTA_SOURCE in body else None,
    )


def _hops(data: bytes) -> tuple[Hop, ...]:
    found: list[Hop] = []
    offset = 0
    while offset + HOP.size <= len(data):
        length, flags, _, index = HOP.unpack_from(data, offset)
        if length < HOP.size:
            break
        found.append(_hop(index, flags, attributes(data[offset + HOP.size : offset + length])))
        offset += (length + 3) & ~3
    return tuple(found)


def _hop(index: int, flags: int, body: dict[int, bytes]) -> Hop:
    gateway = IPv4Address(body[RTA_GATEWAY]) if RTA_GATEWAY in body else None
    return Hop(index, gateway, dead=bool(flags & HOP_DEAD))


def _pair(packing: str, value: bytes | None) -> tuple[int, int] | None:
    if value is None:
        return None
    low, high = struct.unpack(packing, value)
    return int(low), int(high)


def _text(value: bytes | None) -> str:
    return os.fsdecode((value or b"").rstrip(b"\0"))
