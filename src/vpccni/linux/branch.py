"""Connects a pod to a branch ENI of its own, for its own security groups: a VLAN of the trunk ENI beside the veth pair (spec 4.7).

In the standard mode the pod is one of its node's: what comes from or goes to the node, or to a pod there, does not pass the
security groups. In the strict mode all of its packets go by the VLAN, also to the node itself.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import MAIN_TABLE, Address
from vpccni.linux.branch_layout import (
    BY_BRANCH,
    FIRST_TABLE,
    VLAN_DEVICE,
    branch_addresses,
    device_of,
    is_branch_table,
    table_of,
)
from vpccni.linux.check import check, in_the_pod, of_link
from vpccni.linux.errors import KernelError
from vpccni.linux.graveyard import bury
from vpccni.linux.layout import RulesLayout, pod_rules
from vpccni.linux.links import Link, add_vlan, delete_link, link_named, links, set_link
from vpccni.linux.pod import (
    configure_inside,
    configure_outside,
    delete_all,
    every_rule_of,
    make_pair,
    quiet,
    wired,
)
from vpccni.linux.routes import Route, Scope, delete_pod_route, put_route, routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import ANY_TABLE, Rule, add_rule, listing
from vpccni.linux.source_check import loosen
from vpccni.linux.wiring import PodWiring, Wired, WiringError


@dataclass(frozen=True, slots=True)
class BranchWiring:
    """What a pod's network with a branch ENI is to be. The veth pair's `table` is the branch's."""

    veth: PodWiring
    vlan: int
    mac: str
    """Of the branch ENI: the VPC knows the pod by it."""
    trunk: int
    """The index of the trunk ENI's device."""
    gateway: IPv4Address
    """The router of the branch ENI's subnet."""
    strict: bool

    @property
    def device(self) -> str:
        """The VLAN's name."""
        return device_of(self.vlan)


def wire_branch(
    host: Netlink, pod: Netlink, netns: int, want: BranchWiring, sysctl_dir: int | None = None
) -> Wired:
    """Connect the sandbox, as `pod.wire` does. A VLAN of that number that is there is taken for an older pod's.

    Raises WiringError after undoing all of it.
    """
    veth = want.veth
    try:
        outside, inside = make_pair(host, pod, netns, veth, lambda: check_branch(host, pod, want) == [])
        if not outside.up:
            configure_inside(pod, veth, outside, inside)
            delete_all(host, [Rule(BY_BRANCH, ANY_TABLE, by=veth.host_veth)])
            _forget(host, veth.address, want.vlan)
            vlan = _make_vlan(host, want, sysctl_dir)
            host.run([put_route(route) for route in _vlan_routes(want, vlan.index)])
            if want.strict:
                _lead_by_branch(host, want, outside, sysctl_dir)
            else:
                configure_outside(host, veth, outside.index, sysctl_dir, None)
    except OSError as error:
        undone = _undo(host, want)
        raise WiringError(error.errno, f"pod {veth.pod}: {error}{undone}") from error
    return wired(outside, inside)


def unwire_branch(host: Netlink, address: Address | None, vlan: int, host_veth: str | None) -> None:
    """Take the VLAN, the rules, the routes and the veth away, whichever mode made them (spec 4.8). Raises OSError."""
    _forget(host, address, vlan)
    if host_veth is not None:
        bury(host, host_veth)


def check_branch(host: Netlink, pod: Netlink, want: BranchWiring) -> list[str]:
    """What differs from what `wire_branch` makes, in words. Raises OSError."""
    veth = want.veth
    vlan = link_named(host, want.device)
    if vlan is None:
        differences = [f"the host has no VLAN {want.device}"]
    else:
        differences = of_link("the host's", vlan, vlan.mtu)
        if (vlan.mac, vlan.peer) != (want.mac.lower(), want.trunk):
            differences.append(
                f"{want.device} is {vlan.mac} on device {vlan.peer}, not {want.mac} on {want.trunk}"
            )
    there = routes(host, veth.table)
    wanted = _vlan_routes(want, vlan.index if vlan is not None else 0)
    if not want.strict:
        return [*differences, *_missing(wanted, there), *check(host, pod, veth)]
    outside = link_named(host, veth.host_veth)
    if outside is None:
        differences.append(f"the host has no link {veth.host_veth}")
    else:
        differences += of_link("the host's", outside, veth.mtu)
        wanted.append(_to_pod(want, outside.index))
    rules = [entry.rule for entry in listing(host)]
    return [
        *differences,
        *_missing(wanted, there),
        *(f"rule {rule} is missing" for rule in branch_rules(want) if rule not in rules),
        *in_the_pod(pod, veth, outside),
    ]


def branch_rules(want: BranchWiring) -> tuple[Rule, ...]:
    """The host's rules of one pod: in the strict mode by the devices, in the other as every pod's."""
    if not want.strict:
        return pod_rules(RulesLayout.COMPATIBLE, want.veth)
    return tuple(Rule(BY_BRANCH, want.veth.table, by=device) for device in (want.device, want.veth.host_veth))


def find_branch(host: Netlink, veth: str) -> tuple[int, IPv4Address | None] | None:
    """VLAN and address of the pod with that host veth, if it has a branch ENI. Raises OSError.

    In the strict mode the rule by the veth's name tells, also when the veth is gone; in the other the veth's route does.
    """
    rules = [entry.rule for entry in listing(host)]
    link = link_named(host, veth)
    index = link.index if link is not None else 0
    for rule in rules:
        if rule.priority == BY_BRANCH and rule.by == veth and is_branch_table(rule.table):
            led = (r.destination for r in routes(host, rule.table) if r.index == index and r.destination)
            addresses = (to.network_address for to in led)
            return rule.table - FIRST_TABLE, next((a for a in addresses if isinstance(a, IPv4Address)), None)
    if link is None:
        return None
    held = {r.destination for r in routes(host, MAIN_TABLE) if r.index == index}
    for rule in rules:
        if isinstance(rule.source, IPv4Network) and rule.source in held and is_branch_table(rule.table):
            return rule.table - FIRST_TABLE, rule.source.network_address
    return None


def remove_dead_branches(host: Netlink) -> list[str]:
    """Take the VLANs away whose pods have gone with their veths; returns the changes. Raises OSError."""
    changes = []
    names = {link.name for link in links(host)}
    listed = [entry.rule for entry in listing(host)]
    led = {route.destination for route in routes(host, MAIN_TABLE)}
    for name in sorted(names):
        match = VLAN_DEVICE.fullmatch(name)
        if match is None:
            continue
        own = [rule for rule in listed if rule.table == table_of(int(match[1]))]
        strict = any(rule.by is not None and rule.by != name and rule.by in names for rule in own)
        if strict or any(rule.source is not None and rule.source in led for rule in own):
            continue
        for address in branch_addresses(own) or {None}:
            unwire_branch(host, address, int(match[1]), None)
        changes.append(f"removed {name} of a pod that is gone")
    return changes


def _missing(wanted: list[Route], there: list[Route]) -> list[str]:
    return [f"route {route} is missing or another" for route in wanted if route not in there]


def _make_vlan(host: Netlink, want: BranchWiring, sysctl_dir: int | None) -> Link:
    """New, and with it a table without routes of an older pod's."""
    host.run([add_vlan(want.device, want.mac, want.trunk, want.vlan)])
    vlan = link_named(host, want.device)
    if vlan is None:
        raise KernelError(errno.ENODEV, f"{want.device} went away while it was made")
    quiet(want.device, sysctl_dir)
    host.run([set_link(vlan.index, up=True)])
    # the kernel asks who sent a packet without the rules by devices: by these, the pod would be elsewhere
    loosen(host, vlan.index)
    return vlan


def _vlan_routes(want: BranchWiring, index: int) -> list[Route]:
    table = want.veth.table
    return [
        Route(IPv4Network(want.gateway), table, index, scope=Scope.LINK),
        Route(None, table, index, gateway=want.gateway),
    ]


def _to_pod(want: BranchWiring, index: int) -> Route:
    return Route(IPv4Network(want.veth.address), want.veth.table, index, scope=Scope.LINK)


def _lead_by_branch(host: Netlink, want: BranchWiring, outside: Link, sysctl_dir: int | None) -> None:
    quiet(want.veth.host_veth, sysctl_dir)
    loosen(host, outside.index)
    host.run([add_rule(rule) for rule in branch_rules(want)])
    # only now: no packet of the pod's may find another way
    host.run([set_link(outside.index, up=True), put_route(_to_pod(want, outside.index))])


def _forget(host: Netlink, address: Address | None, vlan: int) -> None:
    """Both modes' rules and routes, and the VLAN with its routes."""
    delete_all(host, [Rule(BY_BRANCH, table_of(vlan)), *([] if address is None else every_rule_of(address))])
    if address is not None:
        host.run([delete_pod_route(address, table) for table in (MAIN_TABLE, table_of(vlan))])
    link = link_named(host, device_of(vlan))
    if link is not None:
        host.run([delete_link(link.index)])


def _undo(host: Netlink, want: BranchWiring) -> str:
    """Nothing is left; in words, what could not be undone."""
    try:
        unwire_branch(host, want.veth.address, want.vlan, None)
        delete_all(host, [Rule(BY_BRANCH, ANY_TABLE, by=want.veth.host_veth)])
        link = link_named(host, want.veth.host_veth)
        if link is not None:  # the runtime may try again in the same sandbox
            host.run([delete_link(link.index)])
    except OSError as error:
        return f"; and it could not be undone: {error}"
    return ""
