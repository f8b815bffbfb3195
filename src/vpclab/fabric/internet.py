"""The internet: a namespace with a few servers' addresses, behind the internet gateway."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from vpclab.fabric.igw import TO_INTERNET
from vpclab.fabric.namespaces import Place

SOMEBODY = IPv4Address("198.51.100.1")
"""Whoever starts a connection from the internet without binding to an address."""
CHECKIP = IPv4Address("198.51.100.10")
"""Answers with the caller's address."""
AWS_API = IPv4Address("198.51.100.20")
"""Where the lab serves the AWS API (RFC 5737 addresses, all of them)."""
DNS = IPv4Address("198.51.100.53")
"""Kept for a resolver."""
ADDRESSES = (SOMEBODY, CHECKIP, AWS_API, DNS)

SYSCTLS: Mapping[str, int] = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
}


class Internet:
    """The internet's namespace."""

    def __init__(self, place: Place) -> None:
        self.place = place

    async def start(self) -> None:
        """Addresses, before any link is there: servers can listen."""
        await self.place.sysctl(SYSCTLS)
        await self.place.ip(tuple(f"addr add {address}/32 dev lo" for address in ADDRESSES))

    async def join(self) -> None:
        """The gateway's link has come. What is nobody's goes there too and is lost there, as in the real one."""
        there, here = TO_INTERNET
        await self.place.ip(
            (
                f"addr add {here}/30 dev igw",
                "link set igw up",
                f"route add default via {there} dev igw src {SOMEBODY} onlink",
            )
        )
