"""IPv6 in a VPC's router: the same idea as for IPv4, with what IPv6 lacks or has besides.

Each ENI that holds IPv6 addresses has the VPC's gateway at its link's end; every address or prefix is a route `via fe80::2`,
whose one permanent neighbour is the ENI, so that nothing is ever asked there. IPv6 has no reverse-path filter: the source check
is a rule that looks the source up as the filter would. Duplicates cannot be, and are not looked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network

from vpclab.fabric.devices import ENI, FABRIC_MAC, GATEWAY6, IGW_DEVICE, NOWHERE
from vpclab.fabric.eni import Link
from vpclab.fabric.namespaces import Place
from vpclab.fabric.nft_table import Chain, Elements, Table
from vpclab.fabric.security_groups import NO_GROUPS6

IMDS6 = IPv6Address("fd00:ec2::254")
GATEWAYS = (GATEWAY6, IPv6Address("fe80:ec2::1"))
"""The VPC's router on every link; the second is the one that the original's agent knows (upstream-behaviour 3.2)."""
NODE_END6 = IPv6Address("fe80::2")
TO_IGW6 = (IPv6Address("fe80::a1"), IPv6Address("fe80::a2"))
"""The router's and the internet gateway's end of the link between them."""
SPOOFED = "spoofed"
SETTINGS: Mapping[str, int] = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
    "net/ipv6/conf/default/addr_gen_mode": 1,  # link-local addresses are ours to give
    "net/ipv6/conf/default/accept_ra": 0,
    "net/ipv6/conf/all/forwarding": 1,
}
"""IPv6 is switched on link by link, and with the first VPC that has it."""

Networks6 = frozenset[IPv6Network]


def on(*devices: str) -> dict[str, int]:
    """Settings that let IPv6 on these devices."""
    return {f"net/ipv6/conf/{name}/disable_ipv6": 0 for name in devices}


@dataclass(frozen=True, slots=True)
class Ipv6State:
    """A VPC's IPv6, as `FabricState` has the rest."""

    cidrs: Networks6 = frozenset()
    held: Mapping[str, Networks6] = field(default_factory=dict)
    """By the router's device, those that hold something only."""
    tables: Mapping[int, Mapping[IPv6Network, str]] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    """Those of `held`."""
    open: Networks6 = frozenset()
    """Subnets that the internet gateway passes both ways."""
    egress_only: Networks6 = frozenset()
    """Subnets whose connections out are passed, with what answers them."""
    security: Table = NO_GROUPS6


async def prepare(router: Place, lost_table: int, after_main: int) -> None:
    """What never changes in a router: the metadata service's address, where what has no route goes."""
    await router.sysctl(on("lo", IGW_DEVICE, NOWHERE))
    here, _ = TO_IGW6
    await batch(
        router,
        (
            f"addr add {IMDS6}/128 dev lo nodad",
            f"addr add {here}/64 dev {IGW_DEVICE} nodad",
            f"route add default dev {NOWHERE} table {lost_table}",
            f"rule add pref {after_main + 1} lookup {lost_table}",
        ),
    )


async def batch(place: Place, lines: Iterable[str]) -> None:
    """`ip -6 -batch -`.

    Raises:
        CommandError: naming the line that failed; the ones before it are done.
    """
    script = "\n".join(lines)
    if script:
        await place.run(("ip", "-6", "-batch", "-"), input=script + "\n")


async def join(router: Place, name: str) -> None:
    """A link to another VPC's router has come."""
    await router.sysctl(on(name))
    await batch(
        router,
        (
            f"addr replace {GATEWAYS[0]}/64 dev {name} nodad",
            f"neigh replace {NODE_END6} lladdr {FABRIC_MAC} dev {name} nud permanent",
        ),
    )


async def forget(router: Place, after_main: int) -> None:
    """After a failure: take all routes and rules away that are ours, so that everything is told again."""
    await router.run(("ip", "-6", "route", "flush", "table", "all", "proto", "boot"), check=False)
    rules = json.loads((await router.run(("ip", "-6", "-j", "rule", "show"))).stdout or "[]")
    for rule in rules:
        if rule["priority"] == after_main and "iif" in rule:
            line = f"rule del pref {after_main} iif {rule['iif']} lookup {rule['table']}"
            await router.run(("ip", "-6", *line.split()), check=False)


def changes6(before: Ipv6State, after: Ipv6State, lasting: Collection[str], after_main: int) -> Iterator[str]:
    """`ip -6 -batch` lines that turn one state into another, once the links of `after` are there and let IPv6 in.

    `lasting` are the links that have been there all the time, with IPv6 or without; one that is gone took its addresses and
    routes along, not its rule.
    """
    kept = {name for name in before.links if name in lasting}
    yield from (f"route del blackhole {cidr}" for cidr in before.cidrs - after.cidrs)
    yield from (f"route add blackhole {cidr}" for cidr in after.cidrs - before.cidrs)
    for name, link in before.links.items():
        if link.table and (name not in after.links or after.links[name].table != link.table):
            yield _rule("del", name, link.table, after_main)
    for name, link in after.links.items():
        if name not in kept:
            yield from (f"addr replace {gateway}/64 dev {name} nodad" for gateway in GATEWAYS)
            yield f"neigh replace {NODE_END6} lladdr {link.mac} dev {name} nud permanent"
        if link.table and (name not in before.links or before.links[name].table != link.table):
            yield _rule("add", name, link.table, after_main)
    had = {network: name for name in kept for network in before.held.get(name, ())}
    now = {network: name for name, networks in after.held.items() for network in networks}
    yield from (f"route del {network} {way6(name)}" for network, name in had.items() if network not in now)
    yield from (f"route replace {one} {way6(name)}" for one, name in now.items() if had.get(one) != name)
    for table in before.tables.keys() | after.tables.keys():
        was, wanted = before.tables.get(table, {}), after.tables.get(table, {})
        for destination, to in was.items():
            if destination not in wanted and (to[0] != ENI or to in kept):
                yield f"route del {destination} {way6(to)} table {table}"
        for destination, to in wanted.items():
            if was.get(destination) != to or (to[0] == ENI and to not in kept):
                yield f"route replace {destination} {way6(to)} table {table}"


def way6(to: str) -> str:
    """The end of an `ip -6 route` line that leads to a device."""
    if to == NOWHERE:
        return f"dev {NOWHERE}"
    return f"via {TO_IGW6[1] if to == IGW_DEVICE else NODE_END6} dev {to}"


def source_check(state: Ipv6State) -> Table:
    """Drops what comes from an ENI with an address that is not its own."""
    not_its_own = "ip6 saddr != fe80::/10 fib saddr . iif oif missing"
    rules = (f'iifname "{ENI}*" iifname != @unchecked {not_its_own} counter name {SPOOFED} drop',)
    unchecked = {f'"{name}"': "" for name, link in state.links.items() if not link.source_check}
    return Table(
        "ip6",
        "source_check",
        {"arriving": Chain(rules, "type filter hook prerouting priority raw; policy accept;")},
        {"unchecked": Elements("type ifname;", unchecked)},
        frozenset({SPOOFED}),
    )


def _rule(verb: str, name: str, table: int, after_main: int) -> str:
    return f"rule {verb} pref {after_main} iif {name} lookup {table}"
