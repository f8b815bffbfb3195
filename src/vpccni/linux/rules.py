"""Policy rules of either family: as values, and as rtnetlink messages."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import lru_cache

from vpccni.ipam.values import Network
from vpccni.linux.family import Family, network
from vpccni.linux.rtnl import CREATE, EXCL, KNOWN, Netlink, Request, attribute, attributes, name_value, u32

NEWRULE, DELRULE, GETRULE = 32, 33, 34
FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_FWMASK = (
    1,
    2,
    6,
    10,
    14,
    15,
    16,
)
FRA_IIFNAME, FRA_PROTOCOL = 3, 21
TO_TABLE = 1
"""The action of a rule that looks a table up."""
INVERTED = 0x2
NOT_SUPPRESSED = 0xFFFFFFFF
HEADER = struct.Struct("=BBBBBBBBI")
ANY_TABLE = 0

PLAIN = frozenset(
    {FRA_DST, FRA_SRC, FRA_PRIORITY, FRA_FWMARK, FRA_TABLE, FRA_FWMASK, FRA_SUPPRESS_PREFIXLEN, FRA_PROTOCOL}
)
"""Attributes of our kinds of rules; the suppressed length and the protocol are told of every rule."""  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the kinds that we make: a lookup of a table by source, destination or mark."""

    priority: int
    table: int
    source: Network | None = None
    destination: Network | None = None
    mark: int | None = None
    mask: int | None = None
    by: str | None = None
    """The device that a packet comes in by: of the pods with branch ENIs."""
    ipv6: bool = False
    """Of IPv6, though no network tells it."""

    @property
    def family(self) -> Family:
        """Its networks', or what it says."""
        told = self.source or self.destination
        if told is not None:
            return Family.of(told)
        return Family.IPV6 if self.ipv6 else Family.IPV4

    def __str__(self) -> str:
        words = [f"{self.priority}:"]
        if self.by is not None:
            words.append(f"iif {self.by}")
        if self.source:
            words.append(f"from {self.source}")
        if self.destination:
            words.append(f"to {self.destination}")
        if self.mark is not None:
            words.append(f"fwmark {self.mark:#x}/{self.mask:#x}")
        return " ".join([*words, f"lookup {self.table}"])


@dataclass(frozen=True, slots=True)
class Listed:
    """A rule as the kernel lists it."""

    rule: Rule
    whole: bool
    """False if it has more selectors than pods' and ENIs' rules have (a device, a port, inverted, …): then it is none of these."""

    def answers_to(self, rule: Rule) -> bool:
        """Whether the kernel, asked to delete `rule`, may take this one: what the request leaves out matches anything."""
        own = self.rule
        return (
            own.priority == rule.priority
            and rule.table in (ANY_TABLE, own.table)
            and (rule.source is None or rule.source == own.source)
            and (rule.destination is None or rule.destination == own.destination)
            and (rule.mark is None or (rule.mark, rule.mask) == (own.mark, own.mask))
            and (rule.by is None or rule.by == own.by)
        )


def add_rule(rule: Rule) -> Request:
    """Add the rule unless it is there."""
    return Request(NEWRULE, CREATE | EXCL, _body(rule), f"add rule {rule}", (errno.EEXIST,))


def add_missing_rule(rule: Rule) -> Request:
    """Add a rule that was looked for and is not there.

    Without EXCL: the kernel takes a stranger's narrower rule of the same priority for ours and would say EEXIST.
    """
    return Request(NEWRULE, CREATE, _body(rule), f"add rule {rule}")


def delete_rule(rule: Rule) -> Request:
    """Remove the first rule that answers to this one; ENOENT if none does. With table ANY_TABLE whatever it looks up."""
    return Request(DELRULE, 0, _body(rule), f"delete rule {rule}")


def listing(netlink: Netlink, family: Family = Family.IPV4) -> list[Listed]:
    """Every rule of a family, in the kernel's order."""
    answers = netlink.dump(GETRULE, HEADER.pack(family, 0, 0, 0, 0, 0, 0, 0, 0), "list rules")
    return [parse_rule(payload) for kind, payload in answers if kind == NEWRULE]


@lru_cache(KNOWN)
def parse_rule(payload: bytes) -> Listed:
    """The rule that a message of the kernel is about."""
    family, destination_length, source_length, tos, _, _, _, action, flags = HEADER.unpack_from(payload)
    found = attributes(payload[HEADER.size :])
    rule = Rule(
        priority=u32(found.get(FRA_PRIORITY)),
        table=u32(found.get(FRA_TABLE)),
        source=network(found[FRA_SRC], source_length) if FRA_SRC in found else None,
        destination=network(found[FRA_DST], destination_length) if FRA_DST in found else None,
        mark=u32(found[FRA_FWMARK]) if FRA_FWMARK in found else None,
        mask=u32(found[FRA_FWMASK]) if FRA_FWMASK in found else None,
        by=found[FRA_IIFNAME].rstrip(b"\0").decode() if FRA_IIFNAME in found else None,
        ipv6=family == Family.IPV6 and FRA_SRC not in found and FRA_DST not in found,
    )
    suppressed = u32(found[FRA_SUPPRESS_PREFIXLEN]) if FRA_SUPPRESS_PREFIXLEN in found else NOT_SUPPRESSED
    whole = (
        action == TO_TABLE
        and not flags & INVERTED
        and tos == 0
        and suppressed == NOT_SUPPRESSED
        and found.keys() <= PLAIN
    )
    return Listed(rule, whole)


def _body(rule: Rule) -> bytes:
    body = HEADER.pack(
        rule.family,
        rule.destination.prefixlen if rule.destination else 0,
        rule.source.prefixlen if rule.source else 0,
        0,
        rule.table if rule.table < 256 else 0,
        0,
        0,
        TO_TABLE,
        0,
    )
    if rule.destination:
        body += attribute(FRA_DST, rule.destination.network_address.packed)
    if rule.source:
        body += attribute(FRA_SRC, rule.source.network_address.packed)
    body += attribute(FRA_PRIORITY, struct.pack("=I", rule.priority))
    if rule.by is not None:
        body += attribute(FRA_IIFNAME, name_value(rule.by))
    if rule.mark is not None:
        body += attribute(FRA_FWMARK, struct.pack("=I", rule.mark))
    if rule.mask is not None:
        body += attribute(FRA_FWMASK, struct.pack("=I", rule.mask))
    if rule.table != ANY_TABLE:
        body += attribute(FRA_TABLE, struct.pack("=I", rule.table))
    return body
