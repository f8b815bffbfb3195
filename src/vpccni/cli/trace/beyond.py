"""From the ENI on: what the VPC does with a packet. Pure, over what EC2 told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from vpccni.cli.cloud.values import FarEni, GroupRule, NodeEni, Vpc, VpcTable
from vpccni.cli.netfilter.packet import Packet
from vpccni.cli.trace.steps import INTERNET, VPC, Capture, Outcome, Stage, Step
from vpccni.cli.unknown import Unknown

LINK_LOCAL = IPv4Network("169.254.0.0/16")
PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"))
)
SERVICES = {
    IPv4Address("169.254.169.254"): "the instance metadata service",
    IPv4Address("169.254.169.253"): "the VPC's DNS resolver",
    IPv4Address("169.254.169.123"): "Amazon's time service",
}


@dataclass(frozen=True, slots=True)
class Beyond:
    """What comes of it."""

    steps: tuple[Step, ...]
    outcome: Outcome
    seen_source: IPv4Address | None


def beyond(vpc: Vpc, eni: NodeEni | None, interface: str, packet: Packet) -> Beyond:
    """The packet left the node by `interface`, which is that ENI; None: nobody knows which."""
    if eni is None:
        text = f"which ENI {interface} is is not known, so what the VPC does is not either"
        return Beyond((Step(Stage.VPC, text, outcome=Outcome.UNKNOWN),), Outcome.UNKNOWN, packet.source)
    if packet.destination in SERVICES:
        step = Step(Stage.FAR_END, f"{SERVICES[packet.destination]} answers it on the host's own hardware")
        return Beyond((step,), Outcome.DELIVERED, packet.source)
    if eni.checks_source and not eni.holds(packet.source):
        held = ", ".join(map(str, (eni.primary_address, *eni.networks)))
        step = Step(
            Stage.VPC,
            f"the VPC throws it away: {packet.source} is not an address of {eni.id}",
            (f"{eni.id}, whose source/destination check is on, holds {held}",),
            Outcome.LOST,
        )
        return Beyond((step,), Outcome.LOST, None)
    out = _groups_step(vpc, eni.groups, packet, egress=True, peer=_groups_of(vpc.far))
    if out.outcome is Outcome.LOST:
        return Beyond((out,), Outcome.LOST, None)
    on = _routed(vpc, eni, packet)
    return Beyond((out, *on.steps), on.outcome, on.seen_source)


def _routed(vpc: Vpc, eni: NodeEni, packet: Packet) -> Beyond:
    if not isinstance(vpc.cidrs, Unknown) and any(packet.destination in cidr for cidr in vpc.cidrs):
        return _within(vpc, eni, packet)
    if isinstance(vpc.tables, Unknown):
        return _guess(vpc.tables, packet)
    table = table_of(vpc.tables, eni.subnet)
    found = [route for route in table.routes if packet.destination in route.destination] if table else []
    if table is None or not found:
        text = f"the VPC throws it away: the route table of {eni.subnet} has no route to {packet.destination}"
        return _lost(text, f"route table {table.id}" if table else "no table serves the subnet")
    route = max(found, key=lambda each: each.destination.prefixlen)
    why = f"route table {table.id} of {eni.subnet}: {route.destination} leads to {route.target}"
    if not route.active:
        return _lost(f"the VPC throws it away: {route.target} is gone or can't be used (blackhole)", why)
    return _by_target(vpc, eni, packet, route.target, why)


def _by_target(vpc: Vpc, eni: NodeEni, packet: Packet, target: str, why: str) -> Beyond:
    sort = target.partition("-")[0]
    match sort:
        case "local":
            return _within(vpc, eni, packet)
        case "igw":
            public = dict(eni.public).get(packet.source)
            if public is None:
                text = f"the internet gateway throws it away: {packet.source} has no public address"
                return _lost(text, why, "an Elastic IP, or a subnet behind a NAT gateway, would let it out")
            text = f"the internet gateway puts {public} in the place of {packet.source}"
            return _arrives(text, why, public, capture=_wire(replace(packet, source=public), INTERNET))
        case "nat":
            known = {} if isinstance(vpc.nat_addresses, Unknown) else dict(vpc.nat_addresses)
            public = known.get(target)
            text = (
                f"NAT gateway {target} puts {public or 'its public address'} in the place of {packet.source}"
            )
            extra = (
                [vpc.nat_addresses.why] if public is None and isinstance(vpc.nat_addresses, Unknown) else []
            )
            return _arrives(text, why, public, *extra)
    paths = {
        "pcx": f"a peered VPC by {target}",
        "tgw": f"a transit gateway, {target}",
        "vgw": f"a VPN or Direct Connect by {target}",
        "eni": f"the ENI {target}, an appliance",
        "vpce": f"the endpoint {target}",
        "lgw": f"an outpost's local gateway, {target}",
    }
    text = f"it goes on to {paths.get(sort, target)} with {packet.source} as its source"
    return _arrives(text, why, packet.source, outcome=Outcome.UNKNOWN)


def _within(vpc: Vpc, eni: NodeEni, packet: Packet) -> Beyond:
    text = f"{packet.destination} is inside the VPC: it is delivered with {packet.source} as its source"
    if isinstance(vpc.far, Unknown):
        step = Step(
            Stage.FAR_END,
            text,
            (f"whose it is, and its security group, is not known: {vpc.far.why}",),
            Outcome.UNKNOWN,
        )
        return Beyond((step,), Outcome.UNKNOWN, packet.source)
    if vpc.far is None:
        step = Step(Stage.FAR_END, f"no ENI of the VPC has {packet.destination}: nobody is there",
                    outcome=Outcome.LOST)  # fmt: skip
        return Beyond((step,), Outcome.LOST, None)
    step = Step(Stage.FAR_END, text, (f"{vpc.far.id}, {vpc.far.owner}",), capture=_wire(packet))
    into = _groups_step(vpc, vpc.far.groups, packet, egress=False, peer=eni.groups)
    outcome = Outcome.DELIVERED if into.outcome is Outcome.GOES_ON else into.outcome
    return Beyond((step, into), outcome, packet.source if outcome is not Outcome.LOST else None)


def _groups_step(
    vpc: Vpc, groups: tuple[str, ...], packet: Packet, *, egress: bool, peer: tuple[str, ...] | None
) -> Step:
    way, whose = ("out", "the ENI's") if egress else ("in", "the far end's")
    names = ", ".join(groups) or "none"
    if not groups or (rules := vpc.rules_of(groups)) is None:
        why = vpc.groups.why if isinstance(vpc.groups, Unknown) else "they were not read"
        text = (
            f"whether {whose} security groups ({names if groups else 'not known'}) let it {way} is not known"
        )
        return Step(Stage.VPC, text, (why,), Outcome.GOES_ON if egress else Outcome.UNKNOWN)
    let = lets_through(rules, packet, egress=egress, peer=peer)
    match let:
        case True:
            return Step(Stage.VPC, f"{whose} security groups ({names}) let it {way}")
        case None:
            text = f"{whose} security groups ({names}) name peers by what we cannot look up"
            return Step(Stage.VPC, text, outcome=Outcome.GOES_ON if egress else Outcome.UNKNOWN)
    text = f"{whose} security groups ({names}) do not let it {way}"
    return Step(Stage.VPC, text, (f"no rule for {_wanted(packet)}",), Outcome.LOST)


def lets_through(
    rules: Iterable[GroupRule], packet: Packet, *, egress: bool, peer: tuple[str, ...] | None
) -> bool | None:
    """Whether any rule lets it through; None: one might, by a group or a list whose members are not known."""
    perhaps = False
    address = packet.destination if egress else packet.source
    for rule in rules:
        if rule.egress != egress or not _about(rule, packet):
            continue
        if any(address in network for network in rule.networks):
            return True
        if peer is not None and set(rule.groups) & set(peer):
            return True
        perhaps = perhaps or bool(rule.others) or (bool(rule.groups) and peer is None)
    return None if perhaps else False


def table_of(tables: Iterable[VpcTable], subnet: str) -> VpcTable | None:
    """The table that serves a subnet."""
    found = list(tables)
    explicit = next((table for table in found if subnet in table.subnets), None)
    return explicit or next((table for table in found if table.main), None)


def _about(rule: GroupRule, packet: Packet) -> bool:
    if rule.protocol == "-1":
        return True
    if rule.protocol not in (packet.protocol, str(packet.number)):
        return False
    if packet.protocol == "icmp":
        return rule.low in (-1, 8)
    return rule.low <= packet.destination_port <= rule.high


def _guess(unknown: Unknown, packet: Packet) -> Beyond:
    private = any(packet.destination in network for network in PRIVATE)
    where = "a private network" if private else "the internet"
    text = f"{packet.destination} is outside of the VPC, in {where}; which way it takes there is not known"
    step = Step(Stage.VPC, text, (unknown.why,), Outcome.UNKNOWN)
    return Beyond((step,), Outcome.UNKNOWN, packet.source if private else None)


def _lost(text: str, *why: str) -> Beyond:
    return Beyond((Step(Stage.VPC, text, why, Outcome.LOST),), Outcome.LOST, None)


def _arrives(
    text: str,
    why: str,
    source: IPv4Address | None,
    *more: str,
    outcome: Outcome = Outcome.DELIVERED,
    capture: Capture | None = None,
) -> Beyond:
    return Beyond((Step(Stage.VPC, text, (why, *more), capture=capture),), outcome, source)


def _groups_of(far: FarEni | Unknown | None) -> tuple[str, ...] | None:
    return None if isinstance(far, Unknown) else far.groups if far is not None else ()


def _wire(packet: Packet, place: str = VPC) -> Capture:
    return Capture.of(place, "", packet)


def _wanted(packet: Packet) -> str:
    port = f" port {packet.destination_port}" if packet.destination_port else ""
    return f"{packet.protocol}{port} from {packet.source} to {packet.destination}"
