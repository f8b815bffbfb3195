"""A site behind a VPN: the customer's gateway and, in the same namespace, a server in each of its networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network

from vpclab.fabric.devices import FABRIC_MAC, NODE_END, VPN_MTU
from vpclab.fabric.namespaces import Namespaces, Place, veth

SERVER = 10
"""The server is the address with this number in each of the site's networks."""
SYSCTLS: Mapping[str, int] = {
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
}


def server_of(network: IPv4Network) -> IPv4Address:
    """The address of the site's server in one of its networks (the last one of a very small network)."""
    return network[min(SERVER, network.num_addresses - 1)]


class Customer:
    """The site's namespace."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._links: dict[str, frozenset[IPv4Network]] = {}
        self._servers: frozenset[IPv4Address] = frozenset()

    async def join(self, link: str, router: Namespaces) -> None:
        """A VPN's link, made from here."""
        await self.place.sysctl(SYSCTLS)
        await self.place.ip(
            (
                veth(link, link, router, VPN_MTU, (FABRIC_MAC, FABRIC_MAC)),
                f"link set {link} up",
                f"neigh replace {NODE_END} lladdr {FABRIC_MAC} dev {link} nud permanent",
            )
        )
        self._links[link] = frozenset()

    async def serve(self, networks: Collection[IPv4Network]) -> None:
        """Have a server in exactly these."""
        wanted = frozenset(map(server_of, networks))
        await self.place.ip(
            (
                *(f"addr del {one}/32 dev lo" for one in self._servers - wanted),
                *(f"addr add {one}/32 dev lo" for one in wanted - self._servers),
            )
        )
        self._servers = wanted

    async def route(self, link: str, cidrs: Collection[IPv4Network]) -> None:
        """A VPN's link leads to exactly these."""
        had, wanted = self._links[link], frozenset(cidrs)
        source = f" src {min(self._servers)}" if self._servers else ""
        await self.place.ip(
            (
                *(f"route del {one} dev {link}" for one in had - wanted),
                *(f"route replace {one} via {NODE_END} dev {link} onlink{source}" for one in wanted - had),
            )
        )
        self._links[link] = wanted

    async def leave(self, link: str) -> None:
        """The VPN's end."""
        if self._links.pop(link, None) is not None:
            await self.place.run(("ip", "link", "del", link), check=False)
