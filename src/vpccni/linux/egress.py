"""A pod's second interface, by which an IPv4 pod reaches IPv6 through its node (egress-cni, spec 4.9).

A veth pair of its own: the pod's address is one that is the node's alone, and what leaves the node is SNATed to the node's
global address. Where the original waits up to 10 s for duplicate address detection, nothing is detected here: the address
is given out once on the node, and the router's is ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface, IPv6Network

from vpccni.linux.graveyard import bury
from vpccni.linux.iptables import Tables, WantedTable, iptables_kind, saved_tables, settle_iptables
from vpccni.linux.iptables import run as run_iptables
from vpccni.linux.ipv6 import Route6, destinations6, put_address6, put_neighbour6, put_route6
from vpccni.linux.links import delete_link, link_named, set_link
from vpccni.linux.pod import make_pair, wired
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sysctl import settle_sysctls
from vpccni.linux.wiring import Wired, WiringError

INTERFACE = "v6if0"
"""The pod's end (spec 4.9)."""
ROUTER = IPv6Address("fe80::1")
"""The host's end, to the pod."""
MULTICAST = "ff00::/8"
IP6TABLES = "ip6tables"
CHAIN_LENGTH = 28
JUMP = re.compile(r"-s (\S+/128) .* -j CNI-E6-[0-9a-f]+\Z")
SUBNET = IPv6Network("fd00::ac:0/118")
"""Where the pods' addresses are from (spec 1.6)."""
BLOCKED = (
    f'-d {SUBNET} -m conntrack --ctstate NEW -m comment --comment "Block Node Local Pod access via IPv6" '
    "-j REJECT --reject-with icmp6-port-unreachable"
)
"""As ip6tables-save prints the rule in filter/FORWARD that keeps others out (spec 5.2)."""


@dataclass(frozen=True, slots=True)
class EgressWiring:
    """What one pod's second interface is to be."""

    pod: str
    network: str
    container_id: str
    address: IPv6Address
    node_address: IPv6Address
    mtu: int
    ports: str = "prng"
    """How source ports are chosen: prng, hashrandom or none."""

    @property
    def host_veth(self) -> str:
        """The host's end. Not of the shape of the pods' own veths, whose names tell pods by their last digits."""
        return host_veth_of(self.network, self.container_id)

    @property
    def interface(self) -> str:
        """The pod's end."""
        return INTERFACE


def host_veth_of(network: str, container_id: str) -> str:
    """The host's end of a container's second veth pair."""
    return "egress" + _digest(network, container_id)[:8]


def chain_of(network: str, container_id: str) -> str:
    """The container's chain in the nat table (spec 4.9)."""
    return f"CNI-E6-{_digest(network, container_id)}"[:CHAIN_LENGTH]


def wire_egress(
    host: Netlink, pod: Netlink, netns: int, want: EgressWiring, pod_interface: str, pod_sysctls: int | None
) -> Wired:
    """Connect the sandbox; an earlier try is replaced. Raises WiringError after undoing all of it.

    `pod_sysctls` is an open /proc/sys/net/ipv6/conf of the sandbox: `pod_interface`, which has no IPv6 of the VPC's, loses
    what IPv6 it has (spec 4.9), and the new one may have some whatever the sandbox's default is.
    """
    try:
        outside, inside = make_pair(host, pod, netns, want, lambda: False)
        if pod_sysctls is not None:
            wanted = {f"{pod_interface}/disable_ipv6": "1", f"{INTERFACE}/disable_ipv6": "0"}
            settle_sysctls(wanted, directory=pod_sysctls)
        host.run(
            [
                set_link(outside.index, up=True),
                put_address6(outside.index, IPv6Interface((ROUTER, 64))),
                put_route6(Route6(IPv6Network(want.address), outside.index)),
                put_neighbour6(outside.index, want.address, inside.mac),
            ]
        )
        pod.run(
            [
                set_link(inside.index, up=True),
                put_address6(inside.index, IPv6Interface(want.address)),
                put_route6(Route6(None, inside.index, ROUTER)),
                put_neighbour6(inside.index, ROUTER, outside.mac),
            ]
        )
        settle_iptables({"nat": _wanted_nat(want)}, command=IP6TABLES)
    except OSError as error:
        undone = _undo(host, want)
        raise WiringError(error.errno, f"IPv6 egress of pod {want.pod}: {error}{undone}") from error
    return wired(outside, inside)


def unwire_egress(host: Netlink, network: str, container_id: str) -> None:
    """Take the veth pair and the chain away, also when the sandbox is gone; what is not there is fine. Raises OSError."""
    bury(host, host_veth_of(network, container_id))
    chain = chain_of(network, container_id)
    settle_iptables({"nat": _no_chain(lambda name: name == chain)}, command=IP6TABLES)


def check_egress(host: Netlink, network: str, container_id: str) -> list[str]:
    """What differs from what `wire_egress` makes on the host, in words. Raises OSError."""
    name, chain = host_veth_of(network, container_id), chain_of(network, container_id)
    link = link_named(host, name)
    nat = saved_tables(IP6TABLES).get("nat", {})
    differences = [] if link is not None and link.up else [f"the host's {name} is down or not there"]
    if not nat.get(chain):
        differences.append(f"chain {chain} is missing or empty")
    if not any(rule.endswith(f"-j {chain}") for rule in nat.get("POSTROUTING", [])):
        differences.append(f"nothing in POSTROUTING leads to chain {chain}")
    return differences


def block_others() -> list[str]:
    """Nobody begins a connection to such an address; returns the changes. Raises IptablesError."""
    if BLOCKED in _forwarding(saved_tables(IP6TABLES)):
        return []
    run_iptables(
        [f"{IP6TABLES}-restore", "--noflush", "-w", "5"], f"*filter\n-I FORWARD 1 {BLOCKED}\nCOMMIT\n"
    )
    return [f"blocked new connections to {SUBNET} from outside"]


def remove_dead_egress(host: Netlink) -> list[str]:
    """Take chains away of pods that went without a DEL, as their routes did. Raises OSError.

    Also those that the original's plugin made, which leaves them where the sandbox ends before its DEL (spec 4.9).
    """
    there = destinations6(host)
    dead = {
        rule.rsplit(" ", 1)[-1]
        for rule in saved_tables(IP6TABLES).get("nat", {}).get("POSTROUTING", [])
        if (found := JUMP.match(rule)) and IPv6Network(found[1]) not in there
    }
    if not dead:
        return []
    settle_iptables({"nat": _no_chain(dead.__contains__)}, command=IP6TABLES)
    return [f"removed chain {chain} of a pod that is gone" for chain in sorted(dead)]


def _forwarding(tables: Tables) -> list[str]:
    return tables.get("filter", {}).get("FORWARD", [])


def _wanted_nat(want: EgressWiring) -> WantedTable:
    chain = chain_of(want.network, want.container_id)
    comment = f'-m comment --comment "name: \\"{want.network}\\" id: \\"{want.container_id}\\""'
    flag = {"prng": " --random-fully", "hashrandom": " --random", "none": ""}[want.ports]
    if want.ports == "prng" and not iptables_kind(IP6TABLES).fully_random:
        flag = " --random"
    source = f"-s {want.address}/128 "
    return WantedTable(
        chains={
            chain: (
                f"-d {MULTICAST} {comment} -j ACCEPT",
                f"{comment} -j SNAT --to-source {want.node_address}{flag}",
            )
        },
        jumps={"POSTROUTING": (f"{source}{comment} -j {chain}",)},
        # an older pod's with the same address would be asked first
        is_stale=lambda rule: (
            rule.endswith(f"-j {chain}") or (rule.startswith(source) and "-j CNI-E6-" in rule)
        ),
    )


def _no_chain(which: Callable[[str], bool]) -> WantedTable:
    return WantedTable(
        chains={},
        jumps={"POSTROUTING": ()},
        is_stale=lambda rule: which(rule.rsplit(" ", 1)[-1]),
        is_stale_chain=which,
    )


def _digest(network: str, container_id: str) -> str:
    return hashlib.sha512(f"{network}{container_id}".encode(), usedforsecurity=False).hexdigest()


def _undo(host: Netlink, want: EgressWiring) -> str:
    """Nothing is left; in words, what could not be undone."""
    try:
        link = link_named(host, want.host_veth)
        if link is not None:
            host.run([delete_link(link.index)])
        unwire_egress(host, want.network, want.container_id)
    except OSError as error:
        return f"; and it could not be undone: {error}"
    return ""
