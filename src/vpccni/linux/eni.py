"""An ENI on the host: its device, its address, its table and its rule, as a wanted set (spec 5.4).

What is right already is not touched, so a restart of the agent is not noticed by the pods that use the ENI.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network

from vpccni.ipam.values import MAIN_TABLE, Eni, EniRole
from vpccni.linux.addresses import addresses, delete_address, put_address
from vpccni.linux.errors import KernelError
from vpccni.linux.links import Link, links, set_link
from vpccni.linux.routes import Route, Scope, delete_route, put_route, routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, listing
from vpccni.linux.wanted import remove_rules, settle_rules

FROM_ENI = 32765
"""Priority of the rule that sends an ENI's own traffic out by it (spec 5.1)."""
LINK_EVENTS = 1
"""RTMGRP_LINK."""


def wait_for_link(mac: str, timeout: float) -> Link:
    """The device with that MAC, waiting for it to appear. Raises OSError (ENODEV) after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    # bound before the first look, so that a device that comes in between is not missed
    with Netlink(groups=LINK_EVENTS) as events, Netlink() as netlink:
        while True:
            link = link_with(netlink, mac)
            if link is not None:
                return link
            left = deadline - time.monotonic()
            if left <= 0 or not events.events(left):
                raise KernelError(errno.ENODEV, f"no device with MAC {mac} appeared within {timeout:.0f} s")


def link_with(netlink: Netlink, mac: str) -> Link | None:
    """The device with that MAC; of several the oldest, for the others are stacked on it (ipvlan, a VLAN)."""
    return next((link for link in links(netlink) if link.mac == mac.lower()), None)


def set_up_eni(netlink: Netlink, eni: Eni, mtu: int, timeout: float) -> list[str]:
    """Make a secondary ENI usable for its pods, waiting up to `timeout` seconds for its device.

    Returns what was changed, in words; nothing when all was right. Raises OSError.
    """
    if eni.route_table == MAIN_TABLE:
        raise KernelError(
            errno.EINVAL, f"{eni.id} is the primary ENI, whose network is the operating system's"
        )
    return settle_eni(netlink, wait_for_link(eni.mac, timeout), eni, mtu)


def settle_eni(netlink: Netlink, link: Link, eni: Eni, mtu: int) -> list[str]:
    """The same for a device that is known to be there."""
    own = IPv4Interface((eni.primary_address, eni.subnet_cidr.prefixlen))
    return [
        *set_mtu_and_up(netlink, link, mtu),
        *_addresses(netlink, link, own),
        *_main_table(netlink, link, own.network),
        *_own_table(netlink, link, eni),
        # a trunk's address is nobody's source: its branches have tables of their own (spec 5.4)
        *(settle_rules(netlink, [own_rule(eni)], lambda _: False) if eni.role is not EniRole.TRUNK else ()),
    ]


def tear_down_eni(netlink: Netlink, eni: Eni) -> list[str]:
    """Remove the rules that the ENI's address is the source of, and its routes; returns what was changed.

    Other routes of its table are not ours; a device that is gone already took its routes with it. Raises OSError.
    """
    source = IPv4Network(eni.primary_address)
    own = [
        entry.rule
        for entry in listing(netlink)
        if entry.whole and entry.rule == Rule(FROM_ENI, entry.rule.table, source=source)
    ]
    changes = remove_rules(netlink, own)
    link = link_with(netlink, eni.mac)
    if link is not None and eni.route_table != MAIN_TABLE:
        stale = [route for route in routes(netlink, eni.route_table) if route.index == link.index]
        netlink.run([delete_route(route) for route in stale])
        changes += [f"removed route {route}" for route in stale]
    return changes


def forget_gone_enis(netlink: Netlink, known: Iterable[Eni]) -> list[str]:
    """Remove the rules of ENIs that went while nobody looked; returns what was changed. Raises OSError.

    One of ours is told by its shape, and by its table being empty: the device took its routes with it.
    """
    ours = {own_rule(eni) for eni in known}
    gone = [
        entry.rule
        for entry in listing(netlink)
        if entry.whole
        and entry.rule not in ours
        and entry.rule.source is not None
        and entry.rule.source.prefixlen == 32
        and entry.rule == Rule(FROM_ENI, entry.rule.table, source=entry.rule.source)
        and (1 < entry.rule.table < 253 or entry.rule.table >= 10000)
        and not routes(netlink, entry.rule.table)
    ]
    return remove_rules(netlink, gone)


def own_rule(eni: Eni) -> Rule:
    """Traffic from the ENI's own address leaves by it."""
    return Rule(FROM_ENI, eni.route_table, source=IPv4Network(eni.primary_address))


def set_mtu_and_up(netlink: Netlink, link: Link, mtu: int) -> list[str]:
    """A device's MTU and state; returns what was changed."""
    changes: list[str] = []
    if link.mtu != mtu:
        netlink.run([set_link(link.index, mtu=mtu)])
        changes.append(f"set the MTU of {link.name} to {mtu}")
    if not link.up:
        netlink.run([set_link(link.index, up=True)])
        changes.append(f"set {link.name} up")
    return changes


def _addresses(netlink: Netlink, link: Link, own: IPv4Interface) -> list[str]:
    """Exactly its own; without the kernel's route to the subnet, which in main would draw the host's traffic to this ENI."""
    present = addresses(netlink, link.index)
    changes: list[str] = []
    if own not in present:
        netlink.run([put_address(link.index, own, adds_route=False)])
        changes.append(f"gave {own} to {link.name}")
    for other in present:
        if other != own:
            # ours is given once more: to the kernel it may have been a secondary of this one, and go with it
            netlink.run([delete_address(link.index, other), put_address(link.index, own, adds_route=False)])
            changes.append(f"removed {other} from {link.name}")
    return changes


def _main_table(netlink: Netlink, link: Link, subnet: IPv4Network) -> list[str]:
    """The route to its subnet that somebody else's address of this device made."""
    stray = Route(subnet, MAIN_TABLE, link.index, scope=Scope.LINK)
    found = [route for route in routes(netlink, MAIN_TABLE) if route == stray]  # of several metrics, perhaps
    netlink.run([delete_route(route) for route in found])
    return [f"removed route {route}" for route in found]


def _own_table(netlink: Netlink, link: Link, eni: Eni) -> list[str]:
    wanted = (
        Route(IPv4Network(eni.gateway), eni.route_table, link.index, scope=Scope.LINK),
        Route(None, eni.route_table, link.index, gateway=eni.gateway),
    )
    present = routes(netlink, eni.route_table)
    missing = [route for route in wanted if route not in present]
    netlink.run([put_route(route) for route in missing])
    return [f"put route {route}" for route in missing]
