"""What the kernel tells of its changes, and whether it touches what is ours.

Thousands of messages come from pods that are wired and from kube-proxy; most are set aside by a look at a few bytes. What we
did ourselves bears our socket's number.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.addresses import DELADDR, IFADDR, NEWADDR
from vpccni.linux.family import Family
from vpccni.linux.graveyard import REAPED
from vpccni.linux.links import DELLINK, NEWLINK, Link, parse_link
from vpccni.linux.names import is_host_veth
from vpccni.linux.nfnetlink import NF_TABLES
from vpccni.linux.routes import DELROUTE, NEWROUTE, RTA_TABLE, RTMSG
from vpccni.linux.rtnl import HEADER, attributes, u32
from vpccni.linux.rules import DELRULE, NEWRULE
from vpccni.linux.sources import TABLE as SOURCES_TABLE

ROUTE_GROUPS = 0x1 | 0x10 | 0x40 | 0x80 | 1 << 23
"""RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE and IPV4_NETCONF (rp_filter)."""
ROUTE_GROUPS6 = 0x400 | 1 << 18
"""IPV6_ROUTE and IPV6_RULE: where the pods are of IPv6."""
NFTABLES_GROUP = 7
"""NFNLGRP_NFTABLES."""
NEWNETCONF = 80
NETCONF_INDEX = 1
NEWTABLE, DELTABLE, NEWCHAIN, DELCHAIN, NEWRULE_NFT, DELRULE_NFT = 0, 2, 3, 5, 6, 8
NAT_TABLES = (b"nat", b"mangle")
"""Where iptables of the nf_tables kind puts its rules."""
BEYOND_A_BYTE = (0, 252)
"""What the header has for a table whose number is in an attribute only: RT_TABLE_COMPAT, or nothing."""
NAT_CHAINS = (b"PREROUTING", b"POSTROUTING")


class Part(enum.Flag):
    """What is looked at and mended together."""

    NONE = 0
    ROUTING = enum.auto()
    """Devices, addresses, routes, rules, the map of sources: netlink only."""
    NAT = enum.auto()
    """iptables and the connection marks: takes their commands."""


@dataclass(slots=True)
class News:
    """Reads messages, and keeps what they touch until it is taken."""

    macs: Collection[str]
    """Of the node's ENIs."""
    tables: Collection[int]
    """The ENIs' routing tables and that of the pods."""
    veth_prefix: str
    own_ports: Collection[int]
    """Sockets whose changes are ours."""
    pending: Part = Part.NONE
    _links: dict[int, Link] = field(default_factory=dict)
    """All that are no pods': which of them are ENIs' is known when their MACs are."""
    _veths: dict[int, str] = field(default_factory=dict)
    _down: set[int] = field(default_factory=set)
    """Pods' links that went down: most are gone a moment later, with their pods."""

    def take(self) -> Part:
        """What is to be looked at; from now on, nothing."""
        taken = self.pending | (Part.ROUTING if self._down else Part.NONE)
        self.pending = Part.NONE
        self._down.clear()
        return taken

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        return bool(self.pending or self._down)

    def lost(self) -> None:
        """The kernel had more to tell than we could hear."""
        self.pending = Part.ROUTING | Part.NAT

    def hear_routes(self, data: bytes) -> None:
        """A datagram of NETLINK_ROUTE's groups."""
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, _, _, port = HEADER.unpack_from(data, offset)
            if length < HEADER.size:
                break
            self._route_message(kind, port in self.own_ports, data[offset + HEADER.size : offset + length])
            offset += (length + 3) & ~3

    def hear_nftables(self, data: bytes) -> None:
        """A datagram of nf_tables' group."""
        offset = 0
        while offset + HEADER.size <= len(data):
            length, kind, _, _, port = HEADER.unpack_from(data, offset)
            if length < HEADER.size:
                break
            if kind >> 8 == NF_TABLES and port not in self.own_ports:
                self._nft_message(kind & 0xFF, data[offset + HEADER.size : offset + length])
            offset += (length + 3) & ~3

    def _route_message(self, kind: int, own: bool, payload: bytes) -> None:
        if kind in (NEWLINK, DELLINK):
            self._link(kind, own, payload)
        elif own:
            return
        elif kind in (NEWRULE, DELRULE):
            self.pending |= Part.ROUTING
        elif kind in (NEWROUTE, DELROUTE):
            self._route(payload)
        elif kind in (NEWADDR, DELADDR):
            if self._is_eni(IFADDR.unpack_from(payload)[4]):
                self.pending |= Part.ROUTING
        elif kind == NEWNETCONF:
            self._netconf(payload)

    def _route(self, payload: bytes) -> None:
        family, length, _, _, table, *_ = RTMSG.unpack_from(payload)
        if family not in (socket.AF_INET, socket.AF_INET6):
            return
        if table in BEYOND_A_BYTE:
            table = u32(attributes(payload[RTMSG.size :]).get(RTA_TABLE))
        if table in self.tables or (table == MAIN_TABLE and length == Family(family).bits):
            self.pending |= Part.ROUTING

    def _netconf(self, payload: bytes) -> None:
        index = struct.unpack("=i", attributes(payload[4:]).get(NETCONF_INDEX, b"\0\0\0\0"))[0]
        if self._is_eni(index) or index < 0:  # all devices, or what later ones get
            self.pending |= Part.ROUTING

    def know(self, links: Iterable[Link]) -> None:
        """What is there when the watch begins."""
        for link in links:
            if is_host_veth(self.veth_prefix, link.name):
                self._veths[link.index] = link.name
            else:
                self._links[link.index] = link

    def _is_eni(self, index: int) -> bool:
        link = self._links.get(index)
        return link is not None and link.mac in self.macs

    def _link(self, kind: int, own: bool, payload: bytes) -> None:
        link = parse_link(payload)
        before = self._veths.get(link.index)
        if kind == DELLINK or link.group == REAPED:
            self._veths.pop(link.index, None)
            self._down.discard(link.index)
            if self._is_eni(link.index):
                self.pending |= Part.ROUTING
            self._links.pop(link.index, None)
        elif before is not None and before != link.name:
            self.pending |= Part.ROUTING
            self._veths[link.index] = link.name
        elif before is not None or is_host_veth(self.veth_prefix, link.name):
            self._veths[link.index] = link.name
            if link.up or own:
                self._down.discard(link.index)
            elif before is not None:
                self._down.add(link.index)
        else:
            self._other(link, own)

    def _other(self, link: Link, own: bool) -> None:
        before = self._links.get(link.index)
        self._links[link.index] = link
        if own or before == link or link.mac not in self.macs:
            return
        self.pending |= Part.ROUTING
        if before is None or before.name != link.name:  # rules name the primary ENI's device
            self.pending |= Part.NAT

    def _nft_message(self, kind: int, payload: bytes) -> None:
        if payload[0] != socket.AF_INET or kind > 14:
            return
        table = _first(payload, 4)
        if table == SOURCES_TABLE.encode():
            self.pending |= Part.ROUTING
        elif table == b"aws-cni":
            self.pending |= Part.NAT
        elif table in NAT_TABLES:
            if kind in (NEWRULE_NFT, DELRULE_NFT, NEWCHAIN, DELCHAIN):
                chain = attributes(payload[4:]).get(2 if kind >= NEWRULE_NFT else 3, b"").rstrip(b"\0")
                if chain in NAT_CHAINS or chain.startswith(b"AWS-"):
                    self.pending |= Part.NAT
            elif kind == DELTABLE:
                self.pending |= Part.NAT


def _first(payload: bytes, offset: int) -> bytes:
    """The first attribute's value: in every message of nf_tables', its table's name."""
    if len(payload) < offset + 4:
        return b""
    length, _ = struct.unpack_from("=HH", payload, offset)
    return payload[offset + 4 : offset + length].rstrip(b"\0")
