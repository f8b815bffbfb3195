"""The VPC router: one namespace that delivers each address to the ENI that holds it, and nothing else anywhere.

Its main table has one route per address or prefix and a blackhole for the rest of the VPC, so an address that no ENI holds
is silent, to ARP too. Strict reverse-path filtering on every ENI's link is the source check. What leaves the VPC is found
in a table per kind of subnet, by rules on the incoming link: there, the lookup of the reverse path never looks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric.commands import CommandError
from vpclab.fabric.eni import NODE_END
from vpclab.fabric.namespaces import Namespaces, Place, veth
from vpclab.fabric.nft_table import Chain, Table
from vpclab.fabric.security_groups import Way, eni_chain
from vpclab.fabric.state import FabricState

IMDS = IPv4Address("169.254.169.254")
IGW_DEVICE = "igw"
GATEWAY_MTU = 1500
"""An internet gateway passes no jumbo frames."""
TO_IGW = (IPv4Address("169.254.255.1"), IPv4Address("169.254.255.2"))
"""The router's and the internet gateway's end of the link between them."""
PUBLIC_TABLE = 100
PRIVATE_TABLE = 101
AFTER_MAIN = 33000
"""Rule priority: main (32766) decides inside the VPC."""
DOOMED = 99
"""Interface group for links about to go: one delete for all waits for the kernel's grace period once."""

SYSCTLS: Mapping[str, int] = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/rp_filter": 0,  # the effective value is the larger of all's and the device's
    "net/ipv4/conf/all/send_redirects": 0,  # either of the two is enough to send
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv4/conf/default/rp_filter": 1,
    "net/ipv4/conf/default/proxy_arp": 1,
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
}


class Router:
    """The router's namespace and what was done in it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._applied = FabricState()
        self._arp: Table | None = None
        self._security: Table | None = None

    async def start(self, igw: Namespaces) -> None:
        """The link to the internet gateway, and what never changes."""
        await self.place.sysctl(SYSCTLS)
        here, there = TO_IGW
        await self.place.ip(
            (
                veth(IGW_DEVICE, "vpc", igw, GATEWAY_MTU),
                f"link set {IGW_DEVICE} up",
                f"addr add {here}/30 dev {IGW_DEVICE}",
                f"addr add {IMDS}/32 dev lo",
                f"route add default via {there} dev {IGW_DEVICE} table {PUBLIC_TABLE} onlink",
                f"route add blackhole default table {PRIVATE_TABLE}",
                f"rule add pref {AFTER_MAIN + 1} lookup {PRIVATE_TABLE}",
            )
        )
        # From outside of the VPC the way back is in no table that the check looks at.
        await self.place.sysctl(
            {f"net/ipv4/conf/{IGW_DEVICE}/{key}": 0 for key in ("rp_filter", "proxy_arp")}
        )
        # A VPC's router is no visible hop. nft 1.0.6 cannot compute; the lock's file would be the machine's.
        await self.place.run(
            ("iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "e+", "-j", "TTL", "--ttl-inc", "1"),
            env={**os.environ, "XTABLES_LOCKFILE": "/dev/null"},
        )

    async def apply(self, state: FabricState, places: Mapping[str, Namespaces]) -> None:
        """Make it so.

        Args:
            state: what is wanted.
            places: the namespaces of each instance that `state.links` names.

        Raises:
            CommandError: a step failed, also when tried again from what is really there (a device may have gone with
                its namespace). The next call tries just the rest.
            OSError: a setting could not be written; likewise.
        """
        # Filters before links and routes: nothing passes a new link that its groups would not let pass.
        arp = arp_table(state)
        await self.place.nft(arp.script(self._arp))
        self._arp = arp
        if self._security is not None or state.security.chains:
            await self.place.nft(state.security.script(self._security))
            self._security = state.security
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
        await self.place.sysctl({key: value for link in touched for key, value in link.sysctls().items()})
        self._applied = state

    async def dropped_by_source_check(self) -> int:
        """How many packets came from an ENI with an address that is not its own."""
        return await self.place.call(_reverse_path_drops)

    async def dropped_by_groups(self) -> Mapping[tuple[Way, str], int]:
        """Per way and ENI: how many packets no rule of its groups allowed."""
        if self._security is None:
            return {}
        listed = await self.place.run(("nft", "-j", "list", "counters", "table", "ip", self._security.name))
        packets = {
            entry["counter"]["name"]: int(entry["counter"]["packets"])
            for entry in json.loads(listed.stdout)["nftables"]
            if "counter" in entry
        }
        return {
            (way, link.eni_id): packets[eni_chain(way, name)]
            for name, link in self._applied.links.items()
            for way in Way
            if eni_chain(way, name) in packets
        }

    async def _read_again(self, tried: FabricState) -> None:
        """After a failure: begin new links again, know what there is of the old ones."""
        links, rules, routes, loopback = [
            json.loads((await self.place.run(("ip", "-j", *what))).stdout or "[]")
            for what in (
                ("link", "show", "type", "veth"),
                ("rule", "show", "pref", str(AFTER_MAIN)),
                ("route", "show", "table", "main"),
                ("addr", "show", "dev", "lo"),
            )
        ]
        names = {link["ifname"] for link in links} - {IGW_DEVICE}
        ruled = {rule["iif"] for rule in rules}
        sure = {
            name: replace(link, public=name in ruled)
            for name, link in self._applied.links.items()
            if name in names and (name not in tried.links or tried.links[name].same_wire(link))
        }
        for name in (names | ruled) - sure.keys():
            for line in (_public_rule("del", name), f"link del {name}"):
                await self.place.run(("ip", *line.split()), check=False)
        addresses = {IPv4Address(a["local"]) for a in loopback[0]["addr_info"] if a["family"] == "inet"}
        self._applied = FabricState(
            cidrs=frozenset(IPv4Network(r["dst"]) for r in routes if r.get("type") == "blackhole"),
            gateways=frozenset(addresses - {IMDS, IPv4Address("127.0.0.1")}),
            links=sure,
            routes={
                IPv4Network(route["dst"]): route["dev"]
                for route in routes
                if route.get("gateway") == str(NODE_END) and route["dev"] in sure
            },
        )


def changes(before: FabricState, after: FabricState, places: Mapping[str, Namespaces]) -> Iterator[str]:
    """`ip -batch` lines that turn one state into another."""
    gone = [
        name
        for name, link in before.links.items()
        if name not in after.links or not after.links[name].same_wire(link)
    ]
    yield from (f"addr del {gateway}/32 dev lo" for gateway in before.gateways - after.gateways)
    yield from (f"addr add {gateway}/32 dev lo" for gateway in after.gateways - before.gateways)
    yield from (f"route del blackhole {cidr}" for cidr in before.cidrs - after.cidrs)
    yield from (f"route add blackhole {cidr}" for cidr in after.cidrs - before.cidrs)
    for name, link in before.links.items():
        if link.public and (name in gone or not after.links[name].public):
            yield _public_rule("del", name)
    if len(gone) == 1:
        yield f"link del {gone[0]}"
    elif gone:
        yield from (f"link set {name} group {DOOMED}" for name in gone)
        yield f"link del group {DOOMED}"
    kept = before.links.keys() - set(gone)
    for name, link in after.links.items():
        if name not in kept:
            yield from link.create(places[link.instance_id])
        if link.public and not (name in kept and before.links[name].public):
            yield _public_rule("add", name)
    for network, name in before.routes.items():
        if network not in after.routes and name in kept:  # others went with their link
            yield f"route del {network} via {NODE_END} dev {name} onlink"
    for network, name in after.routes.items():
        if before.routes.get(network) != name or name not in kept:
            yield f"route replace {network} via {NODE_END} dev {name} onlink"


def arp_table(state: FabricState) -> Table:
    """Silence about addresses outside of the VPC, which proxy ARP would claim where there is a default route."""
    answered = ", ".join(sorted(str(network) for network in (*state.cidrs, IMDS)))
    rule = f'iifname "e*" arp daddr ip != {{ {answered} }} drop'
    return Table("arp", "vpc", {"asked": Chain((rule,), "type filter hook input priority 0; policy accept;")})


def _public_rule(verb: str, name: str) -> str:
    return f"rule {verb} pref {AFTER_MAIN} iif {name} lookup {PUBLIC_TABLE}"


def _reverse_path_drops() -> int:
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index("IPReversePathFilter")])
