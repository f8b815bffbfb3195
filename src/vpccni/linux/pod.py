"""Connects a pod and takes it away: a veth pair, one address, two routes and a neighbour inside; a route and rules outside.

Everything that can be is made in batches (kernel-and-lab 5). The inside is reached over a netlink socket that was opened
there, so neither setns nor CAP_SYS_ADMIN is needed. Spec 4.5, 4.6, 4.8.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface

from vpccni.ipam.values import MAIN_TABLE, Address, single
from vpccni.linux.addresses import put_address, put_neighbour
from vpccni.linux.check import check
from vpccni.linux.compact import settle_shared
from vpccni.linux.errors import KernelError
from vpccni.linux.family import Family
from vpccni.linux.graveyard import REAPED, bury, reap
from vpccni.linux.layout import PODS_TABLE, layout_of, pod_route, pod_rules
from vpccni.linux.links import Link, add_veth, delete_link, link_named, link_numbered, set_link
from vpccni.linux.routes import delete_pod_route, put_route
from vpccni.linux.rtnl import GONE, Netlink
from vpccni.linux.rules import ANY_TABLE, Rule, add_rule, delete_rule
from vpccni.linux.sources import Sources
from vpccni.linux.sysctl import settle_sysctls
from vpccni.linux.wiring import (
    FROM_POD,
    TO_POD,
    PodWiring,
    VethPair,
    Wired,
    WiringError,
    inner_neighbour,
    inner_routes,
    inner_rules,
    outer_neighbour,
)

__all__ = [
    "PodWiring",
    "Wired",
    "WiringError",
    "check",
    "configure_inside",
    "configure_outside",
    "delete_all",
    "every_rule_of",
    "make_pair",
    "quiet",
    "reap",
    "unwire",
    "wire",
    "wired",
]

LOOPBACK = 1
"""lo is the first device of every namespace."""
VETH_SYSCTLS = {"accept_ra": "0", "accept_redirects": "1", "forwarding": "0"}
"""Of IPv6, at the host's end, before it is up (spec 4.5)."""
SAME_RULE_MOST = 100
"""Older rules of one address that are removed before we ask what is going on."""


def wire(
    host: Netlink,
    pod: Netlink,
    netns: int,
    wiring: PodWiring,
    sysctl_dir: int | None = None,
    sources: Sources | None = None,
    pod_sysctls: int | None = None,
) -> Wired:
    """Connect the sandbox whose namespace is `netns` and in which `pod` was opened.

    A pod that is connected rightly is left as it is; what an interrupted try or an earlier sandbox of the same pod left is
    replaced, and so is an older rule or route that names the address. `sysctl_dir` is an open /proc/sys/net/ipv6/conf, `pod_sysctls` the sandbox's.
    `sources` is the compact layout's map of ENIs; None: the layout is the compatible one. Raises WiringError after undoing all of it.
    """
    try:
        outside, inside = make_pair(host, pod, netns, wiring, lambda: check(host, pod, wiring, sources) == [])
        if not outside.up:
            configure_inside(pod, wiring, outside, inside, pod_sysctls)
            configure_outside(host, wiring, outside.index, sysctl_dir, sources, inside.mac)
    except OSError as error:
        undone = _undo(host, wiring, sources)
        raise WiringError(error.errno, f"pod {wiring.pod}: {error}{undone}") from error
    return wired(outside, inside)


def unwire(
    host: Netlink,
    address: Address,
    host_veth: str | None,
    table: int | None = None,
    sources: Sources | None = None,
) -> None:
    """Take the rules, the route and the link away at once, the link's removal excepted, which `reap` does.

    What is not there is fine. `table` is the ENI's routing table; None: rules from the pod to any table. `host_veth` None:
    the link is not this address's any more. Costs the same with ten pods as with a thousand. Raises OSError.
    """
    network = single(address)
    rules = [Rule(TO_POD, MAIN_TABLE, destination=network)]
    if table != MAIN_TABLE:
        rules.append(Rule(FROM_POD, ANY_TABLE if table is None else table, source=network))
    delete_all(host, rules)
    host.run([delete_pod_route(address, MAIN_TABLE if sources is None else PODS_TABLE)])
    if sources is not None and isinstance(address, IPv4Address):
        sources.remove(address)
    if host_veth is not None:
        bury(host, host_veth)


def make_pair(
    host: Netlink, pod: Netlink, netns: int, wiring: VethPair, is_right: Callable[[], bool]
) -> tuple[Link, Link]:
    """Both ends; the host's is up only if the pod was wired before, and rightly so. Raises OSError."""
    make = add_veth(
        wiring.host_veth,
        _random_mac(),
        wiring.mtu,
        peer=wiring.interface,
        peer_netns=netns,
        peer_mtu=wiring.mtu,
    )
    [error] = host.attempt([make])
    if error is not None and error.errno != errno.EEXIST:
        raise error
    if error is not None and not is_right():
        # an earlier sandbox of this pod, or an earlier try in this one: the names must be free on both sides
        bury(host, wiring.host_veth)
        _free_inside(host, pod, wiring.interface)
        host.run([make])
    outside, inside = link_named(host, wiring.host_veth), link_named(pod, wiring.interface)
    if outside is None or inside is None or (inside.peer, outside.peer) != (outside.index, inside.index):
        # the plugin's two descriptors are of two namespaces, or the sandbox ended: in neither case may we go on
        raise KernelError(
            errno.ENXIO, f"{wiring.interface} in the sandbox is not the other end of {wiring.host_veth}"
        )
    return outside, inside


def _free_inside(host: Netlink, pod: Netlink, interface: str) -> None:
    inside = link_named(pod, interface)
    if inside is None:
        return
    other = link_numbered(host, inside.peer) if inside.peer else None
    if other is None or other.group != REAPED or other.peer != inside.index:
        raise KernelError(errno.EEXIST, f"the sandbox has a link {interface} that we did not make")
    pod.run([delete_link(inside.index)])


def configure_inside(
    pod: Netlink, wiring: PodWiring, outside: Link, inside: Link, pod_sysctls: int | None = None
) -> None:
    """What a pod has in its own namespace. Raises OSError."""
    if wiring.family is Family.IPV6 and pod_sysctls is not None:
        on = {f"{name}/disable_ipv6": "0" for name in (wiring.interface, "lo")}
        settle_sysctls(on, directory=pod_sysctls)
    to_gateway, default = inner_routes(wiring, inside.index)
    pod.run(
        [
            set_link(LOOPBACK, up=True),
            set_link(inside.index, up=True),
            put_route(to_gateway),
            put_route(default),
            put_address(inside.index, _alone(wiring.address)),
            put_neighbour(inner_neighbour(wiring, inside.index, outside.mac)),
            *(add_rule(rule) for rule in inner_rules(wiring)),
        ]
    )


def configure_outside(
    host: Netlink,
    wiring: PodWiring,
    index: int,
    sysctl_dir: int | None,
    sources: Sources | None,
    pod_mac: str = "",
) -> None:
    """What the host has for a pod, its link's being up at last. Raises OSError."""
    quiet(wiring.host_veth, sysctl_dir)
    # while the link is still down: no packet of this pod may meet what was another's
    delete_all(host, every_rule_of(wiring.address))
    if sources is not None:
        _choose_eni(host, wiring, sources)
    layout = layout_of(sources)
    host.run(
        [
            set_link(index, up=True),
            put_route(pod_route(layout, wiring, index)),
            *(put_neighbour(one) for one in outer_neighbour(wiring, index, pod_mac)),
            *(add_rule(rule) for rule in pod_rules(layout, wiring)),
        ]
    )


def quiet(link: str, sysctl_dir: int | None) -> None:
    """Nobody's IPv6 router is believed on a device of the host's. Raises OSError."""
    base = link if sysctl_dir is not None else f"net/ipv6/conf/{link}"
    settle_sysctls({f"{base}/{name}": value for name, value in VETH_SYSCTLS.items()}, directory=sysctl_dir)


def every_rule_of(address: Address) -> list[Rule]:
    """To and from a pod, whatever tables they lead to."""
    network = single(address)
    return [Rule(TO_POD, ANY_TABLE, destination=network), Rule(FROM_POD, ANY_TABLE, source=network)]


def _alone(address: Address) -> IPv4Interface | IPv6Interface:
    return IPv4Interface(address) if isinstance(address, IPv4Address) else IPv6Interface(address)


def _choose_eni(host: Netlink, wiring: PodWiring, sources: Sources) -> None:
    if not isinstance(wiring.address, IPv4Address):
        return
    if wiring.table == MAIN_TABLE:
        sources.remove(wiring.address)
        return
    if wiring.table not in sources.numbers:  # the first pod of an ENI
        settle_shared(host, sources, {wiring.table})
    sources.put(wiring.address, wiring.table)


def delete_all(host: Netlink, rules: list[Rule]) -> None:
    """Every rule that answers to one of these: each is asked for until the kernel says that there is none (spec 4.8)."""
    left = rules
    for _ in range(SAME_RULE_MOST):
        outcomes = host.attempt([delete_rule(rule) for rule in left])
        for error in outcomes:
            if error is not None and error.errno not in GONE:
                raise error
        left = [rule for rule, error in zip(left, outcomes, strict=True) if error is None]
        if not left:
            return
    raise KernelError(errno.EBUSY, f"somebody adds rule {left[0]} again and again")


def _undo(host: Netlink, wiring: PodWiring, sources: Sources | None) -> str:
    """Nothing is left of a pod that could not be connected; in words, what could not be undone."""
    try:
        unwire(host, wiring.address, None, sources=sources)
        link = link_named(host, wiring.host_veth)
        if (
            link is not None
        ):  # at once, and with it the end inside: the runtime may try again in the same sandbox
            host.run([delete_link(link.index)])
    except OSError as error:
        return f"; and it could not be undone: {error}"
    return ""


def wired(outside: Link, inside: Link) -> Wired:
    """Both ends, for the answer."""
    return Wired(outside.index, outside.mac, inside.index, inside.mac)


def _random_mac() -> bytes:
    """Locally administered and unicast; 46 random bits need no look at the other links (spec 11.5 number 45)."""
    mac = bytearray(secrets.token_bytes(6))
    mac[0] = mac[0] & 0xFE | 0x02
    return bytes(mac)
