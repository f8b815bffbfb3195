"""Which names a template's values speak of, without resolving any."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from vpclab.cloudformation import sub
from vpclab.cloudformation.functions import function_of, getatt_parts


class Kind(enum.Enum):
    """How a name is spoken of."""

    REF = "Ref"
    ATTRIBUTE = "Fn::GetAtt"
    CONDITION = "Condition"
    MAPPING = "Fn::FindInMap"
    IMPORT = "Fn::ImportValue"
    SUB = "Fn::Sub"


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a name; `attribute` is known for Fn::GetAtt where it is plain text."""

    kind: Kind
    name: str
    attribute: str = ""


def references(value: Any, holds: Callable[[str], bool] | None = None) -> Iterator[Reference]:
    """Every reference in a value; with `holds`, of an Fn::If only those of the branch that is taken.

    Raises ApiError: ValidationError for a function that is not used as it can be.
    """
    function = function_of(value)
    if function is None:
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from references(inner, holds)
        return
    given = value[function]
    match function:
        case "Ref":
            if isinstance(given, str):
                yield Reference(Kind.REF, given)
        case "Fn::GetAtt":
            name, attribute = getatt_parts(given)
            yield Reference(Kind.ATTRIBUTE, name, attribute if isinstance(attribute, str) else "")
            yield from references(attribute, holds)
        case "Fn::Sub":
            yield from _of_sub(given, holds)
        case "Fn::If" if isinstance(given, list) and len(given) == 3 and isinstance(given[0], str):
            yield Reference(Kind.CONDITION, given[0])
            branches = given[1:] if holds is None else [given[1] if holds(given[0]) else given[2]]
            yield from references(branches, holds)
        case "Fn::FindInMap" if isinstance(given, list) and given and isinstance(given[0], str):
            yield Reference(Kind.MAPPING, given[0])
            yield from references(given[1:], holds)
        case "Fn::ImportValue":
            yield Reference(Kind.IMPORT, given if isinstance(given, str) else "")
            yield from references(given, holds)
        case "Fn::And" | "Fn::Or" | "Fn::Not" | "Fn::Equals":
            yield from condition_references({function: given})
        case _:
            yield from references(given, holds)


def condition_references(value: Any) -> Iterator[Reference]:
    """Every reference in a condition's expression, other conditions included."""
    if isinstance(value, dict) and len(value) == 1 and isinstance(value.get("Condition"), str):
        yield Reference(Kind.CONDITION, value["Condition"])
    elif isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _LOGIC:
        (given,) = value.values()
        for inner in given if isinstance(given, list) else (given,):
            yield from condition_references(inner)
    else:
        yield from references(value)


_LOGIC = ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals")


def _of_sub(given: Any, holds: Callable[[str], bool] | None) -> Iterator[Reference]:
    text, own = sub.parts(given)
    yield from references(own, holds)
    for name in sub.names(text):
        owner, dot, attribute = name.partition(".")
        if name not in own:
            yield Reference(Kind.ATTRIBUTE, owner, attribute) if dot else Reference(Kind.SUB, name)
