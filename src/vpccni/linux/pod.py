"""A pod's network: a veth pair, one address, two routes and a neighbour inside; a route and one or two rules outside.

Everything that can be is made in batches: three sends for a pod (kernel-and-lab 5). The inside is reached over a netlink
socket that was opened there, so neither setns nor CAP_SYS_ADMIN is needed. Spec 4.5, 4.6, 4.8.
"""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from vpccni.linux import messages as nl
from vpccni.linux.messages import MAIN, Rule, Scope
from vpccni.linux.rtnl import Netlink

TO_POD, FROM_POD = 512, 1536
"""Priorities of the rules to and from a pod (spec 5.1)."""
GATEWAY = IPv4Address("169.254.1.1")
VETH_SYSCTLS = (("accept_ra", b"0"), ("accept_redirects", b"1"), ("forwarding", b"0"))
LOOPBACK = 1
"""lo is the first device of every namespace."""
REAPED = 0x76706363
"""The interface group of links that wait to be removed."""


@dataclass(frozen=True, slots=True)
class PodWiring:
    """What a pod's network is to be."""

    pod: str
    host_veth: str
    interface: str
    address: IPv4Address
    table: int
    """The routing table of the address's ENI; 254 for the primary's."""
    mtu: int = 9001


class WiringError(OSError):
    """A pod could not be connected; everything that was done for it is undone."""


def wire(host: Netlink, pod: Netlink, netns: int, wiring: PodWiring, sysctl_dir: int | None = None) -> None:
    """Connect the sandbox. What an earlier, interrupted try left is replaced. Raises WiringError."""
    mac = _random_mac()
    try:
        _replace_link(host, pod, netns, wiring, mac)
        _configure_inside(pod, wiring, mac)
        _configure_outside(host, wiring, sysctl_dir)
    except OSError as error:
        unwire(host, wiring.address, wiring.host_veth, wiring.table)
        raise WiringError(error.errno, f"pod {wiring.pod}: {error}") from error


def unwire(host: Netlink, address: IPv4Address, host_veth: str | None, table: int | None = None) -> None:
    """Take the rules, the route and the link away; what is not there is fine.

    With the ENI's table known this costs the same with ten pods as with a thousand; without it the rules are searched.
    """
    network = IPv4Network(address)
    if table is None:
        rules = [rule for rule in nl.rules(host) if network in subjects(rule)]
    else:
        rules = [Rule(TO_POD, MAIN, destination=network), Rule(FROM_POD, table, source=network)]
    host.run([*(nl.delete_rule(rule) for rule in rules), nl.delete_host_route(address)])
    if host_veth is not None:
        bury(host, host_veth)


def bury(host: Netlink, host_veth: str) -> None:
    """Take a link out of use and leave its removal, which waits 24 ms for the kernel, to `reap`.

    Renamed, so that the pod's name is free for its next sandbox at once.
    """
    link = nl.link_named(host, host_veth)
    if link is None:
        return
    rename = nl.set_link(link.index, name=f"gone{link.index:x}", group=REAPED)
    [error] = host.attempt([rename])
    if (
        error is not None and error.errno == errno.EBUSY
    ):  # before Linux 6.2 only a link that is down can be renamed
        host.run([nl.set_link(link.index, up=False), rename])
    elif error is not None and error.errno != errno.ENODEV:
        raise error


def reap(host: Netlink) -> None:
    """Remove every buried link in one wait of the kernel."""
    host.run([nl.delete_group(REAPED)])


def host_rules(wiring: PodWiring) -> tuple[Rule, ...]:
    """The rules that the pod's packets follow (spec 4.6)."""
    network = IPv4Network(wiring.address)
    to_pod = Rule(TO_POD, MAIN, destination=network)
    return (to_pod,) if wiring.table == MAIN else (to_pod, Rule(FROM_POD, wiring.table, source=network))


def subjects(rule: Rule) -> tuple[IPv4Network, ...]:
    """Whose rule it is, if it is a pod's."""
    if rule.priority == TO_POD and rule.destination is not None and rule.source is None:
        return (rule.destination,)
    if rule.priority == FROM_POD and rule.source is not None:
        return (rule.source,)
    return ()


def check(host: Netlink, pod: Netlink, wiring: PodWiring) -> list[str]:
    """Every difference from what `wire` makes, in words."""
    differences: list[str] = []
    outside = nl.link_named(host, wiring.host_veth)
    if outside is None:
        differences.append(f"the host has no link {wiring.host_veth}")
    elif not outside.up:
        differences.append(f"{wiring.host_veth} is down")
    present = nl.rules(host)
    differences.extend(f"rule {rule} is missing" for rule in host_rules(wiring) if rule not in present)
    network = IPv4Network(wiring.address)
    routed = [route for route in nl.routes(host, MAIN) if route.destination == network]
    if not routed:
        differences.append(f"the host has no route to {wiring.address}")
    elif outside is not None and routed[0].index != outside.index:
        differences.append(f"the host's route to {wiring.address} does not lead to {wiring.host_veth}")
    inside = nl.link_named(pod, wiring.interface)
    if inside is None:
        return [*differences, f"the pod has no link {wiring.interface}"]
    if not inside.up:
        differences.append(f"{wiring.interface} of the pod is down")
    if inside.mtu != wiring.mtu:
        differences.append(f"{wiring.interface} of the pod has MTU {inside.mtu}, not {wiring.mtu}")
    held = [str(address.interface) for address in nl.addresses(pod, inside.index)]
    if held != [f"{wiring.address}/32"]:
        differences.append(
            f"{wiring.interface} of the pod holds {', '.join(held) or 'no address'}, not {wiring.address}/32"
        )
    inner = nl.routes(pod, MAIN)
    differences.extend(
        f"the pod's route {route} is missing" for route in _inner_routes(inside.index) if route not in inner
    )
    return differences


def _replace_link(host: Netlink, pod: Netlink, netns: int, wiring: PodWiring, mac: bytes) -> None:
    make = nl.add_veth(
        wiring.host_veth,
        mac,
        wiring.mtu,
        peer=wiring.interface,
        peer_netns=netns,
        peer_mtu=wiring.mtu,
    )
    [error] = host.attempt([make])
    if error is not None and error.errno == errno.EEXIST:
        # an earlier sandbox of this pod, or an earlier try in this one: the names must be free on both sides
        bury(host, wiring.host_veth)
        inside = nl.link_named(pod, wiring.interface)
        if inside is not None:
            pod.run([nl.delete_link(inside.index)])
        [error] = host.attempt([make])
    if error is not None:
        raise error


def _configure_inside(pod: Netlink, wiring: PodWiring, mac: bytes) -> None:
    inside = nl.link_named(pod, wiring.interface)
    if inside is None:
        raise OSError(errno.ENODEV, f"{wiring.interface} was just made and is gone")
    to_gateway, default = _inner_routes(inside.index)
    pod.run(
        [
            nl.set_link(LOOPBACK, up=True),
            nl.set_link(inside.index, up=True),
            nl.put_route(to_gateway),
            nl.put_route(default),
            nl.add_address(inside.index, IPv4Interface(wiring.address)),
            nl.put_neighbour(inside.index, GATEWAY, mac.hex(":")),
        ]
    )


def _inner_routes(index: int) -> tuple[nl.Route, nl.Route]:
    return (
        nl.Route(IPv4Network(GATEWAY), MAIN, index, scope=Scope.LINK),
        nl.Route(None, MAIN, index, gateway=GATEWAY),
    )


def _configure_outside(host: Netlink, wiring: PodWiring, sysctl_dir: int | None) -> None:
    link = nl.link_named(host, wiring.host_veth)
    if link is None:
        raise OSError(errno.ENODEV, f"{wiring.host_veth} was just made and is gone")
    _write_sysctls(wiring.host_veth, sysctl_dir)
    network = IPv4Network(wiring.address)
    wanted = host_rules(wiring)
    host.run(
        [
            nl.set_link(link.index, up=True),
            nl.put_route(nl.Route(network, MAIN, link.index, scope=Scope.LINK)),
            *(nl.add_rule(rule) for rule in wanted),
        ]
    )


def _write_sysctls(host_veth: str, sysctl_dir: int | None) -> None:
    """Before the link is up (spec 4.5). A kernel without IPv6 has no such files."""
    for name, value in VETH_SYSCTLS:
        path = (
            f"{host_veth}/{name}" if sysctl_dir is not None else f"/proc/sys/net/ipv6/conf/{host_veth}/{name}"
        )
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=sysctl_dir)
        except FileNotFoundError:
            return
        try:
            os.write(fd, value)
        finally:
            os.close(fd)


def _random_mac() -> bytes:
    """Locally administered and unicast; 46 random bits need no look at the other links (spec 11.5 number 45)."""
    mac = bytearray(secrets.token_bytes(6))
    mac[0] = mac[0] & 0xFE | 0x02
    return bytes(mac)
