"""The host's own rules, as a wanted set: written when missing, untouched when right, never a stranger's (spec 5.1-5.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpccni.linux import connmark, iptables
from vpccni.linux import messages as nl
from vpccni.linux.eni import set_mtu_and_up, wait_for_link
from vpccni.linux.messages import MAIN, Route, Rule, Scope
from vpccni.linux.names import is_host_veth
from vpccni.linux.pod import FROM_POD, TO_POD, PodWiring, bury, host_rules, subjects
from vpccni.linux.rtnl import Netlink

BY_MARK, TO_SERVICE = 1024, 1535
"""Priorities of the rules for marked connections and external services (spec 5.1)."""
PRIMARY_WAIT = 15.0
"""Seconds that the primary ENI's device may take to appear (spec 5.2: 5 tries, 3 s apart)."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the host's rules depend on."""

    primary_mac: str
    node_address: IPv4Address
    vpc_cidrs: tuple[IPv4Network, ...]
    exclude_cidrs: tuple[IPv4Network, ...] = ()
    service_cidrs: tuple[IPv4Network, ...] = ()
    external_snat: bool = False
    ports: str = "prng"
    node_port: bool = True
    mark: int = 0x80
    veth_prefix: str = "eni"
    mtu: int = 9001


@dataclass(slots=True)
class Leftovers:
    """What belongs to no live assignment."""

    rules: list[Rule] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


def set_up_host(netlink: Netlink, settings: HostSettings) -> list[str]:
    """Everything that is not about one pod or one secondary ENI; returns what was changed, in words. Raises OSError."""
    link = wait_for_link(settings.primary_mac, PRIMARY_WAIT)
    changes = set_mtu_and_up(netlink, link, settings.mtu)
    changes += _loose_source_check(link.name)
    changes += _policy_rules(netlink, settings)
    nat = iptables.NatSettings(
        primary_interface=link.name,
        node_address=settings.node_address,
        vpc_cidrs=settings.vpc_cidrs,
        exclude_cidrs=settings.exclude_cidrs,
        external_snat=settings.external_snat,
        ports=settings.ports,
        node_port=settings.node_port,
        mark=settings.mark,
        veth_prefix=settings.veth_prefix,
    )
    legacy = iptables.backend() == "legacy"
    if iptables.apply(iptables.wanted_nat(nat, connmark=legacy), iptables.wanted_mangle(nat)):
        changes.append("changed the nat and mangle rules")
    if not legacy and _connmark(settings):
        changes.append(f"changed the nft table {connmark.TABLE}")
    return changes


def keep_pods(netlink: Netlink, wirings: Iterable[PodWiring]) -> list[str]:
    """After a restart: whatever of a live pod's route and rules is missing is added, nothing else is touched."""
    present = set(nl.rules(netlink))
    routed = {route.destination: route for route in nl.routes(netlink, MAIN)}
    by_name = {link.name: link for link in nl.links(netlink)}
    changes: list[str] = []
    for wiring in wirings:
        link = by_name.get(wiring.host_veth)
        if link is None:
            continue
        try:
            changes += _keep_pod(netlink, wiring, link, present, routed)
        except OSError as error:
            # one pod's trouble must not keep the node's agent from starting
            changes.append(f"could not restore pod {wiring.pod}: {error}")
    return changes


def _keep_pod(
    netlink: Netlink,
    wiring: PodWiring,
    link: nl.Link,
    present: set[Rule],
    routed: dict[IPv4Network | None, Route],
) -> list[str]:
    changes: list[str] = []
    if not link.up:  # its ADD was cut off before that; a route over a link that is down is refused
        netlink.run([nl.set_link(link.index, up=True)])
        changes.append(f"set {link.name} of pod {wiring.pod} up")
    network = IPv4Network(wiring.address)
    missing = [rule for rule in host_rules(wiring) if rule not in present]
    netlink.run([nl.add_missing_rule(rule) for rule in missing])
    changes += [f"added rule {rule} of pod {wiring.pod}" for rule in missing]
    route = Route(network, MAIN, link.index, scope=Scope.LINK)
    if routed.get(network) != route:
        netlink.run([nl.put_route(route)])
        changes.append(f"put route {route} of pod {wiring.pod}")
    return changes


def leftovers(netlink: Netlink, veth_prefix: str, live: Iterable[PodWiring]) -> Leftovers:
    """Pod rules, pod routes and host veths of nobody alive. Whatever has not exactly our shape is a stranger's."""
    wirings = list(live)
    addresses = {IPv4Network(wiring.address) for wiring in wirings}
    kept = {rule for wiring in wirings for rule in host_rules(wiring)}
    names = {wiring.host_veth for wiring in wirings}
    ours = {link.index: link.name for link in nl.links(netlink) if is_host_veth(veth_prefix, link.name)}
    return Leftovers(
        rules=[rule for rule in nl.rules(netlink) if _is_pod_rule(rule) and rule not in kept],
        routes=[
            route
            for route in nl.routes(netlink, MAIN)
            if route.index in ours and route.scope is Scope.LINK and route.destination not in addresses
        ],
        links=[name for name in ours.values() if name not in names],
    )


def remove_leftovers(netlink: Netlink, found: Leftovers) -> None:
    """Take them away; what went meanwhile is fine."""
    netlink.run([nl.delete_rule(rule) for rule in found.rules])
    netlink.run([nl.delete_route(route) for route in found.routes])
    for name in found.links:
        bury(netlink, name)


def pod_links(netlink: Netlink, veth_prefix: str) -> frozenset[str]:
    """The names of the host veths that are there."""
    return frozenset(link.name for link in nl.links(netlink) if is_host_veth(veth_prefix, link.name))


def _is_pod_rule(rule: Rule) -> bool:
    single = all(network.prefixlen == 32 for network in subjects(rule))
    table = rule.table == MAIN if rule.priority == TO_POD else 1 < rule.table != MAIN
    return (
        bool(subjects(rule))
        and single
        and table
        and rule.mark is None
        and rule.priority in {TO_POD, FROM_POD}
    )


def _loose_source_check(name: str) -> list[str]:
    """rp_filter 2: a NodePort's reply path may differ from its way in (spec 1.2). Privileged once, by the init step."""
    path = Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter")
    if path.read_text().strip() == "2":
        return []
    try:
        path.write_text("2")
    except OSError as error:
        return [
            f"could not set rp_filter of {name} to 2 ({error}); NodePorts may fail until the init step has run"
        ]
    return [f"set rp_filter of {name} to 2"]


def _policy_rules(netlink: Netlink, settings: HostSettings) -> list[str]:
    wanted = {Rule(TO_SERVICE, MAIN, destination=cidr) for cidr in settings.service_cidrs}
    if settings.node_port or not settings.external_snat:
        wanted.add(Rule(BY_MARK, MAIN, mark=settings.mark, mask=settings.mark))
    ours = {
        rule
        for rule in nl.rules(netlink)
        if rule.table == MAIN
        and ((rule.priority == BY_MARK and rule.mark is not None and rule.mark == rule.mask and not _narrowed(rule))
             or (rule.priority == TO_SERVICE and rule.destination is not None and rule.source is None))
    }  # fmt: skip
    missing, stale = wanted - ours, ours - wanted
    netlink.run([nl.add_missing_rule(rule) for rule in missing])
    netlink.run([nl.delete_rule(rule) for rule in stale])
    return [f"added rule {rule}" for rule in missing] + [f"removed rule {rule}" for rule in stale]


def _narrowed(rule: Rule) -> bool:
    return rule.source is not None or rule.destination is not None


def _connmark(settings: HostSettings) -> bool:
    if settings.external_snat:
        return connmark.remove()
    exempt = (*reversed(settings.exclude_cidrs), *reversed(settings.vpc_cidrs))
    return connmark.apply(connmark.wanted_table(settings.veth_prefix, settings.mark, exempt))
