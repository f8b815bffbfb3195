"""An ENI on the host: its address, its table and its rule, as a wanted set (spec 5.4).

What is right already is not touched, so a restart of the agent is not noticed by the pods that use the ENI.
"""

from __future__ import annotations

import errno
import time
from ipaddress import IPv4Interface, IPv4Network

from vpccni.ipam.values import Eni
from vpccni.linux import messages as nl
from vpccni.linux.messages import MAIN, Link, Route, Rule, Scope
from vpccni.linux.rtnl import Netlink, NetlinkError

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
            found = [link for link in nl.links(netlink) if link.mac == mac.lower()]
            if found:
                return found[0]
            left = deadline - time.monotonic()
            if left <= 0 or not events.events(left):
                raise OSError(errno.ENODEV, f"no device with MAC {mac} appeared within {timeout:.0f} s")


def set_up_eni(netlink: Netlink, eni: Eni, mtu: int, timeout: float) -> list[str]:
    """Make a secondary ENI usable for its pods; returns what was changed. Raises OSError."""
    link = wait_for_link(eni.mac, timeout)
    changes: list[str] = []
    changes += set_mtu_and_up(netlink, link, mtu)
    own = IPv4Interface((eni.primary_address, eni.subnet_cidr.prefixlen))
    changes += _addresses(netlink, link, own)
    changes += _routes(netlink, eni, link)
    rule = own_rule(eni)
    if rule not in nl.rules(netlink):
        netlink.run([nl.add_missing_rule(rule)])
        changes.append(f"added rule {rule}")
    return changes


def tear_down_eni(netlink: Netlink, eni: Eni) -> None:
    """Remove the rules that the ENI's address is the source of, and its table's routes."""
    source = IPv4Network(eni.primary_address)
    requests = [
        nl.delete_rule(rule)
        for rule in nl.rules(netlink)
        if rule.source == source and rule.priority == FROM_ENI
    ]
    if eni.route_table != MAIN:
        requests += [nl.delete_route(route) for route in nl.routes(netlink, eni.route_table)]
    netlink.run(requests)


def own_rule(eni: Eni) -> Rule:
    """Traffic from the ENI's own address leaves by it."""
    return Rule(FROM_ENI, eni.route_table, source=IPv4Network(eni.primary_address))


def set_mtu_and_up(netlink: Netlink, link: Link, mtu: int) -> list[str]:
    """A device's MTU and state."""
    changes: list[str] = []
    if link.mtu != mtu:
        netlink.run([nl.set_link(link.index, mtu=mtu)])
        changes.append(f"set the MTU of {link.name} to {mtu}")
    if not link.up:
        netlink.run([nl.set_link(link.index, up=True)])
        changes.append(f"set {link.name} up")
    return changes


def _addresses(netlink: Netlink, link: Link, own: IPv4Interface) -> list[str]:
    changes: list[str] = []
    present = nl.addresses(netlink, link.index)
    # without the kernel's own route to the subnet: in main it would draw other traffic to this ENI (spec 5.4)
    right = [address for address in present if address.interface == own and not address.adds_route]
    for address in present:
        if address not in right:
            netlink.run([nl.delete_address(link.index, address.interface)])
            changes.append(f"removed {address.interface} from {link.name}")
    if not right:
        netlink.run([nl.add_address(link.index, own, adds_route=False)])
        changes.append(f"gave {own} to {link.name}")
    return changes


def _routes(netlink: Netlink, eni: Eni, link: Link) -> list[str]:
    wanted = (
        Route(IPv4Network(eni.gateway), eni.route_table, link.index, scope=Scope.LINK),
        Route(None, eni.route_table, link.index, gateway=eni.gateway),
    )
    present = nl.routes(netlink, eni.route_table)
    changes: list[str] = []
    for route in wanted:
        if route not in present:
            netlink.run([nl.put_route(route)])
            changes.append(f"put route {route}")
    for route in present:
        if route not in wanted and route.destination not in {w.destination for w in wanted}:
            netlink.run([nl.delete_route(route)])
            changes.append(f"removed route {route}")
    return changes


def is_missing_device(error: OSError) -> bool:
    """Whether the error is that the device is not there (yet)."""
    return error.errno == errno.ENODEV and not isinstance(error, NetlinkError)
