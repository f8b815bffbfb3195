"""The Rules section: what the values of parameters must be together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.cloudformation.errors import bad_format, refused
from vpclab.cloudformation.functions import holds, resolve, text_of
from vpclab.cloudformation.scope import Scope

_SETS = frozenset({"Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn"})


def check_rules(rules: Mapping[str, Any], scope: Scope) -> None:
    """Raises ApiError: ValidationError with the descriptions of the assertions that do not hold."""
    for name, rule in rules.items():
        if not isinstance(rule, dict) or not isinstance(rule.get("Assertions"), list):
            raise bad_format(f"[/Rules/{name}] Every Rules object must contain an Assertions member.")
        if "RuleCondition" in rule and not _true(rule["RuleCondition"], scope):
            continue
        broken = [
            str(one.get("AssertDescription", "its assertion does not hold"))
            for one in rule["Assertions"]
            if not _true(one.get("Assert"), scope)
        ]
        if broken:
            raise refused(f"Template error: rule {name} failed: {'; '.join(broken)}")


def _true(expression: Any, scope: Scope) -> bool:
    if isinstance(expression, dict) and len(expression) == 1:
        ((function, given),) = expression.items()
        if function in _SETS and isinstance(given, list) and len(given) == 2:
            return _of_sets(function, given, scope)
        if function in ("Fn::And", "Fn::Or") and isinstance(given, list):
            each = [_true(one, scope) for one in given]
            return all(each) if function == "Fn::And" else any(each)
        if function == "Fn::Not" and isinstance(given, list) and len(given) == 1:
            return not _true(given[0], scope)
    return holds(expression, scope)


def _of_sets(function: str, given: list[Any], scope: Scope) -> bool:
    first, second = (resolve(one, scope) for one in given)
    members = [text_of(one) for one in first] if isinstance(first, list) else [text_of(first)]
    others = [text_of(one) for one in second] if isinstance(second, list) else [text_of(second)]
    if function == "Fn::Contains":
        return others[0] in members
    if function == "Fn::EachMemberEquals":
        return all(one == others[0] for one in members)
    return all(one in others for one in members)
