"""A pod's second interface, by which it reaches the family it is not of through its node (egress-cni, spec 4.9).

A veth pair of its own: the pod's address is one that is the node's alone, and what leaves the node is SNATed to the node's
global address. Where the original waits up to 10 s for duplicate address detection, nothing is detected here: the address
is given out once on the node, and the router's is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from vpccni.ipam.values import MAIN_TABLE, Address, single
from vpccni.linux.addresses import Neighbour, put_address, put_neighbour
from vpccni.linux.egress_family import EgressFamily, egress_family
from vpccni.linux.family import Family
from vpccni.linux.graveyard import bury
from vpccni.linux.iptables import Tables, WantedTable, iptables_kind, saved_tables, settle_iptables
from vpccni.linux.iptables import run as run_iptables
from vpccni.linux.links import delete_link, link_named, set_link
from vpccni.linux.pod import make_pair, wired
from vpccni.linux.routes import Route, link_scope, put_route, routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sysctl import settle_sysctls
from vpccni.linux.wiring import Wired, WiringError

CHAIN_LENGTH = 28


@dataclass(frozen=True, slots=True)
class EgressWiring:
    """What one pod's second interface is to be."""

    pod: str
    network: str
    container_id: str
    address: Address
    node_address: Address
    mtu: int
    ports: str = "prng"
    """How source ports are chosen: prng, hashrandom or none."""

    @property
    def host_veth(self) -> str:
        """The host's end. Not of the shape of the pods' own veths, whose names tell pods by their last digits."""
        return host_veth_of(self.network, self.container_id)

    @property
    def family(self) -> EgressFamily:
        """The address's."""
        return egress_family(self.address)

    @property
    def interface(self) -> str:
        """The pod's end."""
        return self.family.interface


def host_veth_of(network: str, container_id: str) -> str:
    """The host's end of a container's second veth pair."""
    return "egress" + _digest(network, container_id)[:8]


def chain_of(family: EgressFamily, network: str, container_id: str) -> str:
    """The container's chain in the nat table (spec 4.9)."""
    return f"{family.chain}{_digest(network, container_id)}"[:CHAIN_LENGTH]


def wire_egress(
    host: Netlink, pod: Netlink, netns: int, want: EgressWiring, pod_interface: str, pod_sysctls: int | None
) -> Wired:
    """Connect the sandbox; an earlier try is replaced. Raises WiringError after undoing all of it.

    `pod_sysctls` is an open /proc/sys/net/ipv6/conf of the sandbox: where the egress is IPv6's `pod_interface`, which has
    none of the VPC's, loses what IPv6 it has (spec 4.9), and the new one may have some whatever the sandbox's default is.
    """
    family = want.family
    near = link_scope(Family.of(want.address))
    try:
        outside, inside = make_pair(host, pod, netns, want, lambda: False)
        if pod_sysctls is not None and isinstance(want.address, IPv6Address):
            wanted = {f"{pod_interface}/disable_ipv6": "1", f"{want.interface}/disable_ipv6": "0"}
            settle_sysctls(wanted, directory=pod_sysctls)
        host.run(
            [
                set_link(outside.index, up=True),
                put_address(outside.index, _router(family)),
                put_route(Route(single(want.address), MAIN_TABLE, outside.index, scope=near)),
                put_neighbour(Neighbour(outside.index, want.address, inside.mac)),
            ]
        )
        pod.run(
            [
                set_link(inside.index, up=True),
                put_address(inside.index, _alone(want.address)),
                put_route(Route(single(family.router), MAIN_TABLE, inside.index, scope=near)),
                put_route(Route(None, MAIN_TABLE, inside.index, gateway=family.router)),
                put_neighbour(Neighbour(inside.index, family.router, outside.mac)),
            ]
        )
        settle_iptables({"nat": _wanted_nat(want)}, command=family.iptables)
    except OSError as error:
        undone = _undo(host, want)
        raise WiringError(error.errno, f"{family.name} egress of pod {want.pod}: {error}{undone}") from error
    return wired(outside, inside)


def unwire_egress(host: Netlink, family: EgressFamily, network: str, container_id: str) -> None:
    """Take the veth pair and the chain away, also when the sandbox is gone; what is not there is fine. Raises OSError."""
    bury(host, host_veth_of(network, container_id))
    chain = chain_of(family, network, container_id)
    settle_iptables({"nat": _no_chain(lambda name: name == chain)}, command=family.iptables)


def check_egress(host: Netlink, family: EgressFamily, network: str, container_id: str) -> list[str]:
    """What differs from what `wire_egress` makes on the host, in words. Raises OSError."""
    name, chain = host_veth_of(network, container_id), chain_of(family, network, container_id)
    link = link_named(host, name)
    nat = saved_tables(family.iptables).get("nat", {})
    differences = [] if link is not None and link.up else [f"the host's {name} is down or not there"]
    if not nat.get(chain):
        differences.append(f"chain {chain} is missing or empty")
    if not any(rule.endswith(f"-j {chain}") for rule in nat.get("POSTROUTING", [])):
        differences.append(f"nothing in POSTROUTING leads to chain {chain}")
    return differences


def block_others(family: EgressFamily) -> list[str]:
    """Nobody begins a connection to such an address; returns the changes. Raises IptablesError."""
    if family.blocked in _forwarding(saved_tables(family.iptables)):
        return []
    run_iptables(
        [f"{family.iptables}-restore", "--noflush", "-w", "5"],
        f"*filter\n-I FORWARD 1 {family.blocked}\nCOMMIT\n",
    )
    return [f"blocked new connections to {family.subnet} from outside"]


def remove_dead_egress(host: Netlink, family: EgressFamily) -> list[str]:
    """Take chains away of pods that went without a DEL, as their routes did. Raises OSError.

    Also those that the original's plugin made, which leaves them where the sandbox ends before its DEL (spec 4.9).
    """
    there = {str(route.destination) for route in routes(host, MAIN_TABLE, Family.of(family.subnet))}
    dead = {
        rule.rsplit(" ", 1)[-1]
        for rule in saved_tables(family.iptables).get("nat", {}).get("POSTROUTING", [])
        if (found := family.jump.match(rule)) and found[1] not in there
    }
    if not dead:
        return []
    settle_iptables({"nat": _no_chain(dead.__contains__)}, command=family.iptables)
    return [f"removed chain {chain} of a pod that is gone" for chain in sorted(dead)]


def _forwarding(tables: Tables) -> list[str]:
    return tables.get("filter", {}).get("FORWARD", [])


def _wanted_nat(want: EgressWiring) -> WantedTable:
    family = want.family
    chain = chain_of(family, want.network, want.container_id)
    comment = f'-m comment --comment "name: \\"{want.network}\\" id: \\"{want.container_id}\\""'
    flag = {"prng": " --random-fully", "hashrandom": " --random", "none": ""}[want.ports]
    if want.ports == "prng" and not iptables_kind(family.iptables).fully_random:
        flag = " --random"
    source = f"-s {single(want.address)} "
    return WantedTable(
        chains={
            chain: (
                f"-d {family.multicast} {comment} -j ACCEPT",
                f"{comment} -j SNAT --to-source {want.node_address}{flag}",
            )
        },
        jumps={"POSTROUTING": (f"{source}{comment} -j {chain}",)},
        # an older pod's with the same address would be asked first
        is_stale=lambda rule: (
            rule.endswith(f"-j {chain}") or (rule.startswith(source) and f"-j {family.chain}" in rule)
        ),
    )


def _no_chain(which: Callable[[str], bool]) -> WantedTable:
    return WantedTable(
        chains={},
        jumps={"POSTROUTING": ()},
        is_stale=lambda rule: which(rule.rsplit(" ", 1)[-1]),
        is_stale_chain=which,
    )


def _router(family: EgressFamily) -> IPv4Interface | IPv6Interface:
    """What the host's end has. Of IPv4 each pod's end has the same, so it is no subnet's."""
    router = family.router
    return IPv4Interface(router) if isinstance(router, IPv4Address) else IPv6Interface((router, 64))


def _alone(address: Address) -> IPv4Interface | IPv6Interface:
    return IPv4Interface(address) if isinstance(address, IPv4Address) else IPv6Interface(address)


def _digest(network: str, container_id: str) -> str:
    return hashlib.sha512(f"{network}{container_id}".encode(), usedforsecurity=False).hexdigest()


def _undo(host: Netlink, want: EgressWiring) -> str:
    """Nothing is left; in words, what could not be undone."""
    try:
        link = link_named(host, want.host_veth)
        if link is not None:
            host.run([delete_link(link.index)])
        unwire_egress(host, want.family, want.network, want.container_id)
    except OSError as error:
        return f"; and it could not be undone: {error}"
    return ""
