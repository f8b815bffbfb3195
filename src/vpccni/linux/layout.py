"""How what the pods need is laid out in the host's rules and tables: as the original does it, or so that it does not grow.

Compatible (spec 4.6): a route in main, and one or two rules for each pod. Every packet walks the list of rules; with a
thousand pods that leaves a quarter of the packets a second (kernel-and-lab 6).

Compact: the pods' routes in a table of their own, looked up by one rule; an nft map from source address to the ENI, whose
chain puts the ENI's number into the packet's mark; one rule for each ENI. Nothing that a packet meets grows with the pods.

Both say the same of the same pods. A pod may have both for a moment: that is how one is exchanged for the other.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from vpccni.ipam.values import MAIN_TABLE, single
from vpccni.linux.routes import Route, link_scope
from vpccni.linux.rules import Rule
from vpccni.linux.wiring import FROM_POD, TO_POD, PodWiring


class RulesLayout(enum.Enum):
    """VPC_CNI_RULES."""

    COMPATIBLE = "compatible"
    COMPACT = "compact"


def layout_of(sources: object | None) -> RulesLayout:
    """Whoever has the map of sources lays out compactly."""
    return RulesLayout.COMPATIBLE if sources is None else RulesLayout.COMPACT


PODS_TABLE = 20512
"""Where the compact layout has the pods' routes: beyond the tables of ENIs (2 and up, 10000 and up, spec 4.3) and of branch
ENIs (101 to 4194)."""
MASKS = (0x7F, 0x7F0000, 0x3F00)
"""Bits of the mark for the ENI's number, the first that are apart from the connection mark's (0x80, if nobody changes it).
An instance has at most 64 ENIs. kube-proxy uses 0xc000, Calico the upper half, Cilium 0xf00 and the upper half."""
TO_PODS = Rule(TO_POD, PODS_TABLE)
"""The compact layout's rule for all pods; who is not in the table falls through to the next rule."""


def mask_beside(connmark: int) -> int:
    """The bits of the mark in which the ENI's number is."""
    return next((mask for mask in MASKS if not mask & connmark), MASKS[0])


def pod_route(layout: RulesLayout, wiring: PodWiring, index: int) -> Route:
    """The host's route to the pod by the host's end of its pair."""
    table = PODS_TABLE if layout is RulesLayout.COMPACT else MAIN_TABLE
    return Route(single(wiring.address), table, index, scope=link_scope(wiring.family))


def pod_rules(layout: RulesLayout, wiring: PodWiring) -> tuple[Rule, ...]:
    """The rules that are this pod's alone (spec 4.6)."""
    if layout is RulesLayout.COMPACT:
        return ()
    network = single(wiring.address)
    to_pod = Rule(TO_POD, MAIN_TABLE, destination=network)
    if wiring.table == MAIN_TABLE:
        return (to_pod,)
    return (to_pod, Rule(FROM_POD, wiring.table, source=network))


def number_of(rule: Rule) -> int | None:
    """The ENI's number, if it has the shape of a rule of `shared_rules`."""
    plain = rule.priority == FROM_POD and rule.source is None and rule.destination is None
    if not plain or not rule.mark or rule.mask not in MASKS or is_no_enis(rule.table):
        return None
    return None if rule.mark & ~rule.mask else rule.mark // _unit(rule.mask)


def mark_of(number: int, mask: int) -> int:
    """The mark of the packets of an ENI's pods."""
    return number * _unit(mask)


def numbered(tables: Iterable[int], known: Mapping[int, int], mask: int) -> dict[int, int]:
    """A number for each table, those that have one keep it. Raises ValueError if there are more than numbers."""
    numbers = {table: known[table] for table in tables if table in known}
    free = iter(sorted(set(range(1, mask // _unit(mask) + 1)) - set(known.values())))
    for table in sorted(tables):
        if table not in numbers:
            number = next(free, None)
            if number is None:
                raise ValueError(f"there are more than {mask // _unit(mask)} ENIs to choose from")
            numbers[table] = number
    return numbers


def shared_rules(numbers: Mapping[int, int], mask: int) -> tuple[Rule, ...]:
    """The compact layout's rules, for all pods together."""
    by_eni = (
        Rule(FROM_POD, table, mark=mark_of(number, mask), mask=mask) for table, number in numbers.items()
    )
    return (TO_PODS, *by_eni)


def is_no_enis(table: int) -> bool:
    """0 is unspecified, 1 and 253 are "default", 254 main, 255 local; an ENI's are 2 to 252 and from 10000 on (spec 4.3)."""
    return table in (0, 1, 253, MAIN_TABLE, 255)


def _unit(mask: int) -> int:
    return mask & -mask
