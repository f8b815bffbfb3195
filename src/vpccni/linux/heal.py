"""The node's network made as wanted, by its parts: what a start does step by step, as one look and its difference."""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.values import MAIN_TABLE, Eni
from vpccni.linux.branch_layout import BY_BRANCH, is_branch_table
from vpccni.linux.eni import settle_eni
from vpccni.linux.family import Family
from vpccni.linux.host import HostSettings, settle_host_rules, settle_nat
from vpccni.linux.layout import PODS_TABLE
from vpccni.linux.leftovers import Leftovers, keep_pods, leftovers, remove_leftovers
from vpccni.linux.links import links
from vpccni.linux.news import Part
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import listing
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import TO_POD, PodWiring

LOCAL_TABLE = 255


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that the node's network is to be."""

    host: HostSettings
    enis: tuple[Eni, ...]
    """Those whose devices were set up, the primary one or not."""
    pods: tuple[PodWiring, ...]
    sources: Sources | None = None
    """The compact layout's map; None: the layout is the compatible one."""

    @property
    def macs(self) -> frozenset[str]:
        """Of the ENIs' devices."""
        return frozenset({self.host.primary_mac, *(eni.mac for eni in self.enis)})

    @property
    def tables(self) -> frozenset[int]:
        """Routing tables in which the routes are ours."""
        return frozenset({PODS_TABLE, *(eni.route_table for eni in self.enis)} - {MAIN_TABLE})


def heal(netlink: Netlink, wanted: Wanted, part: Part) -> list[str]:
    """Mend what differs; returns the changes in words. Links of nobody are left to the next start. Raises OSError."""
    changes: list[str] = []
    by_mac = {
        link.mac: link for link in reversed(links(netlink))
    }  # of several the oldest: others are stacked on it
    primary = by_mac.get(wanted.host.primary_mac)
    if Part.ROUTING in part:
        if primary is not None:
            changes += settle_host_rules(netlink, wanted.host, primary)
        for eni in wanted.enis:
            # a device that is not there was detached, or is on its way: whoever attached it waits for it
            if eni.route_table != MAIN_TABLE and eni.mac in by_mac:
                changes += settle_eni(netlink, by_mac[eni.mac], eni, wanted.host.mtu)
        family = wanted.host.family
        changes += keep_pods(netlink, wanted.pods, wanted.sources, family)
        found = leftovers(
            netlink, wanted.host.veth_prefix, wanted.pods, sources=wanted.sources, family=family
        )
        changes += remove_leftovers(
            netlink, Leftovers(found.rules, found.routes, sources=found.sources), family
        )
    if Part.NAT in part and primary is not None:
        changes += settle_nat(wanted.host, primary)
    return changes


def strangers_in_front(netlink: Netlink, family: Family = Family.IPV4) -> list[str]:
    """Rules that are asked before those to pods and are neither the kernel's nor ours: not touched, but to be known of."""
    return [
        f"rule {entry.rule} of somebody else's comes before the rules of the pods, whose packets may follow it"
        for entry in listing(netlink, family)
        if entry.rule.priority < TO_POD
        and entry.rule.table != LOCAL_TABLE
        and not (entry.rule.priority == BY_BRANCH and is_branch_table(entry.rule.table))
    ]
