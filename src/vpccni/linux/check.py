"""CNI CHECK: what of a pod's network differs from what it is to be, in words."""

from __future__ import annotations

from ipaddress import IPv4Address

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.addresses import all_addresses, permanent_neighbours
from vpccni.linux.compact import is_shared
from vpccni.linux.layout import layout_of, pod_route, pod_rules, shared_rules
from vpccni.linux.links import Link, link_named
from vpccni.linux.routes import routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, listing
from vpccni.linux.sources import Sources, chain_of
from vpccni.linux.wiring import (
    PodWiring,
    inner_neighbour,
    inner_routes,
    inner_rules,
    pod_of,
)


def check(host: Netlink, pod: Netlink, wiring: PodWiring, sources: Sources | None = None) -> list[str]:
    """Every difference from what `wire` makes; empty if all is right. Raises OSError if the kernel cannot be asked.

    `sources` as in `wire`.
    """
    outside = link_named(host, wiring.host_veth)
    return [
        *_on_the_host(host, wiring, outside, sources),
        *_rules(host, wiring, sources),
        *in_the_pod(pod, wiring, outside),
    ]


def _on_the_host(
    host: Netlink, wiring: PodWiring, outside: Link | None, sources: Sources | None
) -> list[str]:
    differences: list[str] = []
    if outside is None:
        differences.append(f"the host has no link {wiring.host_veth}")
    else:
        differences += of_link("the host's", outside, wiring.mtu)
    wanted = pod_route(layout_of(sources), wiring, outside.index if outside is not None else 0)
    to_pod = [
        route
        for route in routes(host, wanted.table, wiring.family)
        if route.destination == wanted.destination
    ]
    if not to_pod:
        differences.append(f"the host has no route to {wiring.address}")
    elif outside is not None and to_pod != [wanted]:
        differences.append(
            f"the host's route to {wiring.address} does not lead straight to {wiring.host_veth}"
        )
    return differences


def _rules(host: Netlink, wiring: PodWiring, sources: Sources | None) -> list[str]:
    present = [entry.rule for entry in listing(host, wiring.family) if entry.whole]
    wanted = pod_rules(layout_of(sources), wiring)
    shared: tuple[Rule, ...] = ()
    differences: list[str] = []
    if sources is not None:
        numbers = {wiring.table: sources.numbers.get(wiring.table, 0)} if wiring.table != MAIN_TABLE else {}
        shared = shared_rules(numbers, sources.mask)
        differences += _chosen(sources, wiring)
    missing = [f"rule {rule} is missing" for rule in (*shared, *wanted) if rule not in present]
    older = {rule for rule in present if pod_of(rule) == wiring.address and rule not in wanted}
    if sources is None:  # of the other layout: it would be asked before the pod's own
        older |= {rule for rule in present if is_shared(rule)}
    return differences + missing + [f"rule {rule} is not this pod's" for rule in sorted(older, key=str)]


def _chosen(sources: Sources, wiring: PodWiring) -> list[str]:
    if not isinstance(wiring.address, IPv4Address):
        return []
    wanted = None if wiring.table == MAIN_TABLE else chain_of(wiring.table)
    present = sources.chosen(wiring.address)
    if present == wanted:
        return []
    return [f"what {wiring.address} sends goes to {present or 'no chain'} of nft, not to {wanted or 'none'}"]


def in_the_pod(pod: Netlink, wiring: PodWiring, outside: Link | None) -> list[str]:
    """What is not as it should be in the pod's own namespace. Raises OSError."""
    differences: list[str] = []
    loopback = link_named(pod, "lo")
    if loopback is None or not loopback.up:
        differences.append("lo of the pod is down")
    inside = link_named(pod, wiring.interface)
    if inside is None:
        return [*differences, f"the pod has no link {wiring.interface}"]
    differences += of_link("the pod's", inside, wiring.mtu)
    held = ", ".join(str(interface) for interface in all_addresses(pod, inside.index, wiring.family))
    alone = f"{wiring.address}/{wiring.family.bits}"
    if held != alone:
        differences.append(f"{wiring.interface} of the pod holds {held or 'no address'}, not {alone}")
    present = routes(pod, wiring.inner_table, wiring.family)
    differences += [
        f"the pod's route {route.destination or 'default'} is missing or another"
        for route in inner_routes(wiring, inside.index)
        if route not in present
    ]
    if inner := inner_rules(wiring):
        there = [entry.rule for entry in listing(pod, wiring.family) if entry.whole]
        differences += [f"rule {rule} is missing in the pod" for rule in inner if rule not in there]
    if outside is not None:
        if inside.peer != outside.index or outside.peer != inside.index:
            differences.append(f"{wiring.interface} of the pod is not the other end of {wiring.host_veth}")
        elif inner_neighbour(wiring, inside.index, outside.mac) not in permanent_neighbours(
            pod, wiring.family
        ):
            differences.append(
                f"the pod's neighbour {wiring.gateway} is not {outside.mac}, the MAC of {wiring.host_veth}"
            )
    return differences


def of_link(whose: str, link: Link, mtu: int) -> list[str]:
    """What is not as it should be with a device."""
    differences = [] if link.up else [f"{whose} {link.name} is down"]
    if link.mtu != mtu:
        differences.append(f"{whose} {link.name} has MTU {link.mtu}, not {mtu}")
    return differences
