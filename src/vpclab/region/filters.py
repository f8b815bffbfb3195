"""Describing with filters and pages: EC2's names and wildcards over the region's values."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vpclab.region.errors import invalid
from vpclab.region.values import ApiError, Tags


class Described(Protocol):
    """Whatever has an id and tags."""

    @property
    def id(self) -> str: ...  # noqa: D102 — said by the class
    @property
    def tags(self) -> Tags: ...  # noqa: D102 — said by the class


T = TypeVar("T", bound=Described)
Reader = Callable[[T], Iterable[object]]
Filters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the matching items, and the token that asks for more (None: these are the last)."""

    items: tuple[T, ...]
    next_token: str | None = None


def matching(items: Iterable[T], filters: Filters, readers: Mapping[str, Reader[T]]) -> Iterable[T]:
    """Items that match one value of every filter. Raises ApiError: InvalidParameterValue for an unknown filter."""
    tests: list[tuple[Reader[T], re.Pattern[str]]] = []
    for name, values in filters.items():
        reader = _tag_reader(name) or readers.get(name)
        if reader is None:
            raise invalid(f"The filter '{name}' is invalid")
        tests.append((reader, _pattern(tuple(values))))
    return (item for item in items if all(any(map(p.fullmatch, map(_text, read(item)))) for read, p in tests))


def paged(
    items: Iterable[T], ordinals: Mapping[str, int], max_results: int | None, next_token: str | None
) -> Page[T]:
    """At most `max_results` items after the token's place; items come in creation order.

    Raises ApiError: InvalidParameterValue for a token that no page gave.
    """
    after = -1 if next_token is None else _place(next_token)
    rest = (item for item in items if ordinals[item.id] > after) if next_token is not None else iter(items)
    if max_results is None:
        return Page(tuple(rest))
    page: list[T] = []
    for item in rest:
        if len(page) == max_results:
            return Page(tuple(page), _token(ordinals[page[-1].id]))
        page.append(item)
    return Page(tuple(page))


def page_token(place: int) -> str:
    """The token that asks for what comes from this place on."""
    return _token(place)


def page_start(token: str | None, refusal: Callable[[str], ApiError]) -> int:
    """The place that a token asks for. Raises what `refusal` makes of one that no page gave."""
    if token is None:
        return 0
    try:
        return _place(token)
    except ApiError:
        raise refusal(token) from None


def _tag_reader(name: str) -> Reader[Described] | None:
    if name == "tag-key":
        return lambda item: item.tags
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda item: (item.tags[key],) if key in item.tags else ()
    return None


@functools.lru_cache(maxsize=256)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, values)) or r"(?!)", re.DOTALL)


def _expression(value: str) -> str:
    """`*` is any text, `?` any character, a backslash takes the next one as it is."""
    return "".join(
        ".*" if part == "*" else "." if part == "?" else re.escape(part.removeprefix("\\") or part)
        for part in re.findall(r"\\.|.", value, re.DOTALL)
    )


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _token(place: int) -> str:
    return base64.urlsafe_b64encode(f"after/{place}".encode()).decode()


def _place(token: str) -> int:
    try:
        word, _, place = base64.urlsafe_b64decode(token.encode()).decode().partition("/")
        if word == "after":
            return int(place)
    except (ValueError, binascii.Error):
        pass
    raise invalid(f"The token '{token}' is invalid")
