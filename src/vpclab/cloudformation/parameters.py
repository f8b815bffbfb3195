"""The values of a stack's parameters: given, kept from before, or by default; checked as CloudFormation checks them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.parameter_types import AWS_TYPES, Parameter
from vpclab.cloudformation.values import ParameterValue

KEEP = None
"""In what is given: UsePreviousValue."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """What the account has: whether something of a kind (AWS_TYPES) exists, and what the parameter store says."""

    exists: Callable[[str, str], bool]
    stored: Callable[[str], str | None]


def values_of(
    declared: Mapping[str, Parameter],
    given: Mapping[str, str | None],
    before: Mapping[str, ParameterValue],
    lookups: Lookups,
) -> dict[str, ParameterValue]:
    """The value of every declared parameter.

    Raises ApiError: ValidationError, for all that miss a value together, else for the first that does not hold.
    """
    strange = sorted(given.keys() - declared.keys())
    if strange:
        raise refused(f"Parameters: [{', '.join(strange)}] do not exist in the template")
    chosen: dict[str, str] = {}
    for name, parameter in declared.items():
        value = given.get(name)
        if value is None and name in given and name in before:
            value = before[name].given
        elif value is None:
            value = parameter.default
        if value is not None:
            chosen[name] = value
    missing = [name for name in declared if name not in chosen]
    if missing:
        raise refused(f"Parameters: [{', '.join(missing)}] must have values")
    return {name: _value(parameter, chosen[name], lookups) for name, parameter in declared.items()}


def _value(parameter: Parameter, given: str, lookups: Lookups) -> ParameterValue:
    resolved = ""
    text = given
    if parameter.from_ssm is not None:
        stored = lookups.stored(given)
        if stored is None:
            raise refused(f"Unable to fetch parameters [{given}] from parameter store for this account.")
        resolved = text = stored
    else:
        _check(parameter, given)
    members = [one.strip() for one in text.split(",")] if parameter.is_list else [text]
    if parameter.is_list and not text:
        members = []
    kind = AWS_TYPES.get(parameter.member)
    for member in members:
        if kind is not None and not lookups.exists(kind, member):
            raise refused(
                f"Parameter validation failed: parameter value {member} for parameter name {parameter.name} does not exist"
            )
        if parameter.member == "Number" and not _is_number(member):
            raise refused(f"Parameter '{parameter.name}' must be a number.")
    return ParameterValue(given, members if parameter.is_list else text, resolved, parameter.no_echo)


def _check(parameter: Parameter, given: str) -> None:
    """What the declaration asks of the text. Raises ApiError: ValidationError."""
    for wrong, complaint in _constraints(parameter, given):
        if wrong:
            if parameter.constraint_description:
                raise refused(
                    f"Parameter {parameter.name} failed to satisfy constraint: {parameter.constraint_description}"
                )
            raise refused(f"Parameter '{parameter.name}' {complaint}")


def _constraints(parameter: Parameter, given: str) -> list[tuple[bool, str]]:
    number = float(given) if _is_number(given) else None
    members = [one.strip() for one in given.split(",")] if parameter.is_list else [given]
    return [
        (
            bool(parameter.allowed_values) and any(one not in parameter.allowed_values for one in members),
            "must be one of AllowedValues",
        ),
        (
            bool(parameter.allowed_pattern)
            and any(re.fullmatch(parameter.allowed_pattern, one) is None for one in members),
            f"must match pattern {parameter.allowed_pattern}",
        ),
        (
            parameter.least_length is not None and len(given) < parameter.least_length,
            f"must contain at least {parameter.least_length} characters",
        ),
        (
            parameter.most_length is not None and len(given) > parameter.most_length,
            f"must contain at most {parameter.most_length} characters",
        ),
        (
            number is not None and parameter.least is not None and number < parameter.least,
            f"must be a number not less than {_shown(parameter.least)}",
        ),
        (
            number is not None and parameter.most is not None and number > parameter.most,
            f"must be a number not greater than {_shown(parameter.most)}",
        ),
    ]


def _shown(number: Any) -> str:
    return f"{number:g}" if number is not None else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
