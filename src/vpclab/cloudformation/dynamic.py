"""Dynamic references: `{{resolve:ssm:/a/b}}` in a property is the parameter store's value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vpclab.cloudformation.errors import refused

_REFERENCE = re.compile(r"\{\{resolve:([a-z-]+):([^{}]+)\}\}")
_SERVICES = ("ssm", "ssm-secure")


def with_dynamic(value: Any, stored: Callable[[str], str | None]) -> Any:
    """The value with its references replaced. Raises ApiError: ValidationError."""
    if isinstance(value, dict):
        return {key: with_dynamic(inner, stored) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_dynamic(inner, stored) for inner in value]
    if not isinstance(value, str) or "{{resolve:" not in value:
        return value

    def one(match: re.Match[str]) -> str:
        service, key = match.groups()
        if service not in _SERVICES:
            raise refused(f"The lab resolves ssm references only, not {service}: {match.group(0)}")
        found = stored(key.rpartition(":")[0] if key.rpartition(":")[2].isdigit() else key)
        if found is None:
            raise refused(f"Unable to fetch parameters [{key}] from parameter store for this account.")
        return found

    return _REFERENCE.sub(one, value)
