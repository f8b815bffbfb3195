"""Pods on the host after a restart: what of the living is missing, and what is left of the dead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import cast

from vpccni.ipam.values import MAIN_TABLE, Address, Network, single
from vpccni.linux.branch_layout import branch_addresses
from vpccni.linux.compact import is_shared, settle_shared
from vpccni.linux.family import Family
from vpccni.linux.graveyard import REAPED, bury
from vpccni.linux.layout import PODS_TABLE, RulesLayout, is_no_enis, layout_of, pod_route, pod_rules
from vpccni.linux.links import Link, links, set_link
from vpccni.linux.names import HASH_DIGITS, HOST_VETH, is_host_veth
from vpccni.linux.routes import Route, delete_route, link_scope, put_route, routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, add_missing_rule, listing
from vpccni.linux.sources import Sources, has_sources, kernel_sources, remove_sources
from vpccni.linux.wanted import remove_rules
from vpccni.linux.wiring import FROM_POD, TO_POD, PodWiring, pod_of


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What belongs to no live assignment."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    links: tuple[str, ...] = ()
    sources: bool = False
    """The compact layout's nft table, where the layout is the compatible one."""

    def __bool__(self) -> bool:
        return bool(self.rules or self.routes or self.links or self.sources)


def keep_pods(
    netlink: Netlink,
    wirings: Iterable[PodWiring],
    sources: Sources | None = None,
    family: Family = Family.IPV4,
) -> list[str]:
    """Whatever of a live pod's route and rules is missing is added, nothing else is touched; returns the changes.

    With `sources` what is missing in the compact layout. A pod without its link is left alone: it has no network that
    could be mended from here. One that cannot be mended is told of in the changes. Raises OSError.
    """
    wirings = list(wirings)
    changes = _keep_shared(netlink, wirings, sources) if sources is not None else []
    layout = layout_of(sources)
    present = {entry.rule for entry in listing(netlink, family) if entry.whole}
    table = PODS_TABLE if sources is not None else MAIN_TABLE
    routed = {route.destination: route for route in routes(netlink, table, family)}
    by_name = {link.name: link for link in links(netlink)}
    for wiring in wirings:
        link = by_name.get(wiring.host_veth)
        try:
            if link is None:
                link = _renamed(netlink, wiring, by_name, routed)
                if link is None:
                    continue
                changes.append(f"gave link {wiring.host_veth} of pod {wiring.pod} its name back")
            changes += _keep(netlink, layout, wiring, link, present, routed)
        except OSError as error:
            # one pod's trouble must not keep the node's agent from starting
            changes.append(f"could not restore pod {wiring.pod}: {error}")
    return changes


def _keep_shared(netlink: Netlink, wirings: list[PodWiring], sources: Sources) -> list[str]:
    for wiring in wirings:
        if not isinstance(wiring.address, IPv4Address):
            continue
        if wiring.table == MAIN_TABLE:
            sources.tables.pop(wiring.address, None)
        else:
            sources.tables[wiring.address] = wiring.table
    return settle_shared(netlink, sources, set(sources.tables.values()))


def _renamed(
    netlink: Netlink,
    wiring: PodWiring,
    by_name: Mapping[str, Link],
    routed: dict[Network | None, Route],
) -> Link | None:
    """A pod's link that somebody gave another name: its route still leads there. Rules go by the names' prefix."""
    route = routed.get(single(wiring.address))
    link = next((each for each in by_name.values() if route and each.index == route.index), None)
    if link is None or not link.peer or link.group == REAPED or link.name == "lo":
        return None
    if netlink.attempt([set_link(link.index, name=wiring.host_veth)]) != [None]:
        # before Linux 6.2 a link that is up cannot be renamed; what goes with it is put back after this
        down = set_link(link.index, up=False)
        netlink.run([down, set_link(link.index, name=wiring.host_veth), set_link(link.index, up=True)])
        routed.pop(single(wiring.address))
    return replace(link, name=wiring.host_veth)


def _keep(
    netlink: Netlink,
    layout: RulesLayout,
    wiring: PodWiring,
    link: Link,
    present: set[Rule],
    routed: dict[Network | None, Route],
) -> list[str]:
    changes: list[str] = []
    if not link.up:  # its ADD was cut off before that; a route over a link that is down is refused
        netlink.run([set_link(link.index, up=True)])
        changes.append(f"set {link.name} of pod {wiring.pod} up")
    route = pod_route(layout, wiring, link.index)
    if routed.get(route.destination) != route:  # before the rule that leads to it
        netlink.run([put_route(route)])
        changes.append(f"put route {route} of pod {wiring.pod}")
    missing = [rule for rule in pod_rules(layout, wiring) if rule not in present]
    netlink.run([add_missing_rule(rule) for rule in missing])
    return changes + [f"added rule {rule} of pod {wiring.pod}" for rule in missing]


def leftovers(
    netlink: Netlink,
    veth_prefix: str,
    live: Iterable[PodWiring],
    spared: Iterable[PodWiring] = (),
    sources: Sources | None = None,
    family: Family = Family.IPV4,
) -> Leftovers:
    """Pod rules, pod routes and host veths of nobody alive, and what of the living is of the layout that is not in use.

    Whatever has not exactly our shape is a stranger's. Of the `spared` every rule of theirs is kept as it is, whatever
    table it leads to: nobody could tell which ENI they are on.
    """
    untouched = list(spared)
    wirings = [*live, *untouched]
    listed = listing(netlink, family)
    # pods with branch ENIs are in no checkpoint
    branches = branch_addresses(entry.rule for entry in listed if entry.whole)
    hands_off = {wiring.address for wiring in untouched} | branches
    layout = layout_of(sources)
    kept = {rule for wiring in wirings for rule in pod_rules(layout, wiring)}
    names = {wiring.host_veth for wiring in wirings}
    ours = {link.index: link.name for link in links(netlink) if is_host_veth(veth_prefix, link.name)}
    living = {(pod_route(layout, wiring, 0).table, single(wiring.address)) for wiring in wirings}
    by_veth = [r for r in routes(netlink, MAIN_TABLE, family) if r.index in ours and _is_pod_route(r)]
    by_branch = {r.index for r in by_veth if r.destination and r.destination.network_address in branches}
    pod_routes = [
        *(route for route in by_veth if route.index not in by_branch),
        *routes(netlink, PODS_TABLE, family),  # all of it is ours
    ]
    return Leftovers(
        rules=tuple(
            entry.rule
            for entry in listed
            if entry.whole
            and entry.rule not in kept
            and pod_of(entry.rule) not in hands_off
            and (_is_pod_rule(entry.rule) or (sources is None and is_shared(entry.rule)))
        ),
        routes=tuple(route for route in pod_routes if (route.table, route.destination) not in living),
        links=tuple(name for index, name in ours.items() if name not in names and index not in by_branch),
        sources=sources is None and has_sources(),
    )


def remove_leftovers(netlink: Netlink, found: Leftovers, family: Family = Family.IPV4) -> list[str]:
    """Take them away; what went meanwhile is fine. Returns the changes; the links still wait for `reap`. Raises OSError."""
    changes = remove_rules(netlink, found.rules, family)
    netlink.run([delete_route(route) for route in found.routes])
    changes += [f"removed route {route}" for route in found.routes]
    for name in found.links:
        bury(netlink, name)
        changes.append(f"removed link {name}")
    return changes + (remove_sources() if found.sources else [])


def pod_links(netlink: Netlink) -> dict[str, str]:
    """The host veths that are there: their names by the digits that name the pod, whatever their prefix (spec 6.4)."""
    present = [link for link in links(netlink) if link.group != REAPED]
    return {link.name[-HASH_DIGITS:]: link.name for link in present if HOST_VETH.fullmatch(link.name)}


def as_they_are(
    netlink: Netlink, wirings: Iterable[PodWiring], family: Family = Family.IPV4
) -> list[PodWiring]:
    """The pods with the ENIs' tables that their packets follow now, in whichever layout. Raises OSError."""
    wirings = list(wirings)
    if not wirings:
        return []
    tables = {cast("Address", source): table for source, table in kernel_sources().items()}
    for entry in reversed(listing(netlink, family)):  # the first rule of several counts
        address = pod_of(entry.rule)
        if entry.whole and address is not None and entry.rule.priority == FROM_POD:
            tables[address] = entry.rule.table
    return [replace(wiring, table=tables.get(wiring.address, MAIN_TABLE)) for wiring in wirings]


def connected(netlink: Netlink, family: Family = Family.IPV4) -> dict[str, Address]:
    """The address that is routed to each host veth, by the veth's name."""
    names = {link.index: link.name for link in links(netlink) if link.group != REAPED and link.up}
    return {
        names[route.index]: route.destination.network_address
        for route in (*routes(netlink, MAIN_TABLE, family), *routes(netlink, PODS_TABLE, family))
        if route.destination is not None
        and _is_pod_route(route)
        and HOST_VETH.fullmatch(names.get(route.index, ""))
    }


def _is_pod_route(route: Route) -> bool:
    to = route.destination
    alone = to is not None and to.prefixlen == to.max_prefixlen
    return alone and route.gateway is None and route.scope is link_scope(route.family)


def _is_pod_rule(rule: Rule) -> bool:
    if _is_older(rule):
        return True
    if pod_of(rule) is None:
        return False
    return rule.table == MAIN_TABLE if rule.priority == TO_POD else not is_no_enis(rule.table)


def _is_older(rule: Rule) -> bool:
    """A rule from one pod to one of the VPC's CIDRs: releases before 1.6 had one for each (spec 5.5)."""
    source = rule.source
    return (
        rule.priority == FROM_POD
        and rule.mark is None
        and rule.destination is not None
        and source is not None
        and source.prefixlen == source.max_prefixlen
        and not is_no_enis(rule.table)
    )
