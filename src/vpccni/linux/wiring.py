"""What a pod's network is to be: names, numbers, rules and routes, as values (spec 4.5, 4.6, 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from vpccni.ipam.values import MAIN_TABLE, Address, single
from vpccni.linux.addresses import Neighbour
from vpccni.linux.errors import KernelError
from vpccni.linux.family import Family
from vpccni.linux.routes import Route, link_scope
from vpccni.linux.rules import Rule

TO_POD, FROM_POD = 512, 1536
"""Priorities of the rules to and from a pod (spec 5.1)."""
GATEWAY = IPv4Address("169.254.1.1")
"""What a pod takes for its router: the host's end of its veth pair (spec 4.5). Each further interface has the next."""
GATEWAY6 = IPv6Address("fe80::1")
"""The same of IPv6."""
FROM_INTERFACE = 1
"""Priority of the rule inside a pod that sends what an interface's address sends by that interface (spec 4.5)."""


class VethPair(Protocol):
    """Two ends and what they carry."""

    @property
    def host_veth(self) -> str:
        """The host's end."""

    @property
    def interface(self) -> str:
        """The pod's end."""

    @property
    def mtu(self) -> int:
        """Bytes."""


@dataclass(frozen=True, slots=True)
class PodWiring:
    """What one pod's network is to be."""

    pod: str
    """Namespace and name, for people."""
    host_veth: str
    interface: str
    """The pod's end: CNI_IFNAME."""
    address: Address
    table: int
    """The routing table of the address's ENI; 254 for the primary's."""
    mtu: int = 9001
    number: int = 0
    """Which of the pod's interfaces: all but the first have a table of that number inside the pod."""

    @property
    def family(self) -> Family:
        """The address's."""
        return Family.of(self.address)

    @property
    def gateway(self) -> Address:
        """The interface's router."""
        return (GATEWAY if self.family is Family.IPV4 else GATEWAY6) + self.number

    @property
    def inner_table(self) -> int:
        """The pod's own table for what leaves by this interface."""
        return self.number or MAIN_TABLE


@dataclass(frozen=True, slots=True)
class Wired:
    """What the kernel made of it."""

    host_index: int
    host_mac: str
    container_index: int
    container_mac: str


class WiringError(KernelError):
    """A pod could not be connected; everything that was done for it is undone. The text names the pod and the cause."""


def inner_routes(wiring: PodWiring, index: int) -> tuple[Route, Route]:
    """The pod's two routes: to the gateway, and by it to everything (spec 4.5)."""
    return (
        Route(single(wiring.gateway), wiring.inner_table, index, scope=link_scope(wiring.family)),
        Route(None, wiring.inner_table, index, gateway=wiring.gateway),
    )


def inner_rules(wiring: PodWiring) -> tuple[Rule, ...]:
    """What the first interface does not need: its routes are the main table's."""
    if not wiring.number:
        return ()
    return (Rule(FROM_INTERFACE, wiring.inner_table, source=single(wiring.address)),)


def inner_neighbour(wiring: PodWiring, index: int, host_mac: str) -> Neighbour:
    """The pod's gateway is the host's end, for good: nobody has to answer for 169.254.1.1 (or fe80::1)."""
    return Neighbour(index, wiring.gateway, host_mac)


def outer_neighbour(wiring: PodWiring, index: int, pod_mac: str) -> tuple[Neighbour, ...]:
    """Of IPv6 the host knows the pod for good, too.

    To ask for it the host's end would need a link-local address, which it may use a second after it is up.
    """
    return (Neighbour(index, wiring.address, pod_mac),) if wiring.family is Family.IPV6 else ()


def pod_of(rule: Rule) -> Address | None:
    """Whose rule it is, if it has the shape of a pod's."""
    if rule.mark is not None:
        return None
    if rule.priority == TO_POD and rule.source is None:
        subject = rule.destination
    elif rule.priority == FROM_POD and rule.destination is None:
        subject = rule.source
    else:
        return None
    alone = subject is not None and subject.prefixlen == subject.max_prefixlen
    return subject.network_address if subject is not None and alone else None
