"""The internet gateway: translates one to one between private and public addresses, and passes nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from vpclab.fabric.devices import GATEWAY_MTU, TO_IGW
from vpclab.fabric.ipv6 import SETTINGS, TO_IGW6, Ipv6State, batch, on
from vpclab.fabric.namespaces import Namespaces, Place, veth
from vpclab.fabric.nft_table import Chain, Elements, Table

TO_INTERNET = (IPv4Address("169.254.255.5"), IPv4Address("169.254.255.6"))
"""The internet gateway's and the internet's end of the link between them."""
TO_INTERNET6 = (IPv6Address("fe80::b1"), IPv6Address("fe80::b2"))
DROPPED = "no_public_address"

SYSCTLS: Mapping[str, int] = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/send_redirects": 0,  # a public address of the same VPC turns round here
    "net/ipv4/conf/default/send_redirects": 0,
    **SETTINGS,
}


class InternetGateway:
    """The gateway's namespace."""

    def __init__(self, place: Place, device: str = "igw") -> None:
        self.place = place
        self.device = device
        """What the internet calls the link to it."""
        self._table: Table | None = None
        self._cidrs: frozenset[IPv4Network] = frozenset()
        self._passing: Table | None = None
        self._cidrs6: frozenset[IPv6Network] = frozenset()

    async def start(self, internet: Namespaces) -> None:
        """The link to the internet; the one to the router comes from there."""
        await self.place.sysctl(SYSCTLS)
        here, there = TO_INTERNET
        await self.place.ip(
            (
                veth("internet", self.device, internet, GATEWAY_MTU),
                f"addr add {here}/30 dev internet",
                "link set internet up",
                f"route add default via {there} dev internet onlink",
            )
        )
        await self.place.sysctl(on("internet"))
        here6, there6 = TO_INTERNET6
        await batch(
            self.place,
            (f"addr add {here6}/64 dev internet nodad", f"route add default via {there6} dev internet"),
        )
        await self.apply((), {})

    async def join(self) -> None:
        """The router's link has come."""
        await self.place.sysctl(on("vpc"))
        await self.place.ip((f"addr add {TO_IGW[1]}/30 dev vpc", "link set vpc up"))
        await batch(self.place, (f"addr add {TO_IGW6[1]}/64 dev vpc nodad",))

    async def apply(self, cidrs: Iterable[IPv4Network], public: Mapping[IPv4Address, IPv4Address]) -> None:
        """Have exactly these private -> public addresses.

        Raises:
            CommandError: nothing of the translation changed.
        """
        new = frozenset(cidrs)
        await self.place.ip(
            (
                *(f"route del {cidr} dev vpc" for cidr in self._cidrs - new),
                *(f"route replace {cidr} via {TO_IGW[0]} dev vpc onlink" for cidr in new - self._cidrs),
            )
        )
        self._cidrs = new
        table = translation(public)
        await self.place.nft(table.script(self._table))
        self._table = table

    async def apply6(self, state: Ipv6State) -> None:
        """Pass IPv6 of these subnets as it is, both ways or only what they began.

        Raises:
            CommandError: nothing of what is passed changed.
        """
        if self._passing is None and not state.cidrs:
            return
        table = passing(state)
        await self.place.nft(table.script(self._passing))
        self._passing = table
        await batch(
            self.place,
            (
                *(f"route del {cidr} dev vpc" for cidr in self._cidrs6 - state.cidrs),
                *(f"route replace {cidr} via {TO_IGW6[0]} dev vpc" for cidr in state.cidrs - self._cidrs6),
            ),
        )
        self._cidrs6 = state.cidrs

    async def dropped(self) -> int:
        """How many packets came from the VPC with an address that has no public one."""
        listed = await self.place.run(("nft", "-j", "list", "counter", "ip", "igw", DROPPED))
        entries = json.loads(listed.stdout)["nftables"]
        return sum(int(entry["counter"]["packets"]) for entry in entries if "counter" in entry)


def passing(state: Ipv6State) -> Table:
    """What is passed of IPv6: its addresses are public ones, so nothing is translated."""
    interval = "type ipv6_addr; flags interval;"
    hook = "type filter hook forward priority filter; policy accept;"
    rules = (
        'iifname "vpc" ip6 saddr @open accept',
        'iifname "vpc" ip6 saddr @egress_only accept',
        'iifname "internet" ip6 daddr @open accept',
        'iifname "internet" ip6 daddr @egress_only ct state established,related accept',
        "drop",
    )
    return Table(
        "ip6",
        "igw",
        {"forwarded": Chain(rules, hook)},
        {
            "open": Elements(interval, {str(one): "" for one in sorted(state.open)}),
            "egress_only": Elements(interval, {str(one): "" for one in sorted(state.egress_only)}),
        },
    )


def translation(public: Mapping[IPv4Address, IPv4Address]) -> Table:
    """The gateway's table. Addresses are elements of live maps; the rules are always the same.

    The two drops come before anything that a tracked connection may do: a flow ends with the public address it used.
    """
    address = "type ipv4_addr;"
    pair = "type ipv4_addr : ipv4_addr;"
    outwards = {str(private): str(outside) for private, outside in public.items()}
    inwards = {outside: private for private, outside in outwards.items()}
    nat = "type nat hook {} priority {}; policy accept;"
    return Table(
        "ip",
        "igw",
        {
            "arriving": Chain(
                (
                    f'iifname "vpc" ip saddr != @private counter name {DROPPED} drop',
                    'iifname "internet" ip daddr != @public drop',
                ),
                "type filter hook prerouting priority raw; policy accept;",
            ),
            "inwards": Chain(("dnat to ip daddr map @private_of",), nat.format("prerouting", "dstnat")),
            "outwards": Chain(("snat to ip saddr map @public_of",), nat.format("postrouting", "srcnat")),
        },
        {
            "private": Elements(address, dict.fromkeys(outwards, "")),
            "public": Elements(address, dict.fromkeys(inwards, "")),
            "public_of": Elements(pair, outwards, is_map=True),
            "private_of": Elements(pair, inwards, is_map=True),
        },
        frozenset({DROPPED}),
    )
