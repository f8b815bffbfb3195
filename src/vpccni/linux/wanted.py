"""Rules as a wanted set: what is missing is added, then what is ours and not wanted is removed, the rest is not touched.

For the time in between there is one rule too many, never one too few. A stranger's rule is never removed for ours: the
kernel deletes the first rule that has the selectors asked for and perhaps more, so a rule of ours that stands behind such
a one is left, and said.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from vpccni.linux.family import Family
from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Listed, Rule, add_missing_rule, delete_rule, listing


def settle_rules(
    netlink: Netlink,
    wanted: Iterable[Rule],
    is_ours: Callable[[Rule], bool],
    family: Family = Family.IPV4,
) -> list[str]:
    """Make the rules for which `is_ours` holds be those wanted, each once; returns the changes in words."""
    wanted = list(dict.fromkeys(wanted))
    listed = listing(netlink, family)
    present = [entry.rule for entry in listed if entry.whole]
    missing = [rule for rule in wanted if rule not in present]
    netlink.run([add_missing_rule(rule) for rule in missing])
    stale: list[Rule] = []
    seen: set[Rule] = set()
    for rule in present:
        if (rule in wanted and rule in seen) or (rule not in wanted and is_ours(rule)):
            stale.append(rule)
        seen.add(rule)
    listed += [Listed(rule, whole=True) for rule in missing]
    return [f"added rule {rule}" for rule in missing] + _remove(netlink, stale, listed)


def remove_rules(netlink: Netlink, stale: Iterable[Rule], family: Family = Family.IPV4) -> list[str]:
    """Remove these rules, once each for each time they are given; what is not there is fine."""
    stale = list(stale)
    return _remove(netlink, stale, listing(netlink, family)) if stale else []


def _remove(netlink: Netlink, stale: Iterable[Rule], listed: list[Listed]) -> list[str]:
    left = list(listed)
    removable: list[Rule] = []
    shadowed: list[str] = []
    for rule in stale:
        first = next((entry for entry in left if entry.answers_to(rule)), None)
        if first is None:
            continue
        if first.whole and first.rule == rule:
            left.remove(first)
            removable.append(rule)
        else:
            shadowed.append(f"left rule {rule}: the kernel would remove a stranger's narrower rule before it")
    outcomes = netlink.attempt([delete_rule(rule) for rule in removable])
    for error in outcomes:
        if error is not None and error.errno != errno.ENOENT:  # gone meanwhile is as good
            raise error
    return [f"removed rule {rule}" for rule in removable] + shadowed
