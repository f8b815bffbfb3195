"""What EKS's operations share: the state, pages, tags, times."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context
from vpclab.eks import Eks
from vpclab.eks.errors import invalid

PAGED = ("maxResults", "nextToken")
MOST = 100
"""A page has at most this many, and that many if it is not told (EKS API reference)."""


def eks(context: Context) -> Eks:
    """The clusters, with what is due by now begun."""
    found = context.kept(Eks)
    found.look()
    return found


def page(p: Parameters, member: str, names: Iterable[str], most: int = MOST) -> dict[str, Any]:
    """A page of names, in order, under the response's member. Raises ApiError: InvalidParameterException."""
    return paged(p, member, {name: name for name in sorted(names)}, most)


def paged(p: Parameters, member: str, values: Mapping[str, Any], most: int = MOST) -> dict[str, Any]:
    """A page of values in the order of a mapping whose keys a token can name. Raises ApiError: InvalidParameterException."""
    size = p.get("maxResults", most)
    if not 1 <= size <= most:
        raise invalid(f"maxResults is 1 to {most}, not {size}")
    keys = list(values)
    start = 0
    if p.get("nextToken"):
        last = _read_token(p["nextToken"])
        if last not in values:
            raise invalid("The nextToken is invalid")
        start = keys.index(last) + 1
    chosen = keys[start : start + size]
    more = start + size < len(keys)
    return {
        member: [values[key] for key in chosen],
        "nextToken": base64.urlsafe_b64encode(chosen[-1].encode()).decode() if more else None,
    }


def tags(p: Parameters) -> dict[str, str]:
    """The request's tags. Raises ApiError: InvalidParameterException for AWS's own keys."""
    given: dict[str, str] = dict(p.get("tags", {}))
    for key in given:
        if key.lower().startswith("aws:"):
            raise invalid(f"aws: prefixed tag key names are not allowed for external use: {key}")
    return given


def moment(seconds: float) -> dt.datetime:
    """A time of the region's as a date."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _read_token(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid("The nextToken is invalid") from None
