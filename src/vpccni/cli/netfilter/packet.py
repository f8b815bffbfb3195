"""A packet on its way through the hooks, and what each rule did to it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address


class Hook(enum.Enum):
    """The kernel's five places, by nftables' names."""

    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"


PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, as it is at one place."""

    source: IPv4Address
    destination: IPv4Address
    protocol: str = "tcp"
    source_port: int = 0
    destination_port: int = 0
    iif: str = ""
    oif: str = ""
    mark: int = 0
    ct_mark: int = 0
    """The connection's mark."""

    @property
    def number(self) -> int:
        """Its protocol's."""
        return PROTOCOLS[self.protocol]


class Verdict(enum.Enum):
    """What a hook comes to."""

    ACCEPT = "accepted"
    DROP = "dropped"
    REJECT = "rejected"


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched and did something, or let the packet off a chain."""

    where: str
    """Which table and chain, of which packet filter."""
    rule: str
    effect: str
    """In words: "RETURN", "source becomes 10.0.0.1", …"""


AddressKind = Callable[[IPv4Address, str | None], str]
"""What an address is to this host: LOCAL, UNICAST, BROADCAST or MULTICAST; on one device only if that is given."""


@dataclass(slots=True)
class Walk:
    """One packet's walk through hooks. `choices` tells how many random rules are passed over before one is taken."""

    packet: Packet
    kind_of: AddressKind
    choices: int = 0
    hits: list[Hit] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    randoms: int = 0
    """Rules met that match by chance."""
    translated: set[str] = field(default_factory=set)
    """"source" and "destination": the kernel asks no more NAT rules of that sort then."""
    verdict: Verdict = Verdict.ACCEPT

    def change(self, **changes: object) -> None:
        """The packet is another from here on."""
        self.packet = replace(self.packet, **changes)  # type: ignore[arg-type]

    def hit(self, where: str, rule: str, effect: str) -> None:
        """Note it."""
        self.hits.append(Hit(where, rule, effect))

    def doubt(self, text: str) -> None:
        """Note, once, what cannot be known."""
        if text not in self.doubts:
            self.doubts.append(text)

    def by_chance(self) -> bool:
        """A rule that matches by chance: whether it is taken in this walk."""
        self.randoms += 1
        return self.randoms > self.choices

    def one_of(self, count: int) -> int:
        """Something is chosen of so many by chance: which one is taken in this walk."""
        self.randoms = max(self.randoms, count - 1)
        return min(self.choices, count - 1)

    def translate(
        self, where: str, rule: str, side: str, address: IPv4Address | None, port: int | None
    ) -> None:
        """NAT of "source" or "destination"."""
        self.translated.add(side)
        changes: dict[str, object] = {}
        if address is not None:
            changes[side] = address
        if port is not None:
            changes[f"{side}_port"] = port
        text = f"{address if address is not None else getattr(self.packet, side)}"
        self.change(**changes)
        self.hit(where, rule, f"{side} becomes {text}" + (f" port {port}" if port is not None else ""))


NAT_SIDE = {
    Hook.PREROUTING: "destination",
    Hook.OUTPUT: "destination",
    Hook.POSTROUTING: "source",
    Hook.INPUT: "source",
}
"""What NAT changes at each hook."""
