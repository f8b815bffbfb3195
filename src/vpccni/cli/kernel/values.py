"""Links, addresses, policy rules and routes of IPv4, with everything by which the kernel chooses."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

EVERYWHERE = IPv4Network("0.0.0.0/0")
LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = 255, 254, 253
TABLE_NAMES = {LOCAL_TABLE: "local", MAIN_TABLE: "main", DEFAULT_TABLE: "default"}


@dataclass(frozen=True, slots=True)
class Device:
    """A network device."""

    index: int
    name: str
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    carrier: bool = True
    """False: its other end is down or gone."""
    kind: str = ""
    """What the kernel calls its sort: veth, vlan, bridge, …; nothing for hardware."""
    group: int = 0
    peer: int = 0
    """A veth's other end, by its index there."""
    peer_namespace: int | None = None
    """The namespace where that is, by the number that it has here."""


@dataclass(frozen=True, slots=True)
class Held:
    """An address of a device."""

    index: int
    interface: IPv4Interface
    scope: int = 0
    secondary: bool = False


class Action(enum.IntEnum):
    """What a policy rule does with what it matches."""

    TABLE = 1
    GOTO = 2
    NOTHING = 3
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A policy rule with all its selectors; what is None selects nothing."""

    priority: int
    action: Action = Action.TABLE
    table: int = 0
    source: IPv4Network | None = None
    destination: IPv4Network | None = None
    mark: int = 0
    mask: int = 0
    iif: str | None = None
    oif: str | None = None
    tos: int = 0
    protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    uids: tuple[int, int] | None = None
    goto: int | None = None
    inverted: bool = False
    suppress_length: int | None = None
    """A route with so short a prefix, or a shorter one, does not count."""
    unread: frozenset[int] = frozenset()
    """Selectors, by the kernel's numbers, that we do not know."""

    def __str__(self) -> str:
        words = [f"{self.priority}:", *(["not"] if self.inverted else [])]
        words.append(f"from {self.source or 'all'}")
        words += [f"to {self.destination}"] if self.destination else []
        words += [f"tos {self.tos:#x}"] if self.tos else []
        if self.mark or self.mask:
            words.append(f"fwmark {self.mark:#x}" + (f"/{self.mask:#x}" if self.mask != 0xFFFFFFFF else ""))
        words += [f"iif {self.iif}"] if self.iif else []
        words += [f"oif {self.oif}"] if self.oif else []
        words += [f"ipproto {self.protocol}"] if self.protocol is not None else []
        words += [f"sport {_range(self.source_ports)}"] if self.source_ports else []
        words += [f"dport {_range(self.destination_ports)}"] if self.destination_ports else []
        words += [f"uidrange {self.uids[0]}-{self.uids[1]}"] if self.uids else []
        match self.action:
            case Action.TABLE:
                words.append(f"lookup {table_name(self.table)}")
            case Action.GOTO:
                words.append(f"goto {self.goto}")
            case Action.NOTHING:
                words.append("nop")
            case other:
                words.append(other.name.lower())
        words += [f"suppress_prefixlength {self.suppress_length}"] if self.suppress_length is not None else []
        return " ".join(words)


class Kind(enum.IntEnum):
    """What becomes of a packet that a route matches."""

    UNICAST = 1
    LOCAL = 2
    BROADCAST = 3
    ANYCAST = 4
    MULTICAST = 5
    BLACKHOLE = 6
    UNREACHABLE = 7
    PROHIBIT = 8
    THROW = 9
    OTHER = 0


@dataclass(frozen=True, slots=True)
class Hop:
    """One next hop of a route."""

    index: int
    gateway: IPv4Address | None = None
    dead: bool = False


@dataclass(frozen=True, slots=True)
class TableRoute:
    """A route of whatever table."""

    destination: IPv4Network
    table: int
    kind: Kind = Kind.UNICAST
    hops: tuple[Hop, ...] = ()
    metric: int = 0
    tos: int = 0
    scope: int = 0
    source: IPv4Address | None = None
    """What the node's own packets by it have as their source."""


@dataclass(frozen=True, slots=True)
class Network:
    """One network namespace at one moment. Rules are in the kernel's order."""

    devices: tuple[Device, ...] = ()
    addresses: tuple[Held, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    routes: tuple[TableRoute, ...] = ()

    def device(self, index: int) -> Device | None:
        """The device of that index."""
        return next((device for device in self.devices if device.index == index), None)

    def named(self, name: str) -> Device | None:
        """The device of that name."""
        return next((device for device in self.devices if device.name == name), None)

    def name_of(self, index: int) -> str:
        """A device's name, or its number if it went meanwhile."""
        device = self.device(index)
        return device.name if device is not None else f"#{index}"

    def holder(self, address: IPv4Address) -> Device | None:
        """The device that has the address."""
        return next(
            (self.device(held.index) for held in self.addresses if held.interface.ip == address), None
        )


def table_name(table: int) -> str:
    """As `ip` names it."""
    return TABLE_NAMES.get(table, str(table))


def route_text(route: TableRoute, network: Network) -> str:
    """A route as a person reads it."""
    where = "default" if route.destination == EVERYWHERE else str(route.destination)
    if where.endswith("/32"):
        where = where.removesuffix("/32")
    words = [where] if route.kind is Kind.UNICAST else [route.kind.name.lower(), where]
    for hop in route.hops:
        words += [f"via {hop.gateway}"] if hop.gateway else []
        words.append(f"dev {network.name_of(hop.index)}")
    return " ".join(words)


def _range(ports: tuple[int, int]) -> str:
    low, high = ports
    return str(low) if low == high else f"{low}-{high}"
