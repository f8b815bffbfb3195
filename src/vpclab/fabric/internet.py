"""The internet: a namespace with a few servers' addresses, behind the internet gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from vpclab.fabric.igw import TO_INTERNET, TO_INTERNET6
from vpclab.fabric.ipv6 import SETTINGS, batch, on
from vpclab.fabric.namespaces import Place

SOMEBODY = IPv4Address("198.51.100.1")
"""Whoever starts a connection from the internet without binding to an address."""
CHECKIP = IPv4Address("198.51.100.10")
"""Answers with the caller's address."""
AWS_API = IPv4Address("198.51.100.20")
"""Where the lab serves the AWS API (RFC 5737 addresses, all of them)."""
DNS = IPv4Address("198.51.100.53")
"""Kept for a resolver."""
SOMEBODY6 = IPv6Address("2001:db8:ffff::1")
CHECKIP6 = IPv6Address("2001:db8:ffff::10")
"""The same two of IPv6 (RFC 3849 addresses)."""
ADDRESSES = (SOMEBODY, CHECKIP, AWS_API, DNS)

SYSCTLS: Mapping[str, int] = {
    "net/ipv4/ip_forward": 1,  # from one VPC's gateway to another's
    "net/ipv4/conf/all/send_redirects": 0,
    "net/ipv4/conf/default/send_redirects": 0,
    **SETTINGS,
}


class Internet:
    """The internet's namespace."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._behind: dict[str, frozenset[IPv4Address]] = {}
        self._behind6: dict[str, frozenset[IPv6Network]] = {}

    async def start(self) -> None:
        """Addresses, before any link is there: servers can listen."""
        await self.place.sysctl(SYSCTLS)
        await self.place.ip(tuple(f"addr add {address}/32 dev lo" for address in ADDRESSES))
        await self.place.sysctl(on("lo"))
        await batch(self.place, (f"addr add {address}/128 dev lo nodad" for address in (SOMEBODY6, CHECKIP6)))

    async def join(self, device: str, *, first: bool) -> None:
        """A gateway's link has come. What is nobody's goes to the first one and is lost there, as in the real one."""
        there, here = TO_INTERNET
        default = f"route add default via {there} dev {device} src {SOMEBODY} onlink"
        await self.place.ip(
            (f"addr add {here}/30 dev {device}", f"link set {device} up", *([default] if first else []))
        )
        await self.place.sysctl(on(device))
        await batch(self.place, (f"addr add {TO_INTERNET6[1]}/64 dev {device} nodad",))

    async def route(self, device: str, public: Iterable[IPv4Address]) -> None:
        """These addresses, and of those behind this gateway no others, are behind it.

        Raises:
            CommandError: some are; the next call tries the rest.
        """
        there, _ = TO_INTERNET
        had, wanted = self._behind.get(device, frozenset()), frozenset(public)
        # One that another gateway has taken over meanwhile is not this one's to delete.
        taken = {one for name, its in self._behind.items() if name != device for one in its}
        if had == wanted:
            return
        await self.place.ip(
            (
                *(f"route del {one} dev {device}" for one in had - wanted - taken),
                *(
                    f"route replace {one} via {there} dev {device} src {SOMEBODY} onlink"
                    for one in wanted - had
                ),
            )
        )
        self._behind[device] = wanted

    async def route6(self, device: str, cidrs: frozenset[IPv6Network]) -> None:
        """These IPv6 blocks, and no others, are behind this gateway.

        Raises:
            CommandError: some are; the next call tries the rest.
        """
        had = self._behind6.get(device, frozenset())
        there, _ = TO_INTERNET6
        await batch(
            self.place,
            (
                *(f"route del {one} dev {device}" for one in had - cidrs),
                *(f"route replace {one} via {there} dev {device} src {SOMEBODY6}" for one in cidrs - had),
            ),
        )
        self._behind6[device] = cidrs
