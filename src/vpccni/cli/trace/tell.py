"""What rules and routes mean, in words."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from vpccni.cli.kernel.fib import UNSPECIFIED, Way, look_up_table
from vpccni.cli.kernel.values import (
    LOCAL_TABLE,
    MAIN_TABLE,
    Device,
    Network,
    PolicyRule,
    TableRoute,
    table_name,
)
from vpccni.cli.netfilter.packet import Hit, Packet
from vpccni.linux import wiring
from vpccni.linux.layout import PODS_TABLE
from vpccni.linux.snat import SNAT_CHAIN

LINK_SCOPE = 253
BY_MARK, TO_SERVICE, FROM_ENI, KERNELS_MAIN = 1024, 1535, 32765, 32766
"""Priorities of the rules that are not a pod's (spec 5.1), and of the kernel's own."""


def meaning(rule: PolicyRule) -> str:
    """What one of our rules, or of the kernel's, is for (spec 5.1); nothing for a stranger's."""
    if rule.table == LOCAL_TABLE:
        return "what is this node's own"
    if rule.priority == wiring.TO_POD:
        return "to the pods of this node"
    if rule.priority == wiring.FROM_POD:
        by = (
            "the pod's address" if rule.source is not None else "the mark that the compact layout's map gives"
        )
        return f"the ENI that the pod is on, by {by}"
    known = {
        BY_MARK: "the connection leaves by the primary ENI",
        TO_SERVICE: "an external service leaves by the primary ENI",
        FROM_ENI: "from the ENI's own address",
        KERNELS_MAIN: "the kernel's own, for the main table",
    }
    return known.get(rule.priority, "")


def choice(host: Network, way: Way, packet: Packet) -> str:
    """Which way was chosen."""
    if way.route is None or way.local:
        return f"{packet.destination} is this node's own address"
    names = " or ".join(dict.fromkeys(host.name_of(hop.index) for hop in way.hops))
    mark = f", with mark {packet.mark:#x}" if packet.mark else ""
    return f"table {table_of(way.route)} sends it by {names}{mark}"


def table_of(route: TableRoute) -> str:
    """A table's name."""
    return table_name(route.table)


def no_snat_because(hits: Sequence[Hit]) -> str:
    """Why the source stays."""
    let_off = next((hit for hit in hits if SNAT_CHAIN in hit.where and hit.effect == "RETURN"), None)
    if let_off is None:
        accepted = next(
            (hit for hit in hits if hit.where.startswith("nat ") and hit.effect == "ACCEPT"), None
        )
        if accepted is not None:
            return f"a rule of {accepted.where} lets it out as it is"
        return "no rule translates it"
    if "EXCLUSION" in let_off.rule:
        return "its destination is excluded from SNAT (AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS)"
    return "its destination is in one of the VPC's CIDRs"


def veth_to(host: Network, address: IPv4Address) -> Device | None:
    """The veth that the host's route to a pod's address leads to, in either layout."""
    for table in (PODS_TABLE, MAIN_TABLE):
        for route in look_up_table(host, table, address):
            if route.destination.prefixlen == 32 and len(route.hops) == 1:
                device = host.device(route.hops[0].index)
                if device is not None and device.kind in ("veth", ""):
                    return device
    return None


def source_for(host: Network, way: Way) -> IPv4Address:
    """What the node's own packets by that way have as their source."""
    if way.route is not None and way.route.source is not None:
        return way.route.source
    if way.local and way.route is not None:
        return way.route.destination.network_address
    for hop in way.hops:
        on = [held for held in host.addresses if held.index == hop.index and not held.secondary]
        near = [held for held in on if hop.gateway is not None and hop.gateway in held.interface.network]
        for held in near or on:
            return held.interface.ip
    # a device without any, as a pod's host end: the first address of any device that is good beyond this host
    return next((held.interface.ip for held in host.addresses if held.scope < LINK_SCOPE), UNSPECIFIED)
