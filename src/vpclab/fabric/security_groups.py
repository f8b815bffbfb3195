"""Security groups as one nftables table in the router: stateful, allow-only, deny what nothing allows.

Per group: one chain of its ingress and one of its egress rules, and sets of its members' addresses for rules that
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

from vpclab.fabric.eni import Link
from vpclab.fabric.nft_table import Chain, Elements, Table
from vpclab.region.addresses import PREFIX_LENGTH
from vpclab.region.values import NetworkInterface, SecurityGroup, SecurityGroupRule

NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp"}
ALL = "-1"
ALL_PORTS = (0, 65535)
NO_GROUPS = Table("ip", "groups")
"""The table when nothing is filtered."""
BLOCK_MASK = IPv4Network((0, PREFIX_LENGTH)).netmask
"""Finds a prefix by its first address: `nft` reads a set of intervals back as a whole whenever one is added."""


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
) -> Table:
    """The table for these links (by router device), ENIs and groups (by id); a group that is not there allows nothing.

    `members` gives a group's sets, for who remembers them; otherwise they are made from `enis`.
    """
    sets_of = members or (lambda group_id: _members(group_id, enis.values()))
    filtered = {name: enis[link.eni_id].groups for name, link in links.items() if enis[link.eni_id].groups}
    if not filtered:
        return NO_GROUPS
    used = {group_id: groups[group_id] for ids in filtered.values() for group_id in ids if group_id in groups}
    peers = {
        rule.group_id
        for group in used.values()
        for rule in (*group.ingress, *group.egress)
        if rule.group_id is not None
    }
    chains: dict[str, Chain] = {}
    for group in used.values():
        chains[_chain(Way.IN, group.id)] = Chain(tuple(_rules(group.ingress, Way.IN)))
        chains[_chain(Way.OUT, group.id)] = Chain(tuple(_rules(group.egress, Way.OUT)))
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
    return replace(NO_GROUPS, chains=chains, sets=sets, counters=counters)


def eni_chain(way: Way, link_name: str) -> str:
    """The name of an ENI's chain, and of the counter of what it drops."""
    return f"{way.value}_{link_name}"


def members_set(group_id: str) -> str:
    """The name of the set that holds the addresses of a group's members."""
    return f"members_{_word(group_id)}"


def blocks_set(group_id: str) -> str:
    """The name of the set that holds the first addresses of its members' prefixes."""
    return f"blocks_{_word(group_id)}"


def _members(group_id: str, enis: Iterable[NetworkInterface]) -> Members:
    return members_of(n for eni in enis if group_id in eni.groups for n in eni.networks)


def members_of(networks: Iterable[IPv4Network]) -> Members:
    """The sets of a group whose members hold these.

    Raises:
        ValueError: something else than an address or a prefix of EC2's one length.
    """
    addresses: dict[str, str] = {}
    blocks: dict[str, str] = {}
    for network in networks:
        if network.prefixlen not in (PREFIX_LENGTH, network.max_prefixlen):
            raise ValueError(f"{network} is neither an address nor a /{PREFIX_LENGTH}")
        (blocks if network.prefixlen == PREFIX_LENGTH else addresses)[str(network.network_address)] = ""
    return Members(Elements("type ipv4_addr;", addresses), Elements("type ipv4_addr;", blocks))


def _verdicts(way: Way, names: Iterable[str]) -> Elements:
    elements = {f'"{name}"': f"goto {eni_chain(way, name)}" for name in names}
    return Elements("type ifname : verdict;", elements, is_map=True)


def _rules(rules: Iterable[SecurityGroupRule], way: Way) -> Iterator[str]:
    for rule in rules:
        if (rule.cidr is None and rule.group_id is None) or isinstance(rule.cidr, IPv6Network):
            continue  # its peer is of a kind that the fabric does not carry (IPv6, prefix list)
        yield from (" ".join((*peer, *_service(rule), "accept")) for peer in _peers(rule, way))


def _peers(rule: SecurityGroupRule, way: Way) -> Iterator[tuple[str, ...]]:
    """The ways that its peer is told in, a rule each; () is anybody."""
    where = "ip saddr" if way is Way.IN else "ip daddr"
    if rule.group_id is not None:
        yield (f"{where} @{members_set(rule.group_id)}",)
        yield (f"{where} & {BLOCK_MASK} @{blocks_set(rule.group_id)}",)
    elif rule.cidr is not None and rule.cidr.prefixlen > 0:
        yield (f"{where} {_plain(str(rule.cidr))}",)
    else:
        yield ()


def _service(rule: SecurityGroupRule) -> Iterator[str]:
    protocol = NUMBERS.get(rule.protocol, rule.protocol)
    if protocol == ALL:
        return
    first, last = rule.from_port, rule.to_port
    if protocol == "icmp" and first not in (None, -1):
        yield f"icmp type {first}"
        if last not in (None, -1):
            yield f"icmp code {last}"
    elif protocol in ("tcp", "udp") and first not in (None, -1) and (first, last) != ALL_PORTS:
        yield f"{protocol} dport {first}" if last in (None, first) else f"{protocol} dport {first}-{last}"
    else:
        yield f"ip protocol {protocol}"


def _chain(way: Way, group_id: str) -> str:
    return f"{way.value}_{_word(group_id)}"


def _word(identifier: str) -> str:
    """An id as an nft identifier, which has no hyphens."""
    return re.sub(r"\W", "_", identifier)


def _plain(network: str) -> str:
    """A /32 as nft lists it."""
    return network.removesuffix("/32")
