"""What AWS runs behind ENIs of its own: NAT gateways and the nodes of network load balancers, a namespace each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from vpclab.fabric.devices import FABRIC_MAC
from vpclab.fabric.namespaces import Place
from vpclab.fabric.nft_table import Chain, Table
from vpclab.region.routing import LoadBalancer

GATEWAY = IPv4Address("169.254.1.1")
"""Stands for the VPC's router: a permanent neighbour."""
UNSOLICITED = "unsolicited"
SYSCTLS: Mapping[str, int] = {
    "net/ipv4/ip_forward": 1,
    "net/ipv4/conf/all/send_redirects": 0,  # everything goes back by the link that it came by
    "net/ipv4/conf/default/send_redirects": 0,
    "net/ipv6/conf/all/disable_ipv6": 1,
    "net/ipv6/conf/default/disable_ipv6": 1,
}
# It answers nothing by itself, not even ping (VPC guide, NAT gateway: troubleshooting).
DEAF = Chain(
    (f'iifname "eth0" counter name {UNSOLICITED} drop',), "type filter hook input priority 0; policy accept;"
)


class Appliance:
    """One such machine. `plug` it in when its eth0 has come, and `apply` what it does as often as wished."""

    def __init__(self, place: Place, address: IPv4Address) -> None:
        self.place = place
        self._address = address
        self._plugged = False
        self._table: Table | None = None

    async def plug(self) -> None:
        """Configure eth0. Idempotent."""
        if self._plugged:
            return
        await self.place.sysctl(SYSCTLS)
        await self.place.ip(
            (
                "link set eth0 up",
                f"addr replace {self._address}/32 dev eth0",
                f"neigh replace {GATEWAY} lladdr {FABRIC_MAC} dev eth0 nud permanent",
                f"route replace default via {GATEWAY} dev eth0 onlink",
            )
        )
        self._plugged = True

    async def apply(self, table: Table) -> None:
        """Translate so. Raises CommandError: nothing has changed."""
        if table != self._table:
            await self.place.nft(table.script(self._table))
            self._table = table

    async def unsolicited(self) -> int:
        """How many packets came to its own address that belong to nothing it passes on."""
        if self._table is None:
            return 0
        shown = await self.place.run(("nft", "-j", "list", "counter", "ip", self._table.name, UNSOLICITED))
        entries = json.loads(shown.stdout)["nftables"]
        return sum(int(entry["counter"]["packets"]) for entry in entries if "counter" in entry)


def nat_table(address: IPv4Address) -> Table:
    """A NAT gateway: whoever's packet it passes on, it has this source address and a port of its choice."""
    rule = f'oifname "eth0" ip saddr != {address} snat to {address} random'
    chains = {"out": Chain((rule,), "type nat hook postrouting priority srcnat; policy accept;"), "own": DEAF}
    return Table("ip", "nat_gateway", chains, counters=frozenset({UNSOLICITED}))


def balancer_table(balancer: LoadBalancer, address: IPv4Address) -> Table:
    """A load balancer's node: a flow goes to the target that its addresses and ports hash to."""
    inwards = Chain(
        tuple(_listeners(balancer, address)), "type nat hook prerouting priority dstnat; policy accept;"
    )
    own = () if balancer.preserve_client_ip else (f"ct status dnat snat to {address}",)
    outwards = Chain(own, "type nat hook postrouting priority srcnat; policy accept;")
    return Table(
        "ip",
        "balancer",
        {"inwards": inwards, "outwards": outwards, "own": DEAF},
        counters=frozenset({UNSOLICITED}),
    )


def _listeners(balancer: LoadBalancer, address: IPv4Address) -> Iterator[str]:
    for one in balancer.listeners:
        if one.targets:
            count = len(one.targets)
            targets = ", ".join(f"{n} : {ip} . {port}" for n, (ip, port) in enumerate(one.targets))
            flow = f"jhash ip saddr . {one.protocol} sport mod {count}"
            to = f"{flow} map {{ {targets} }}" if count > 1 else "{}:{}".format(*one.targets[0])
            kind = "dnat ip addr . port to" if count > 1 else "dnat to"
            yield f"ip daddr {address} {one.protocol} dport {one.port} {kind} {to}"
