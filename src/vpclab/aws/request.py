"""A request as it came and an answer as it goes: what every protocol is read from and written to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import parse_qsl

from vpclab.region.values import ApiError

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class RawRequest:
    """One HTTP request. `path` and `query` are percent-encoded as they came; header names are lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""
    source: str = ""
    """The client's address."""

    @functools.cached_property
    def arguments(self) -> Mapping[str, str]:
        """The query string's fields, decoded; {} if it is malformed."""
        try:
            return dict(parse_qsl(self.query, keep_blank_values=True, errors="strict"))
        except ValueError:
            return {}

    @functools.cached_property
    def form(self) -> Mapping[str, str]:
        """The fields of a form: the body's, or the query string's where there is no body.

        Raises ApiError: MalformedQueryString.
        """
        try:
            text = self.body.decode() or self.query
            return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict"))
        except ValueError:
            raise ApiError("MalformedQueryString", "The query string contains a syntax error.") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: str
    media_type: str
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
