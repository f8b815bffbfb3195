"""The host's own rules, as a wanted set: written when missing, untouched when right, never a stranger's (spec 5.1-5.3)."""

from __future__ import annotations

import contextlib
import errno
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.connmark import remove_connmark, settle_connmark, wanted_chains
from vpccni.linux.eni import set_mtu_and_up, wait_for_link
from vpccni.linux.errors import KernelError
from vpccni.linux.family import Family
from vpccni.linux.iptables import iptables_kind, settle_iptables
from vpccni.linux.leftovers import Leftovers, keep_pods, leftovers, pod_links, remove_leftovers
from vpccni.linux.links import Link
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, listing
from vpccni.linux.snat import NatSettings, wanted_tables
from vpccni.linux.source_check import LOOSE, set_source_check
from vpccni.linux.wanted import settle_rules

__all__ = [
    "HostSettings",
    "Leftovers",
    "keep_pods",
    "leftovers",
    "pod_links",
    "remove_leftovers",
    "set_up_host",
]

BY_MARK, TO_SERVICE = 1024, 1535
"""Priorities of the rules for marked connections and external services (spec 5.1)."""
FIRST, AFTER_BRANCHES, LOCAL_TABLE = 0, 20, 255
"""Priorities of the rule for the node's own addresses: the kernel's, and behind those of pods with branch ENIs (spec 5.1)."""
PRIMARY_WAIT = 15.0
"""Seconds that the primary ENI's device may take to appear (spec 5.2: 5 tries, 3 s apart)."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the host's rules depend on."""

    primary_mac: str
    node_address: IPv4Address
    vpc_cidrs: tuple[IPv4Network, ...]
    exclude_cidrs: tuple[IPv4Network, ...] = ()
    service_cidrs: tuple[IPv4Network, ...] = ()
    external_snat: bool = False
    ports: str = "prng"
    """How source ports are chosen: prng, hashrandom or none."""
    node_port: bool = True
    mark: int = 0x80
    veth_prefix: str = "eni"
    mtu: int = 9001
    strict_branches: bool = False
    """What pods with branch ENIs send to the node goes by the VPC, too."""
    family: Family = Family.IPV4
    """The pods'. IPv6 needs no translation, so nothing of it but a rule is on the host (spec 5.2)."""


def set_up_host(netlink: Netlink, settings: HostSettings) -> list[str]:
    """Everything that is not about one pod or one secondary ENI.

    Returns what was changed, in words; nothing when all was right. May be killed anywhere and run again, with other CIDRs
    of the VPC, too. Raises OSError.
    """
    link = wait_for_link(settings.primary_mac, PRIMARY_WAIT)
    return settle_host_rules(netlink, settings, link) + settle_nat(settings, link)


def settle_host_rules(netlink: Netlink, settings: HostSettings, primary: Link) -> list[str]:
    """The primary ENI's device and the host's own policy rules; returns the changes. Raises OSError."""
    changes = set_mtu_and_up(netlink, primary, settings.mtu)
    # rp_filter 2: a NodePort's reply path may differ from its way in (spec 1.2)
    changes += set_source_check(netlink, primary.index, LOOSE)
    changes += settle_rules(netlink, _wanted_rules(settings), _is_ours)
    if settings.family is Family.IPV6:
        mark = Rule(BY_MARK, MAIN_TABLE, mark=settings.mark, mask=settings.mark, ipv6=True)
        changes += settle_rules(
            netlink, [mark] if settings.node_port else [], lambda rule: rule == mark, Family.IPV6
        )
    return changes + _settle_local(netlink, strict=settings.strict_branches)


def settle_nat(settings: HostSettings, primary: Link) -> list[str]:
    """SNAT and the marks of connections, in iptables and nft; returns the changes. Raises OSError."""
    if settings.family is Family.IPV6:
        return []
    if not settings.vpc_cidrs and not settings.external_snat:
        # the original refuses too (spec 5.3): the VPC's own traffic would lose the pods' addresses
        raise KernelError(
            errno.EINVAL, "the VPC has no IPv4 CIDR to exempt from SNAT: instance metadata is not complete"
        )
    kind = iptables_kind()
    nat = NatSettings(
        primary_interface=primary.name,
        node_address=settings.node_address,
        vpc_cidrs=settings.vpc_cidrs,
        exclude_cidrs=settings.exclude_cidrs,
        external_snat=settings.external_snat,
        ports=settings.ports if kind.fully_random or settings.ports != "prng" else "hashrandom",
        node_port=settings.node_port,
        mark=settings.mark,
        veth_prefix=settings.veth_prefix,
    )
    changes: list[str] = []
    if not kind.legacy:  # the mark's new maker before its old one goes, here and below
        changes += _connmark(nat)
    changed = settle_iptables(wanted_tables(nat, connmark=kind.legacy))
    changes += [f"changed our rules in the {table} table" for table in changed]
    if kind.legacy:
        with contextlib.suppress(OSError):  # a node whose kernel or image has no nftables
            changes += remove_connmark()
    return changes


def _settle_local(netlink: Netlink, *, strict: bool) -> list[str]:
    """The rule for the node's own addresses stands behind the strict mode's, and where it was without it.

    The original leaves it there for good. A host on which somebody else has moved it is left alone.
    """
    first, moved = Rule(FIRST, LOCAL_TABLE), Rule(AFTER_BRANCHES, LOCAL_TABLE)
    if strict:
        return settle_rules(netlink, [moved], lambda rule: rule == first)
    if any(entry.whole and entry.rule == moved for entry in listing(netlink)):
        return settle_rules(netlink, [first], lambda rule: rule == moved)
    return []


def _wanted_rules(settings: HostSettings) -> list[Rule]:
    if settings.family is Family.IPV6:
        return []
    wanted = [Rule(TO_SERVICE, MAIN_TABLE, destination=cidr) for cidr in settings.service_cidrs]
    if settings.node_port or not settings.external_snat:
        wanted.append(Rule(BY_MARK, MAIN_TABLE, mark=settings.mark, mask=settings.mark))
    return wanted


def _is_ours(rule: Rule) -> bool:
    """Whether a rule has the shape of one that `_wanted_rules` makes, with whatever settings."""
    return rule in (
        Rule(BY_MARK, MAIN_TABLE, mark=rule.mark, mask=rule.mark) if rule.mark is not None else None,
        Rule(TO_SERVICE, MAIN_TABLE, destination=rule.destination) if rule.destination is not None else None,
    )


def _connmark(nat: NatSettings) -> list[str]:
    if nat.external_snat:
        return remove_connmark()
    return settle_connmark(wanted_chains(nat.veth_prefix, nat.mark, nat.exempt))
