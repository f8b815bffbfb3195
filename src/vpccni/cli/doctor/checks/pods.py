"""What the kernel has of pods beside what the agent wrote down: left-overs, orphans, gaps; addresses of nobody's ENI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from vpccni.cli.doctor.facts import Facts, Routing, known
from vpccni.cli.doctor.finding import Finding, Mend, RemoveLink, RemoveRoute, RemoveRule, Severity
from vpccni.cli.doctor.plain_rule import plain
from vpccni.cli.kernel.fib import Flow, look_up
from vpccni.cli.kernel.values import Device, Kind, Network, TableRoute
from vpccni.ipam.values import MAIN_TABLE, Assignment
from vpccni.linux.branch_layout import branch_addresses
from vpccni.linux.layout import PODS_TABLE
from vpccni.linux.names import host_veth, is_host_veth
from vpccni.linux.routes import Route, Scope
from vpccni.linux.wiring import pod_of

RESTART = "the agent removes them at its next start; or vpc-cni doctor --fix"


@dataclass(slots=True)
class _Gone:
    """What one address of no pod has left."""

    says: list[str] = field(default_factory=list)
    mends: list[Mend] = field(default_factory=list)


def leftovers(facts: Facts) -> Iterator[Finding]:
    """Rules, routes and devices of pods that are not written down.

    A device whose other end is up belongs to somebody who runs, written down or not: an orphan, which nobody touches.
    """
    routing, assignments = known(facts.routing), known(facts.assignments)
    prefix = facts.settings.settings.veth_prefix
    strays = _stray_devices(routing, assignments, prefix)
    live = {each.address for each in assignments if isinstance(each.address, IPv4Address)}
    in_use = {index for index, device in strays.items() if device.up and device.carrier}
    owners = {route.destination.network_address: route for route in _pod_routes(routing, prefix)}
    # pods with branch ENIs are never written down
    branches = branch_addresses(rule for each in routing.network.rules if (rule := plain(each)) is not None)
    for index in sorted(in_use):
        device = strays[index]
        held = [str(address) for address, route in owners.items() if route.hops[0].index == index]
        if any(route.hops[0].index == index and address in branches for address, route in owners.items()):
            continue
        yield Finding(
            "orphans",
            Severity.BROKEN,
            f"{device.name} leads to a running sandbox that the agent has not written down"
            + (f", with {', '.join(held)}" if held else ""),
            "its address may be given to another pod: then both are cut off by turns",
            "find its pod (crictl pods; ip netns) and restart it; if there is none, ip link del "
            + device.name,
        )
    kept = {address for address, route in owners.items() if route.hops[0].index in in_use}
    gone = _gone(routing, prefix, live | kept)
    for address, left in sorted(gone.items()):
        yield Finding(
            "leftovers",
            Severity.RISKY,
            f"no pod has {address}, but there is {', '.join(left.says)}",
            "the next pod that gets the address may be sent another way",
            RESTART,
            tuple(left.mends),
        )
    for index in sorted(strays.keys() - in_use):
        device = strays[index]
        yield Finding(
            "leftovers",
            Severity.RISKY,
            f"{device.name} is the host's end of a pod that is gone",
            "the pod of the same name cannot be made again before it goes",
            RESTART,
            (RemoveLink(index, device.name),),
        )


def unconnected(facts: Facts) -> Iterator[Finding]:
    """Pods that are written down, and that a packet does not reach."""
    routing, assignments = known(facts.routing), known(facts.assignments)
    network, later = routing.network, routing.later
    prefix = facts.settings.settings.veth_prefix
    for each in assignments:
        name = host_veth(prefix, each.pod, each.interface.index)
        if isinstance(each.address, IPv6Address):
            to6 = known(facts.ways6).get(each.address)
            if to6 != name:
                yield _unconnected(each, name, f"to {to6}" if to6 else "nowhere")
            continue
        if _reaches(network, each.address, name) or _reaches(later, each.address, name):
            continue  # at one of the two looks: it came or went in between
        way = look_up(network, Flow(each.address))
        to = (
            "nowhere"
            if way.refusal is not None or not way.hops
            else f"to {network.name_of(way.hops[0].index)}"
        )
        yield _unconnected(each, name, to)


def _unconnected(pod: Assignment, name: str, to: str) -> Finding:
    return Finding(
        "unconnected-pods",
        Severity.BROKEN,
        f"packets to pod {pod.pod} ({pod.address}) go {to}, not to its device {name}",
        "nobody reaches the pod, and no answer reaches it either",
        "a running agent puts routes and rules back; if the device is gone restart the pod",
    )


def addresses(facts: Facts) -> Iterator[Finding]:
    """Every pod's address is on an ENI of this node, is nobody else's, and is not the node's."""
    assignments, enis = known(facts.assignments), known(facts.enis)
    network = known(facts.routing).network
    seen: dict[IPv4Address, Assignment] = {}
    for each in assignments:
        if not isinstance(each.address, IPv4Address):
            continue  # whose prefix it is of is not looked at
        if all(each.address not in held for eni in enis for held in eni.networks):
            by = "EC2" if facts.enis_by_ec2 else "the metadata service, which may be late,"
            yield Finding(
                "addresses",
                Severity.BROKEN if facts.enis_by_ec2 else Severity.RISKY,
                f"pod {each.pod} has {each.address}, which by {by} is on no ENI of this node",
                "the VPC delivers it elsewhere or nowhere, and drops what the pod sends",
                "restart the pod; see who took the address away (CloudTrail: UnassignPrivateIpAddresses)",
            )
        other = seen.setdefault(each.address, each)
        if other is not each:
            said = f"{each.address} is written down for {other.pod} and for {each.pod}"
            why = "both are cut off by turns"
            fix = "restart both pods, and keep the checkpoint for whoever looks into it"
            yield Finding("addresses", Severity.BROKEN, said, why, fix)
        holder = network.holder(each.address)
        if holder is not None:
            said = f"{each.address} of pod {each.pod} is also an address of the node's {holder.name}"
            why = "the node takes the pod's packets for its own"
            fix = f"ip addr del {each.address} dev {holder.name}, and see who added it (DHCP, ec2-net-utils)"
            yield Finding("addresses", Severity.BROKEN, said, why, fix)


def _stray_devices(routing: Routing, live: Iterable[Assignment], prefix: str) -> dict[int, Device]:
    """Host ends of nobody written down, that were there before and after the file was read."""
    names = {host_veth(prefix, each.pod, each.interface.index) for each in live}
    later = {(device.index, device.name) for device in routing.later.devices}
    return {
        device.index: device
        for device in routing.network.devices
        if is_host_veth(prefix, device.name)
        and device.name not in names
        and (device.index, device.name) in later
    }


def _pod_routes(routing: Routing, prefix: str) -> Iterator[TableRoute]:
    """To single addresses by a host end, or in the table that is ours alone; there both times."""
    later = set(routing.later.routes)
    for route in routing.network.routes:
        if route.kind is not Kind.UNICAST or route.destination.prefixlen != 32 or len(route.hops) != 1:
            continue
        by = routing.network.device(route.hops[0].index)
        ours = route.table == PODS_TABLE or (
            route.table == MAIN_TABLE and by is not None and is_host_veth(prefix, by.name)
        )
        if ours and route in later:
            yield route


def _gone(routing: Routing, prefix: str, alive: set[IPv4Address]) -> dict[IPv4Address, _Gone]:
    found: dict[IPv4Address, _Gone] = {}
    later = set(routing.later.rules)
    for rule in routing.network.rules:
        same = plain(rule)
        address = pod_of(same) if same is not None else None
        if same is not None and isinstance(address, IPv4Address) and address not in alive and rule in later:
            left = found.setdefault(address, _Gone())
            left.says.append(f"rule `{rule}`")
            left.mends.append(RemoveRule(same))
    for route in _pod_routes(routing, prefix):
        address = route.destination.network_address
        if address not in alive:
            left = found.setdefault(address, _Gone())
            index = route.hops[0].index
            left.says.append(f"a route by {routing.network.name_of(index)}")
            scope = Scope.LINK if route.scope == Scope.LINK else Scope.UNIVERSE
            left.mends.append(RemoveRoute(Route(IPv4Network(address), route.table, index, scope=scope)))
    return found


def _reaches(network: Network, address: IPv4Address, name: str) -> bool:
    way = look_up(network, Flow(address))
    device = network.named(name)
    return device is not None and device.up and any(hop.index == device.index for hop in way.hops)
