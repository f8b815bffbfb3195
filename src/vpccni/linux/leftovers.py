"""Pods on the host after a restart: what of the living is missing, and what is left of the dead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.graveyard import REAPED, bury
from vpccni.linux.links import Link, links, set_link
from vpccni.linux.names import HASH_DIGITS, HOST_VETH, is_host_veth
from vpccni.linux.routes import Route, Scope, delete_route, put_route, routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, add_missing_rule, listing
from vpccni.linux.wanted import remove_rules
from vpccni.linux.wiring import TO_POD, PodWiring, host_route, host_rules, pod_of


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What belongs to no live assignment."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    links: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules or self.routes or self.links)


def keep_pods(netlink: Netlink, wirings: Iterable[PodWiring]) -> list[str]:
    """Whatever of a live pod's route and rules is missing is added, nothing else is touched; returns the changes.

    A pod without its link is left alone: it has no network that could be mended from here. One that cannot be
    mended is told of in the changes. Raises OSError.
    """
    present = {entry.rule for entry in listing(netlink) if entry.whole}
    routed = {route.destination: route for route in routes(netlink, MAIN_TABLE)}
    by_name = {link.name: link for link in links(netlink)}
    changes: list[str] = []
    for wiring in wirings:
        link = by_name.get(wiring.host_veth)
        if link is None:
            continue
        try:
            changes += _keep(netlink, wiring, link, present, routed)
        except OSError as error:
            # one pod's trouble must not keep the node's agent from starting
            changes.append(f"could not restore pod {wiring.pod}: {error}")
    return changes


def _keep(
    netlink: Netlink,
    wiring: PodWiring,
    link: Link,
    present: set[Rule],
    routed: dict[IPv4Network | None, Route],
) -> list[str]:
    changes: list[str] = []
    if not link.up:  # its ADD was cut off before that; a route over a link that is down is refused
        netlink.run([set_link(link.index, up=True)])
        changes.append(f"set {link.name} of pod {wiring.pod} up")
    missing = [rule for rule in host_rules(wiring) if rule not in present]
    netlink.run([add_missing_rule(rule) for rule in missing])
    changes += [f"added rule {rule} of pod {wiring.pod}" for rule in missing]
    route = host_route(wiring, link.index)
    if routed.get(route.destination) != route:
        netlink.run([put_route(route)])
        changes.append(f"put route {route} of pod {wiring.pod}")
    return changes


def leftovers(
    netlink: Netlink, veth_prefix: str, live: Iterable[PodWiring], spared: Iterable[PodWiring] = ()
) -> Leftovers:
    """Pod rules, pod routes and host veths of nobody alive. Whatever has not exactly our shape is a stranger's.

    Of the `spared` all is kept as it is, whatever table their rules lead to: nobody could tell which ENI they are on.
    """
    untouched = list(spared)
    wirings = [*live, *untouched]
    hands_off = {wiring.address for wiring in untouched}
    addresses = {IPv4Network(wiring.address) for wiring in wirings}
    kept = {rule for wiring in wirings for rule in host_rules(wiring)}
    names = {wiring.host_veth for wiring in wirings}
    ours = {link.index: link.name for link in links(netlink) if is_host_veth(veth_prefix, link.name)}
    return Leftovers(
        rules=tuple(
            entry.rule
            for entry in listing(netlink)
            if entry.whole
            and _is_pod_rule(entry.rule)
            and entry.rule not in kept
            and pod_of(entry.rule) not in hands_off
        ),
        routes=tuple(
            route
            for route in routes(netlink, MAIN_TABLE)
            if route.index in ours and _is_pod_route(route) and route.destination not in addresses
        ),
        links=tuple(name for name in ours.values() if name not in names),
    )


def remove_leftovers(netlink: Netlink, found: Leftovers) -> list[str]:
    """Take them away; what went meanwhile is fine. Returns the changes; the links still wait for `reap`. Raises OSError."""
    changes = remove_rules(netlink, found.rules)
    netlink.run([delete_route(route) for route in found.routes])
    changes += [f"removed route {route}" for route in found.routes]
    for name in found.links:
        bury(netlink, name)
        changes.append(f"removed link {name}")
    return changes


def pod_links(netlink: Netlink) -> dict[str, str]:
    """The host veths that are there: their names by the digits that name the pod, whatever their prefix (spec 6.4)."""
    present = [link for link in links(netlink) if link.group != REAPED]
    return {link.name[-HASH_DIGITS:]: link.name for link in present if HOST_VETH.fullmatch(link.name)}


def connected(netlink: Netlink) -> dict[str, IPv4Address]:
    """The address that is routed to each host veth, by the veth's name."""
    names = {link.index: link.name for link in links(netlink) if link.group != REAPED and link.up}
    return {
        names[route.index]: route.destination.network_address
        for route in routes(netlink, MAIN_TABLE)
        if route.destination is not None
        and _is_pod_route(route)
        and HOST_VETH.fullmatch(names.get(route.index, ""))
    }


def _is_pod_route(route: Route) -> bool:
    single = route.destination is not None and route.destination.prefixlen == 32
    return single and route.scope is Scope.LINK


def _is_pod_rule(rule: Rule) -> bool:
    if pod_of(rule) is None:
        return False
    # tables 0 (unspecified), 1 and 253 (default), 255 (local) are no ENI's; 2 to 252 and from 10000 on are (spec 4.3)
    return rule.table == MAIN_TABLE if rule.priority == TO_POD else rule.table not in (0, 1, 253, 254, 255)
