"""A VPC's router: one namespace that delivers each address to the ENI that holds it, and nothing else anywhere.

Its main table has one route per address or prefix and a blackhole for the rest of the VPC, so an address that no ENI holds
is silent, to ARP too. Strict reverse-path filtering on every ENI's link is the source check. What leaves the VPC is found
in the route table of its subnet, by rules on the incoming link: there, the lookup of the reverse path never looks. What
comes from a gateway or a peering has no such rule, so it finds the VPC's own addresses and nothing beyond: not transitive.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import ipv6
from vpclab.fabric.commands import CommandError
from vpclab.fabric.devices import (
    ENI,
    FABRIC_MAC,
    GATEWAY_MTU,
    IGW_DEVICE,
    NODE_END,
    NOWHERE,
    PEERING,
    TO_IGW,
    VPN,
    way,
)
from vpclab.fabric.namespaces import Namespaces, Place, veth
from vpclab.fabric.nft_table import Chain, Elements, Table
from vpclab.fabric.security_groups import Way, eni_chain
from vpclab.fabric.state import FabricState

IMDS = IPv4Address("169.254.169.254")
LOST_TABLE = 101
BEFORE_MAIN = 32000
"""Rule priority for answers that must go back through a load balancer."""
AFTER_MAIN = 33000
"""Rule priority: main (32766) decides inside the VPC."""
DOOMED = 99
"""Interface group for links about to go: one delete for all waits for the kernel's grace period once."""
NO_ROUTE, NOT_TRANSITIVE = "no_route", "not_transitive"

SYSCTLS: Mapping[str, int] = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,  # the effective value is the larger of all's and the device's
    "net/ipv4/conf/all/send_redirects": 0,  # either of the two is enough to send
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv4/conf/default/rp_filter": 1,
    "net/ipv4/conf/default/proxy_arp": 1,
    **ipv6.SETTINGS,
}
LOST = Table(
    "inet",
    "lost",
    {
        "leaving": Chain(
            (
                f'oifname "{NOWHERE}" iifname "{ENI}*" counter name {NO_ROUTE} drop',
                f'oifname "{NOWHERE}" counter name {NOT_TRANSITIVE} drop',
            ),
            "type filter hook forward priority -10; policy accept;",
        )
    },
    counters=frozenset({NO_ROUTE, NOT_TRANSITIVE}),
)


class Router:
    """The router's namespace and what was done in it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._applied = FabricState()
        self._arp: Table | None = None
        self._flows: Table | None = None
        self._security: Table | None = None
        self._security6: Table | None = None
        self._sources: Table | None = None

    async def start(self, igw: Namespaces) -> None:
        """The link to the internet gateway, and what never changes."""
        await self.place.sysctl(SYSCTLS)
        here, _ = TO_IGW
        await self.place.ip(
            (
                veth(IGW_DEVICE, "vpc", igw, GATEWAY_MTU),
                f"link set {IGW_DEVICE} up",
                f"addr add {here}/30 dev {IGW_DEVICE}",
                f"addr add {IMDS}/32 dev lo",
                f"link add {NOWHERE} type ifb",
                f"link set {NOWHERE} up",
                f"route add default {way(NOWHERE)} table {LOST_TABLE}",
                f"rule add pref {AFTER_MAIN + 1} lookup {LOST_TABLE}",
            )
        )
        await self._gateway_settings(IGW_DEVICE)
        await ipv6.prepare(self.place, LOST_TABLE, AFTER_MAIN)
        await self.place.nft(LOST.script())
        # A VPC's router is no visible hop. nft 1.0.6 cannot compute; the lock's file would be the machine's.
        for kind in (ENI, PEERING, VPN):
            for command, target in (("iptables", "TTL --ttl-inc 1"), ("ip6tables", "HL --hl-inc 1")):
                line = f"{command} -t mangle -A PREROUTING -i {kind}+ -j {target}"
                await self.place.run(line.split(), env={**os.environ, "XTABLES_LOCKFILE": "/dev/null"})

    async def join(self, name: str) -> None:
        """A link to another VPC's router or to a customer's gateway has come."""
        await self.place.ip(
            (f"link set {name} up", f"neigh replace {NODE_END} lladdr {FABRIC_MAC} dev {name} nud permanent")
        )
        await ipv6.join(self.place, name)
        await self._gateway_settings(name)

    async def _gateway_settings(self, name: str) -> None:
        # From outside of the VPC the way back is in no table that the check looks at.
        await self.place.sysctl({f"net/ipv4/conf/{name}/{key}": 0 for key in ("rp_filter", "proxy_arp")})

    async def apply(self, state: FabricState, places: Mapping[str, Namespaces]) -> None:
        """Make it so.

        Args:
            state: what is wanted.
            places: the namespaces of each machine that `state.links` names.

        Raises:
            CommandError: a step failed, also when tried again from what is really there (a device may have gone with
                its namespace). The next call tries just the rest.
            OSError: a setting could not be written; likewise.
        """
        # Filters before links and routes: nothing passes a new link that its groups would not let pass.
        arp, flows = arp_table(state), flows_table(state)
        await self.place.nft(arp.script(self._arp))
        self._arp = arp
        if self._flows is not None or state.marks:
            await self.place.nft(flows.script(self._flows))
            self._flows = flows
        if self._security is not None or state.security.chains:
            await self.place.nft(state.security.script(self._security))
            self._security = state.security
        if self._sources is not None or state.ipv6.links:
            sources = ipv6.source_check(state.ipv6)
            await self.place.nft(sources.script(self._sources))
            self._sources = sources
        if self._security6 is not None or state.ipv6.security.chains:
            await self.place.nft(state.ipv6.security.script(self._security6))
            self._security6 = state.ipv6.security
        try:
            await self._wire(state, places)
        except (CommandError, OSError):
            await self._read_again(state)
            try:
                await self._wire(state, places)
            except (CommandError, OSError):
                await self._read_again(state)
                raise

    async def _wire(self, state: FabricState, places: Mapping[str, Namespaces]) -> None:
        before = self._applied.links
        await self.place.ip(tuple(changes(self._applied, state, places)))
        touched = [link for name, link in state.links.items() if link != before.get(name)]
        if touched:
            await self.place.sysctl({key: value for link in touched for key, value in link.sysctls().items()})
        lasting = {
            name for name in before if name in state.links and state.links[name].same_wire(before[name])
        }
        await self._wire6(self._applied.ipv6, state.ipv6, lasting)
        self._applied = state

    async def _wire6(self, before: ipv6.Ipv6State, after: ipv6.Ipv6State, lasting: Collection[str]) -> None:
        if after != before:
            await self.place.sysctl(ipv6.on(*(after.links.keys() - (before.links.keys() & lasting))))
            await ipv6.batch(self.place, ipv6.changes6(before, after, lasting, AFTER_MAIN))

    async def dropped_by_source_check(self) -> int:
        """How many packets came from an ENI with an address that is not its own."""
        of_ipv4 = await self.place.call(_reverse_path_drops)
        if self._sources is None:
            return of_ipv4
        return of_ipv4 + (await self._counters(self._sources))[ipv6.SPOOFED]

    async def lost(self) -> Mapping[str, int]:
        """How many packets had no route: NO_ROUTE from an ENI, NOT_TRANSITIVE from a gateway or a peering."""
        return await self._counters(LOST)

    async def dropped_by_groups(self) -> Mapping[tuple[Way, str], int]:
        """Per way and ENI: how many packets no rule of its groups allowed."""
        if self._security is None:
            return {}
        packets = Counter(await self._counters(self._security))
        if self._security6 is not None:
            packets += Counter(await self._counters(self._security6))
            packets.update(dict.fromkeys(self._security.counters, 0))
        return {
            (side, link.eni_id): packets[eni_chain(side, name)]
            for name, link in self._applied.links.items()
            for side in Way
            if eni_chain(side, name) in packets
        }

    async def _counters(self, table: Table) -> Mapping[str, int]:
        listed = await self.place.run(("nft", "-j", "list", "counters", "table", table.family, table.name))
        entries = json.loads(listed.stdout)["nftables"]
        return {e["counter"]["name"]: int(e["counter"]["packets"]) for e in entries if "counter" in e}

    async def _read_again(self, tried: FabricState) -> None:
        """After a failure: begin new links again, know what there is of the old ones."""
        links, rules, routes, loopback = [
            json.loads((await self.place.run(("ip", "-j", *what))).stdout or "[]")
            for what in (
                ("link", "show", "type", "veth"),
                ("rule", "show"),
                ("route", "show"),
                ("addr", "show", "dev", "lo"),
            )
        ]
        await ipv6.forget(self.place, AFTER_MAIN)
        names = {link["ifname"] for link in links if link["ifname"].startswith(ENI)}
        ruled = {rule["iif"]: int(rule["table"]) for rule in rules if "iif" in rule}
        sure = {
            name: replace(link, table=ruled.get(name, 0))
            for name, link in self._applied.links.items()
            if name in names and (name not in tried.links or tried.links[name].same_wire(link))
        }
        doubtful = (names | ruled.keys()) - sure.keys()
        undo = [_rule("del", name, ruled[name]) for name in doubtful if name in ruled]
        undo += [f"link del {name}" for name in doubtful]
        undo += [_mark_rule("del", int(rule["fwmark"], 16)) for rule in rules if "fwmark" in rule]
        # What is in a subnet's table is told again from the start.
        undo += [f"route flush table {table}" for table in self._applied.tables.keys() | tried.tables.keys()]
        for line in undo:
            await self.place.run(("ip", *line.split()), check=False)
        addresses = {IPv4Address(a["local"]) for a in loopback[0]["addr_info"] if a["family"] == "inet"}
        held: dict[str, set[IPv4Network]] = {name: set() for name in sure}
        for route in routes:
            if route.get("gateway") == str(NODE_END) and route["dev"] in sure:
                held[route["dev"]].add(IPv4Network(route["dst"]))
        self._applied = FabricState(
            cidrs=frozenset(IPv4Network(r["dst"]) for r in routes if r.get("type") == "blackhole"),
            gateways=frozenset(addresses - {IMDS, IPv4Address("127.0.0.1")}),
            links=sure,
            held={name: frozenset(networks) for name, networks in held.items()},
        )


def changes(before: FabricState, after: FabricState, places: Mapping[str, Namespaces]) -> Iterator[str]:
    """`ip -batch` lines that turn one state into another."""
    gone = [
        name
        for name, link in before.links.items()
        if name not in after.links or not after.links[name].same_wire(link)
    ]
    kept = before.links.keys() - set(gone)
    yield from (f"addr del {gateway}/32 dev lo" for gateway in before.gateways - after.gateways)
    yield from (f"addr add {gateway}/32 dev lo" for gateway in after.gateways - before.gateways)
    yield from (f"route del blackhole {cidr}" for cidr in before.cidrs - after.cidrs)
    yield from (f"route add blackhole {cidr}" for cidr in after.cidrs - before.cidrs)
    yield from (_mark_rule("del", mark) for mark in before.marks.keys() - after.marks.keys())
    for name, link in before.links.items():
        if link.table and name in gone:
            yield _rule("del", name, link.table)
    if len(gone) == 1:
        yield f"link del {gone[0]}"
    elif gone:
        yield from (f"link set {name} group {DOOMED}" for name in gone)
        yield f"link del group {DOOMED}"
    for name, link in after.links.items():
        had = before.links[name].table if name in kept else 0
        if name not in kept:
            yield from link.create(places[link.instance_id])
        if link.table != had:  # the new rule first: there is always one
            if link.table:
                yield _rule("add", name, link.table)
            if had:
                yield _rule("del", name, had)
    yield from _deliveries(before, after, kept)
    yield from _table_changes(before, after, set(gone))
    yield from (_mark_rule("add", mark) for mark in after.marks.keys() - before.marks.keys())


def _deliveries(before: FabricState, after: FabricState, kept: set[str]) -> Iterator[str]:
    lost: set[tuple[IPv4Network, str]] = set()
    new: dict[IPv4Network, str] = {}
    for name in kept:
        was, now = before.held.get(name, frozenset()), after.held.get(name, frozenset())
        if was is not now:
            lost.update((network, name) for network in was - now)
            new.update(dict.fromkeys(now - was, name))
    for name, networks in after.held.items():
        if name not in kept:
            new.update(dict.fromkeys(networks, name))
    # One that moves to another link is replaced there, in one step; others that are lost went with their link.
    yield from (f"route del {network} {way(name)}" for network, name in lost if network not in new)
    yield from (f"route replace {network} {way(name)}" for network, name in new.items())


def _table_changes(before: FabricState, after: FabricState, gone: set[str]) -> Iterator[str]:
    for table in before.tables.keys() | after.tables.keys():
        was, now = before.tables.get(table, {}), after.tables.get(table, {})
        for destination, to in was.items():
            if destination not in now and to not in gone:
                yield f"route del {destination} {way(to)} table {table}"
        for destination, to in now.items():
            if was.get(destination) != to or to in gone:
                yield f"route replace {destination} {way(to)} table {table}"


def arp_table(state: FabricState) -> Table:
    """Silence about addresses outside of the VPC, which proxy ARP would claim where there is a default route."""
    answered = ", ".join(sorted(str(network) for network in (*state.cidrs, IMDS)))
    rule = f'iifname "{ENI}*" arp daddr ip != {{ {answered} }} drop'
    return Table("arp", "vpc", {"asked": Chain((rule,), "type filter hook input priority 0; policy accept;")})


def flows_table(state: FabricState) -> Table:
    """Answers to what a load balancer's node passed on with the client's address go back to that node."""
    rules = (
        "ct state new ct mark set iifname map @nodes",
        "ct direction reply ct mark != 0 meta mark set ct mark",
    )
    hook = "type filter hook prerouting priority mangle; policy accept;"
    nodes = {f'"{name}"': str(mark) for mark, name in state.marks.items()}
    return Table(
        "ip",
        "flows",
        {"arriving": Chain(rules, hook)},
        {"nodes": Elements("type ifname : mark;", nodes, is_map=True)},
    )


def _rule(verb: str, name: str, table: int) -> str:
    return f"rule {verb} pref {AFTER_MAIN} iif {name} lookup {table}"


def _mark_rule(verb: str, mark: int) -> str:
    return f"rule {verb} pref {BEFORE_MAIN} fwmark {mark} lookup {mark}"


def _reverse_path_drops() -> int:
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index("IPReversePathFilter")])
