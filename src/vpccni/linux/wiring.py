"""What a pod's network is to be: names, numbers, rules and routes, as values (spec 4.5, 4.6, 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.addresses import Neighbour
from vpccni.linux.errors import KernelError
from vpccni.linux.routes import Route, Scope
from vpccni.linux.rules import Rule

TO_POD, FROM_POD = 512, 1536
"""Priorities of the rules to and from a pod (spec 5.1)."""
GATEWAY = IPv4Address("169.254.1.1")
"""What a pod takes for its router: the host's end of its veth pair (spec 4.5). Each further interface has the next."""
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
    address: IPv4Address
    table: int
    """The routing table of the address's ENI; 254 for the primary's."""
    mtu: int = 9001
    number: int = 0
    """Which of the pod's interfaces: all but the first have a table of that number inside the pod."""

    @property
    def gateway(self) -> IPv4Address:
        """The interface's router."""
        return GATEWAY + self.number

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
        Route(IPv4Network(wiring.gateway), wiring.inner_table, index, scope=Scope.LINK),
        Route(None, wiring.inner_table, index, gateway=wiring.gateway),
    )


def inner_rules(wiring: PodWiring) -> tuple[Rule, ...]:
    """What the first interface does not need: its routes are the main table's."""
    if not wiring.number:
        return ()
    return (Rule(FROM_INTERFACE, wiring.inner_table, source=IPv4Network(wiring.address)),)


def inner_neighbour(wiring: PodWiring, index: int, host_mac: str) -> Neighbour:
    """The pod's gateway is the host's end, for good: nobody has to answer for 169.254.1.1."""
    return Neighbour(index, wiring.gateway, host_mac)


def pod_of(rule: Rule) -> IPv4Address | None:
    """Whose rule it is, if it has the shape of a pod's."""
    if rule.mark is not None:
        return None
    if rule.priority == TO_POD and rule.source is None:
        subject = rule.destination
    elif rule.priority == FROM_POD and rule.destination is None:
        subject = rule.source
    else:
        return None
    return subject.network_address if subject is not None and subject.prefixlen == 32 else None
