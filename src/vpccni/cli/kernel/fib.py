"""Which way the kernel would choose for a packet: its policy rules in order, in each table the longest prefix.

Pure, over a dump; what is here was compared with the kernel's own answers on random rules (tests/cli/test_fib_kernel.py).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from vpccni.cli.kernel.values import LOCAL_TABLE, Action, Hop, Kind, Network, PolicyRule, TableRoute

LOOPBACK = "lo"
"""What the node's own packets come in by, to a rule that asks."""
UNSPECIFIED = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Flow:
    """What of a packet the choice of its way depends on."""

    destination: IPv4Address
    source: IPv4Address = UNSPECIFIED
    mark: int = 0
    iif: str = LOOPBACK
    """The device that it came in by."""
    oif: str | None = None
    """The device that its sender is bound to; None: any."""
    protocol: int = 0
    source_port: int = 0
    destination_port: int = 0
    uid: int = 0


class Refusal(enum.Enum):
    """Why there is no way."""

    NO_ROUTE = "no table that a matching rule names has a route to it"
    UNREACHABLE = "it is declared unreachable"
    BLACKHOLE = "it is thrown away without a word (blackhole)"
    PROHIBIT = "it is declared prohibited"


@dataclass(frozen=True, slots=True)
class Way:
    """What the kernel chooses."""

    rule: PolicyRule | None = None
    """The rule that decided; None: none did."""
    route: TableRoute | None = None
    hops: tuple[Hop, ...] = ()
    """The next hops, one of which is taken: by a hash of the addresses if there are several."""
    refusal: Refusal | None = None
    fruitless: tuple[PolicyRule, ...] = ()
    """Rules that matched before, whose tables have nothing for the packet."""
    doubtful: tuple[PolicyRule, ...] = ()
    """Rules met on the way with selectors that we cannot read; taken as not matching."""

    @property
    def local(self) -> bool:
        """Whether the packet is for this namespace itself."""
        return self.route is not None and self.route.kind in (Kind.LOCAL, Kind.BROADCAST)


_RULE_REFUSALS = {
    Action.BLACKHOLE: Refusal.BLACKHOLE,
    Action.UNREACHABLE: Refusal.UNREACHABLE,
    Action.PROHIBIT: Refusal.PROHIBIT,
}
_ROUTE_REFUSALS = {
    Kind.BLACKHOLE: Refusal.BLACKHOLE,
    Kind.UNREACHABLE: Refusal.UNREACHABLE,
    Kind.PROHIBIT: Refusal.PROHIBIT,
}


class _Rejected(Exception):  # noqa: N818 -- a way out of the walk, not an error
    def __init__(self, refusal: Refusal, route: TableRoute | None) -> None:
        self.refusal, self.route = refusal, route


def look_up(network: Network, flow: Flow) -> Way:
    """Walk the rules as the kernel does, and say which way it chooses and by which rule."""
    fruitless: list[PolicyRule] = []
    doubtful: list[PolicyRule] = []
    for rule in _matching(network.rules, flow, doubtful):
        said = (tuple(fruitless), tuple(doubtful))
        if rule.action in _RULE_REFUSALS:
            return Way(rule, None, (), _RULE_REFUSALS[rule.action], *said)
        try:
            found = _in_table(network, rule.table, flow)
        except _Rejected as rejected:
            return Way(rule, rejected.route, (), rejected.refusal, *said)
        if found is None or _suppressed(rule, found[0]):
            fruitless.append(rule)
            continue
        return Way(rule, *found, None, *said)
    return Way(None, None, (), Refusal.NO_ROUTE, tuple(fruitless), tuple(doubtful))


def matches(rule: PolicyRule, flow: Flow) -> bool:
    """Whether the rule's selectors hold for the packet; `not` turns all of them together."""
    return _selected(rule, flow) != rule.inverted


def address_kind(network: Network, address: IPv4Address, device: int | None = None) -> Kind:
    """What the address is to this namespace, as netfilter's `addrtype` has it: by the local table alone.

    LOCAL, BROADCAST, MULTICAST or UNICAST; with `device` it counts only on that one.
    """
    if address.is_multicast:
        return Kind.MULTICAST
    best = look_up_table(network, LOCAL_TABLE, address)
    for route in best:
        if device is None or any(hop.index == device for hop in route.hops):
            return route.kind
    return Kind.UNICAST


def _matching(rules: tuple[PolicyRule, ...], flow: Flow, doubtful: list[PolicyRule]) -> Iterator[PolicyRule]:
    position = 0
    while position < len(rules):
        rule = rules[position]
        position += 1
        if rule.unread:
            doubtful.append(rule)
        elif matches(rule, flow):
            if rule.action is Action.GOTO:
                # the kernel lets goto lead forwards only; one whose target is gone does nothing
                ahead = (i for i in range(position, len(rules)) if rules[i].priority == rule.goto)
                position = next(ahead, position)
            elif rule.action is not Action.NOTHING:
                yield rule


def _selected(rule: PolicyRule, flow: Flow) -> bool:
    return (
        (rule.iif is None or rule.iif == flow.iif)
        and (rule.oif is None or rule.oif == flow.oif)
        and not (rule.mark ^ flow.mark) & rule.mask
        and (rule.source is None or flow.source in rule.source)
        and (rule.destination is None or flow.destination in rule.destination)
        and rule.tos == 0
        and (rule.protocol is None or rule.protocol == flow.protocol)
        and _within(rule.source_ports, flow.source_port)
        and _within(rule.destination_ports, flow.destination_port)
        and _within(rule.uids, flow.uid)
    )


def _within(limits: tuple[int, int] | None, number: int) -> bool:
    return limits is None or limits[0] <= number <= limits[1]


def _in_table(network: Network, table: int, flow: Flow) -> tuple[TableRoute, tuple[Hop, ...]] | None:
    """The route and its usable next hops; None lets the next rule try. Raises _Rejected."""
    for route in look_up_table(network, table, flow.destination):
        if route.tos:
            continue  # our packets have none
        if route.kind in _ROUTE_REFUSALS:
            raise _Rejected(_ROUTE_REFUSALS[route.kind], route)
        if route.kind is Kind.THROW:
            return None
        hops = tuple(
            hop for hop in route.hops if not hop.dead and flow.oif in (None, network.name_of(hop.index))
        )
        if hops:
            return route, hops
    return None


def look_up_table(network: Network, table: int, address: IPv4Address) -> list[TableRoute]:
    """A table's routes to an address: the longest prefix first, then the smallest metric."""
    found = [route for route in network.routes if route.table == table and address in route.destination]
    return sorted(found, key=lambda route: (-route.destination.prefixlen, -route.tos, route.metric))


def _suppressed(rule: PolicyRule, route: TableRoute) -> bool:
    return rule.suppress_length is not None and route.destination.prefixlen <= rule.suppress_length
