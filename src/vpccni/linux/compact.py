"""What all pods share in the compact layout: one rule to them, one rule for each ENI, and the map that chooses among these."""

from __future__ import annotations

from collections.abc import Iterable

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.layout import TO_PODS, number_of, numbered, shared_rules
from vpccni.linux.routes import routes
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, listing
from vpccni.linux.source_check import loosen
from vpccni.linux.sources import Sources
from vpccni.linux.wanted import settle_rules


def settle_shared(netlink: Netlink, sources: Sources, tables: Iterable[int]) -> list[str]:
    """The shared rules and the map are as wanted for ENIs of those tables, too; returns the changes in words.

    A rule is there before packets are marked for it, and goes after. Raises OSError.
    """
    there = {
        entry.rule.table: number
        for entry in listing(netlink)
        if entry.whole and entry.rule.mask == sources.mask and (number := number_of(entry.rule)) is not None
    }
    wanted = {table for table in {*tables, *sources.tables.values()} if table != MAIN_TABLE}
    sources.numbers = numbered(wanted, there, sources.mask)
    rules = shared_rules(sources.numbers, sources.mask)
    changes = _loose_source_checks(netlink, wanted)
    changes += settle_rules(netlink, rules, lambda _: False)
    changes += sources.settle()
    return changes + settle_rules(netlink, rules, is_shared)


def is_shared(rule: Rule) -> bool:
    """Whether a rule has the shape of one that `settle_shared` makes, with whatever settings."""
    return rule == TO_PODS or number_of(rule) is not None


def _loose_source_checks(netlink: Netlink, tables: Iterable[int]) -> list[str]:
    """The kernel checks a packet's source without its mark: what comes in by an ENI has its way back in main, it thinks."""
    indexes = {route.index for table in sorted(tables) for route in routes(netlink, table)}
    return [change for index in sorted(indexes) for change in loosen(netlink, index)]
