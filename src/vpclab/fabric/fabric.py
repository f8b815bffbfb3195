"""The VPC in packets: pure L3, as in AWS. A router that delivers an address only to the ENI that holds it.

Each ENI is a veth into the router's namespace. The router's strict reverse-path filter is the source check: a packet
with an address that is not on that ENI is dropped and counted. Nothing is broadcast; the router answers ARP.
Whatever the region says is followed level-triggered: `sync` compares what is wanted with what was made.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import security_groups
from vpclab.fabric.namespaces import Place
from vpclab.fabric.state import PUBLIC_TABLE, FabricState, WantedLink, wanted
from vpclab.region.region import PUBLIC_POOL, Region
from vpclab.region.values import NetworkInterface, Subnet

MTU = 9001
FABRIC_MAC = "0e:00:00:00:00:01"
NEXT_HOP = "169.254.0.1"
"""A neighbour that stands for "the ENI at the other end", so that a node never has to answer ARP for its pods."""
IMDS_ADDRESS = IPv4Address("169.254.169.254")
CHECKIP_ADDRESS, API_ADDRESS = IPv4Address("198.51.100.10"), IPv4Address("198.51.100.20")
"""The lab's internet: a server that tells who called, and AWS's API."""
IGW_ROUTER, IGW_INSIDE = "100.64.0.1", "100.64.0.2"
IGW_OUTSIDE, INTERNET = "100.64.1.1", "100.64.1.2"
SPOOFED = "IPReversePathFilter"


class Fabric:
    """The router, the internet gateway, the internet, and a link for each ENI. One user: the lab's loop."""

    def __init__(self) -> None:
        self.router = Place.create("router")
        self.igw = Place.create("igw")
        self.internet = Place.create("internet")
        self._instances: dict[str, Place] = {}
        self._made = FabricState({}, {})
        self._groups = ""
        self._one_at_a_time = asyncio.Lock()

    async def start(self, vpc_cidrs: Iterable[IPv4Network], subnets: Iterable[Subnet]) -> None:
        """What does not change: gateways, the way to the internet, and what no packet may do."""
        cidrs, gateways = list(vpc_cidrs), [subnet.gateway for subnet in subnets]
        net = f"/proc/{os.getpid()}/fd"
        await self.router.sysctl(
            {
                "net/ipv4/ip_forward": 1,
                "net/ipv4/conf/all/rp_filter": 0,
                "net/ipv4/conf/default/rp_filter": 0,
                "net/ipv4/conf/all/send_redirects": 0,
                "net/ipv4/conf/default/send_redirects": 0,
            }
        )
        await self.igw.sysctl({"net/ipv4/ip_forward": 1})
        await self.router.ip(
            [
                f"link add igw mtu {MTU} type veth peer name vpc mtu {MTU} netns {net}/{self.igw.namespaces.net}",
                f"addr add {IGW_ROUTER}/30 dev igw",
                "link set igw up",
                f"route add default via {IGW_INSIDE} dev igw onlink table {PUBLIC_TABLE}",
                *(f"addr add {address}/32 dev lo" for address in (*gateways, IMDS_ADDRESS)),
                *(f"route add blackhole {cidr}" for cidr in cidrs),
            ]
        )
        await self.igw.ip(
            [
                f"link add internet mtu {MTU} type veth peer name igw mtu {MTU} netns {net}/{self.internet.namespaces.net}",
                f"addr add {IGW_INSIDE}/30 dev vpc",
                "link set vpc up",
                f"addr add {IGW_OUTSIDE}/30 dev internet",
                "link set internet up",
                f"route add default via {INTERNET}",
                f"route add blackhole {PUBLIC_POOL}",
                *(f"route add {cidr} via {IGW_ROUTER}" for cidr in cidrs),
            ]
        )
        await self.internet.ip(
            [
                f"addr add {INTERNET}/30 dev igw",
                "link set igw up",
                f"route add {PUBLIC_POOL} via {IGW_OUTSIDE}",
                *(f"addr add {address}/32 dev lo" for address in (CHECKIP_ADDRESS, API_ADDRESS)),
            ]
        )
        await self.igw.nft(IGW_RULES)
        inside = ", ".join(map(str, cidrs))
        await self.router.nft(
            "table arp fabric {\n  chain input {\n    type filter hook input priority filter; policy accept;\n"
            f"    arp operation request arp daddr ip != {{ {inside} }} drop\n  }}\n}}\n"
        )
        # the router is not a hop that a traceroute in a VPC would show
        await self.router.run(
            ["iptables", "-t", "mangle", "-A", "PREROUTING", "-i", "e+", "-j", "TTL", "--ttl-inc", "1"]
        )

    def add_instance(self, instance_id: str, place: Place) -> None:
        """From now on this instance's ENIs are plugged in there."""
        self._instances[instance_id] = place

    def remove_instance(self, instance_id: str) -> None:
        """Its ENIs are gone with it."""
        self._instances.pop(instance_id, None)

    async def sync(self, region: Region) -> None:
        """Make the difference between what the region says and what is made."""
        async with self._one_at_a_time:
            state = wanted(region)
            links = {d: link for d, link in state.links.items() if link.instance_id in self._instances}
            state = FabricState(links, state.public)
            await self._sync_links(state)
            await self._sync_public(state)
            groups = security_groups.ruleset(region)
            if groups != self._groups:
                await self.router.nft(groups)
                self._groups = groups
            self._made = state

    async def spoofed(self) -> int:
        """How many packets the source check has dropped."""
        return await self.router.call(_counter, SPOOFED)

    def close(self) -> None:
        """Let go of it all."""
        for place in (self.router, self.igw, self.internet):
            place.close()

    async def _sync_links(self, state: FabricState) -> None:
        lines: list[str] = []
        new: list[WantedLink] = []
        for device, made in self._made.links.items():
            link = state.links.get(device)
            if link is None or (link.instance_id, link.instance_device) != (
                made.instance_id,
                made.instance_device,
            ):
                lines.append(f"link del {device}")
        for device, link in state.links.items():
            known = self._made.links.get(device)
            if known is None or (link.instance_id, link.instance_device) != (
                known.instance_id,
                known.instance_device,
            ):
                new.append(link)
                lines += self._plug(link)
                before: frozenset[IPv4Network] = frozenset()
            else:
                before = known.networks
            lines += [f"route del {network} dev {device}" for network in before - link.networks]
            lines += [
                f"route add {network} via {NEXT_HOP} dev {device} onlink"
                for network in sorted(link.networks - before)
            ]
        await self.router.ip(lines)
        changed = [link for link in state.links.values() if link in new or self._check_changed(link)]
        if changed:
            await self.router.sysctl(
                {key: value for link in changed for key, value in _sysctls(link).items()}
            )

    def _check_changed(self, link: WantedLink) -> bool:
        known = self._made.links.get(link.device)
        return known is not None and known.source_check != link.source_check

    def _plug(self, link: WantedLink) -> list[str]:
        netns = f"/proc/{os.getpid()}/fd/{self._instances[link.instance_id].namespaces.net}"
        peer = f"peer name {link.instance_device} mtu {MTU} address {link.mac} netns {netns}"
        lines = [
            f"link add {link.device} mtu {MTU} address {FABRIC_MAC} type veth {peer}",
            f"link set {link.device} up",
            f"neigh replace {NEXT_HOP} lladdr {link.mac} dev {link.device} nud permanent",
        ]
        if link.public:
            # behind main, which knows the VPC: only what is not in it leaves by the subnet's own route
            lines.append(f"rule add iif {link.device} lookup {PUBLIC_TABLE} prio 33000")
        return lines

    async def _sync_public(self, state: FabricState) -> None:
        gone = self._made.public.items() - state.public.items()
        new = state.public.items() - self._made.public.items()
        lines = [
            line
            for verb, pairs in (("delete", gone), ("add", new))
            for private, public in pairs
            for line in (
                f"{verb} element ip igw in {{ {public} : {private} }}",
                f"{verb} element ip igw out {{ {private} : {public} }}",
                f"{verb} element ip igw known {{ {private} }}",
            )
        ]
        await self.igw.nft("\n".join(lines))


async def configure_primary(place: Place, eni: NetworkInterface, subnet: Subnet) -> None:
    """What DHCP and the AMI do at boot: the primary ENI's address, the default route, forwarding."""
    await place.ip(
        [
            "link set eth0 up",
            f"addr add {eni.primary}/{subnet.cidr.prefixlen} dev eth0",
            f"route add default via {subnet.gateway} dev eth0",
        ]
    )
    await place.sysctl({"net/ipv4/ip_forward": 1, "net/ipv4/conf/all/send_redirects": 0})


def _sysctls(link: WantedLink) -> dict[str, int]:
    conf = f"net/ipv4/conf/{link.device}"
    return {
        f"{conf}/rp_filter": 1 if link.source_check else 0,
        f"{conf}/proxy_arp": 1,
        f"net/ipv4/neigh/{link.device}/proxy_delay": 0,
    }


def _counter(name: str) -> int:
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found = dict(zip(names.split(), values.split(), strict=True))
        if name in found:
            return int(found[name])
    return 0


IGW_RULES = """
table ip igw {
  map in { type ipv4_addr : ipv4_addr; }
  map out { type ipv4_addr : ipv4_addr; }
  set known { type ipv4_addr; }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "internet" dnat to ip daddr map @in
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "internet" snat to ip saddr map @out
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "vpc" ip saddr != @known counter drop
  }
}
"""
