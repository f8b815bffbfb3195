"""The text of Fn::Sub: which names it has, and what it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vpclab.cloudformation.errors import bad_template

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_.:]+\Z")
SUB_USE = bad_template(
    "One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument,"
    " and an optional second argument to specify a mapping of values to replace in the string"
)


def parts(argument: Any) -> tuple[str, dict[str, Any]]:
    """The text and the mapping of an Fn::Sub. Raises ApiError: ValidationError."""
    text: Any = argument
    own: Any = {}
    if isinstance(argument, list) and len(argument) == 2:
        text, own = argument
    if not isinstance(text, str) or not isinstance(own, dict):
        raise SUB_USE
    return text, own


def names(text: str) -> tuple[str, ...]:
    """The variables, without `${!Literal}`. Raises ApiError: ValidationError."""
    found = tuple(name.strip() for name in _VARIABLE.findall(text) if not name.startswith("!"))
    if any(not _NAME.match(name) for name in found):
        raise bad_template(
            "variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons"
        )
    return found


def filled(text: str, value_of: Callable[[str], str]) -> str:
    """The text with its variables' values."""

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        return "${" + name[1:] + "}" if name.startswith("!") else value_of(name.strip())

    return _VARIABLE.sub(one, text)
