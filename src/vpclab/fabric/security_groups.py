"""Security groups as one nftables table in the router: stateful, allow-only, deny what nothing allows.

One table for each address family (`Family`), of the same shape. Per group: one chain of its ingress and one of its egress rules, and sets of its members' addresses for rules that
name a group as peer. Per ENI: two chains that jump to its groups' and count and drop the rest. An ENI without any group is
not filtered; without any filtered ENI there is no chain, so that connection tracking stays off.
The router's own addresses (gateways, IMDS) are not forwarded to, so they are always reachable, as in AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from vpclab.fabric.eni import Link
from vpclab.fabric.nft_table import Chain, Elements, Table
from vpclab.region.addresses import PREFIX_LENGTH
from vpclab.region.ipv6_space import PREFIX_LENGTH as PREFIX6_LENGTH
from vpclab.region.values import NetworkInterface, SecurityGroup, SecurityGroupRule

NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
ICMP = {"icmp": 4, "icmpv6": 6}
"""Each is of one family only."""
ALL = "-1"
ALL_PORTS = (0, 65535)
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Family:
    """What is different between IPv4 and IPv6 in nft's words."""

    version: int
    table: str
    address_type: str
    block_length: int
    block_mask: str
    """Finds a prefix by its first address: `nft` reads a set of intervals back as a whole whenever one is added."""
    protocol: str
    """What a protocol's number is compared to: IPv6's own field may be an extension header's."""


V4 = Family(4, "ip", "ipv4_addr", PREFIX_LENGTH, str(IPv4Network((0, PREFIX_LENGTH)).netmask), "ip protocol")
V6 = Family(
    6, "ip6", "ipv6_addr", PREFIX6_LENGTH, str(IPv6Network((0, PREFIX6_LENGTH)).netmask), "meta l4proto"
)
NO_GROUPS = Table("ip", "groups")
"""The table when nothing is filtered."""
NO_GROUPS6 = Table("ip6", "groups")


@dataclass(frozen=True, slots=True)
class Members:
    """A group's members: their addresses, and the first addresses of their prefixes."""

    addresses: Elements
    blocks: Elements


class Way(Enum):
    """Seen from the ENI. The value is how chains and counters begin."""

    IN = "in"
    OUT = "out"


PRIORITY = {Way.OUT: -1, Way.IN: 0}


def security_table(
    links: Mapping[str, Link],
    enis: Mapping[str, NetworkInterface],
    groups: Mapping[str, SecurityGroup],
    members: Callable[[str], Members] | None = None,
    family: Family = V4,
) -> Table:
    """The table for these links (by router device), ENIs and groups (by id); a group that is not there allows nothing.

    `members` gives a group's sets, for who remembers them; otherwise they are made from `enis`.
    """
    nothing = Table(family.table, "groups")
    sets_of = members or (lambda group_id: _members(group_id, enis.values(), family))
    filtered = {name: enis[link.eni_id].groups for name, link in links.items() if enis[link.eni_id].groups}
    if not filtered:
        return nothing
    used = {group_id: groups[group_id] for ids in filtered.values() for group_id in ids if group_id in groups}
    peers = {
        rule.group_id
        for group in used.values()
        for rule in (*group.ingress, *group.egress)
        if rule.group_id is not None
    }
    chains: dict[str, Chain] = {}
    for group in used.values():
        chains[_chain(Way.IN, group.id)] = Chain(tuple(_rules(group.ingress, Way.IN, family)))
        chains[_chain(Way.OUT, group.id)] = Chain(tuple(_rules(group.egress, Way.OUT, family)))
    for name, ids in filtered.items():
        for way in Way:
            jumps = (f"jump {_chain(way, group_id)}" for group_id in ids if group_id in used)
            chains[eni_chain(way, name)] = Chain((*jumps, f"counter name {eni_chain(way, name)} drop"))
    # Two base chains, so that "accept" of the sender's egress leaves the receiver's ingress its say.
    for way, device in ((Way.OUT, "iifname"), (Way.IN, "oifname")):
        hook = f"type filter hook forward priority {PRIORITY[way]}; policy accept;"
        rules = ("ct state established,related accept", f"{device} vmap @{way.value}_by")
        chains[f"{way.value}_all"] = Chain(rules, hook)
    sets = {
        **{f"{way.value}_by": _verdicts(way, filtered) for way in Way},
        **{members_set(peer): sets_of(peer).addresses for peer in sorted(peers)},
        **{blocks_set(peer): sets_of(peer).blocks for peer in sorted(peers)},
    }
    counters = frozenset(eni_chain(way, name) for way in Way for name in filtered)
    return replace(nothing, chains=chains, sets=sets, counters=counters)


def eni_chain(way: Way, link_name: str) -> str:
    """The name of an ENI's chain, and of the counter of what it drops."""
    return f"{way.value}_{link_name}"


def members_set(group_id: str) -> str:
    """The name of the set that holds the addresses of a group's members."""
    return f"members_{_word(group_id)}"


def blocks_set(group_id: str) -> str:
    """The name of the set that holds the first addresses of its members' prefixes."""
    return f"blocks_{_word(group_id)}"


def _members(group_id: str, enis: Iterable[NetworkInterface], family: Family) -> Members:
    in_group = [eni for eni in enis if group_id in eni.groups]
    held: list[Network] = [network for eni in in_group for network in eni.networks]
    held += [network for eni in in_group for network in eni.ipv6_networks]
    return members_of(held, family)


def members_of(networks: Iterable[Network], family: Family = V4) -> Members:
    """The sets of a group whose members hold these; those of the other family are left out.

    Raises:
        ValueError: something else than an address or a prefix of EC2's one length.
    """
    addresses: dict[str, str] = {}
    blocks: dict[str, str] = {}
    length = family.block_length
    for network in networks:
        if network.version != family.version:
            continue
        if network.prefixlen not in (length, network.max_prefixlen):
            raise ValueError(f"{network} is neither an address nor a /{length}")
        (blocks if network.prefixlen == length else addresses)[str(network.network_address)] = ""
    kind = f"type {family.address_type};"
    return Members(Elements(kind, addresses), Elements(kind, blocks))


def _verdicts(way: Way, names: Iterable[str]) -> Elements:
    elements = {f'"{name}"': f"goto {eni_chain(way, name)}" for name in names}
    return Elements("type ifname : verdict;", elements, is_map=True)


def _rules(rules: Iterable[SecurityGroupRule], way: Way, family: Family) -> Iterator[str]:
    for rule in rules:
        if rule.cidr is None and rule.group_id is None:
            continue  # its peer is of a kind that the fabric does not carry (prefix list)
        protocol = NUMBERS.get(rule.protocol, rule.protocol)
        versions = {rule.cidr.version if rule.cidr else family.version, ICMP.get(protocol, family.version)}
        if versions == {family.version}:
            services = tuple(_service(rule, protocol, family))
            yield from (" ".join((*peer, *services, "accept")) for peer in _peers(rule, way, family))


def _peers(rule: SecurityGroupRule, way: Way, family: Family) -> Iterator[tuple[str, ...]]:
    """The ways that its peer is told in, a rule each; () is anybody."""
    where = f"{family.table} {'saddr' if way is Way.IN else 'daddr'}"
    if rule.group_id is not None:
        yield (f"{where} @{members_set(rule.group_id)}",)
        yield (f"{where} & {family.block_mask} @{blocks_set(rule.group_id)}",)
    elif rule.cidr is not None and rule.cidr.prefixlen > 0:
        yield (f"{where} {_plain(str(rule.cidr))}",)
    else:
        yield ()


def _service(rule: SecurityGroupRule, protocol: str, family: Family) -> Iterator[str]:
    if protocol == ALL:
        return
    first, last = rule.from_port, rule.to_port
    if protocol in ICMP and first not in (None, -1):
        yield f"{protocol} type {first}"
        if last not in (None, -1):
            yield f"{protocol} code {last}"
    elif protocol in ("tcp", "udp") and first not in (None, -1) and (first, last) != ALL_PORTS:
        yield f"{protocol} dport {first}" if last in (None, first) else f"{protocol} dport {first}-{last}"
    else:
        yield f"{family.protocol} {protocol}"


def _chain(way: Way, group_id: str) -> str:
    return f"{way.value}_{_word(group_id)}"


def _word(identifier: str) -> str:
    """An id as an nft identifier, which has no hyphens."""
    return re.sub(r"\W", "_", identifier)


def _plain(network: str) -> str:
    """A single address as nft lists it."""
    return network.removesuffix("/32").removesuffix("/128")
