"""A dumped rule as one of the kinds that we make."""

from __future__ import annotations

from vpccni.cli.kernel.values import Action, PolicyRule
from vpccni.linux.rules import Rule


def plain(rule: PolicyRule) -> Rule | None:
    """The same rule; None if it has selectors that ours never have."""
    same = Rule(
        rule.priority,
        rule.table,
        rule.source,
        rule.destination,
        rule.mark if rule.mark or rule.mask else None,
        rule.mask if rule.mark or rule.mask else None,
    )
    bare = PolicyRule(
        rule.priority,
        Action.TABLE,
        rule.table,
        rule.source,
        rule.destination,
        rule.mark,
        rule.mask,
    )
    return same if rule == bare else None
