"""Filters and pages of Describe calls."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from vpclab.region.values import ApiError, Tags

T = TypeVar("T")
Fields = Mapping[str, Callable[[T], Iterable[str] | str | None]]


def select(
    things: Iterable[T], parameters: Mapping[str, Any], fields: Fields[T], tags: Callable[[T], Tags]
) -> list[T]:
    """Those that every filter of the request lets through. Raises ApiError for a filter that is not known."""
    chosen = list(things)
    for given in parameters.get("Filters", []):
        name, patterns = given.get("Name", ""), [_pattern(value) for value in given.get("Values", [])]
        chosen = [thing for thing in chosen if _passes(_values(thing, name, fields, tags), patterns)]
    return chosen


def page(things: Sequence[T], parameters: Mapping[str, Any]) -> tuple[Sequence[T], str | None]:
    """The page that is asked for, and the token of the next."""
    start = int(parameters.get("NextToken") or 0)
    size = parameters.get("MaxResults")
    if size is None:
        return things[start:], None
    end = start + int(size)
    return things[start:end], str(end) if end < len(things) else None


def _values(thing: T, name: str, fields: Fields[T], tags: Callable[[T], Tags]) -> list[str]:
    if name == "tag-key":
        return list(tags(thing))
    if name.startswith("tag:"):
        value = tags(thing).get(name[4:])
        return [] if value is None else [value]
    if name not in fields:
        raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
    found = fields[name](thing)
    if found is None:
        return []
    return [found] if isinstance(found, str) else list(found)


def _passes(values: Iterable[str], patterns: Sequence[re.Pattern[str]]) -> bool:
    return any(pattern.match(value) for value in values for pattern in patterns)


def _pattern(text: str) -> re.Pattern[str]:
    """EC2's wildcards: * and ?, no sets."""
    return re.compile(fnmatch.translate(text.replace("[", "[[]")))
