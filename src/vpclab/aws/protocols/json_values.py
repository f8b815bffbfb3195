"""JSON to typed parameters and back, as the service model says."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from vpclab.aws.protocols.refusals import Refusal, RefusedError

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, str),
    "blob": (str,),
}


def parsed(body: bytes) -> Any:
    """A body; an empty one is {}. Raises RefusedError."""
    try:
        return json.loads(body) if body.strip() else {}
    except ValueError:
        raise RefusedError(Refusal.MALFORMED, "The request body is not JSON.") from None


def read(shape: Shape, given: Any, where: str = "") -> Any:
    """A value; members that the model does not have are passed over, as AWS does. Raises RefusedError."""
    if isinstance(shape, StructureShape):
        _must(given, dict, where)
        return read_members(shape, shape.members, given, where)
    if isinstance(shape, ListShape):
        _must(given, list, where)
        return [
            read(shape.member, one, f"{where}.{n}.member")
            for n, one in enumerate(given, 1)
            if one is not None
        ]
    if isinstance(shape, MapShape):
        _must(given, dict, where)
        return {
            key: read(shape.value, one, f"{where}.{key}") for key, one in given.items() if one is not None
        }
    if isinstance(given, bool) and shape.type_name != "boolean":
        raise _mismatch(where, given)
    for kind in _TYPES.get(shape.type_name, ()):
        if isinstance(given, kind):
            return _scalar(shape, given, where)
    raise _mismatch(where, given)


def read_members(
    shape: StructureShape, members: Mapping[str, Shape], given: Mapping[str, Any], where: str = ""
) -> dict[str, Any]:
    """Those members of a structure that are in the given object. Raises RefusedError for a missing required one."""
    found: dict[str, Any] = {}
    for name, member in members.items():
        key = str(member.serialization.get("name", name))
        place = f"{where}.{key}".lstrip(".")
        if given.get(key) is not None:
            found[name] = read(member, given[key], place)
        elif name in shape.required_members:
            raise missing(place)
    return found


def missing(place: str) -> RefusedError:
    """A required member that is not there."""
    return RefusedError(
        Refusal.MISSING_PARAMETER,
        f"1 validation error detected: Value null at '{place}' failed to satisfy constraint: Member must not be null",
    )


def spoken(shape: Shape, value: Any) -> Any:
    """A value as JSON; what is None is left out."""
    if isinstance(shape, StructureShape):
        return {
            str(shape.members[name].serialization.get("name", name)): spoken(shape.members[name], one)
            for name, one in value.items()
            if one is not None
        }
    if isinstance(shape, ListShape):
        return [spoken(shape.member, one) for one in value]
    if isinstance(shape, MapShape):
        return {str(key): spoken(shape.value, one) for key, one in value.items() if one is not None}
    if isinstance(value, dt.datetime):
        return moment(value, str(shape.serialization.get("timestampFormat", "unixTimestamp")))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if isinstance(value, bool | int | float | str) else str(value)


def moment(value: dt.datetime, style: str) -> str | float:
    """A time in one of the protocols' three spellings."""
    value = value.astimezone(dt.UTC)
    if style == "unixTimestamp":
        return round(value.timestamp(), 3)
    if style == "rfc822":
        return format_datetime(value, usegmt=True)
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _scalar(shape: Shape, given: Any, where: str) -> Any:
    try:
        if shape.type_name == "timestamp":
            number = isinstance(given, int | float)
            return dt.datetime.fromtimestamp(given, dt.UTC) if number else dt.datetime.fromisoformat(given)
        return base64.b64decode(given, validate=True) if shape.type_name == "blob" else given
    except (ValueError, OverflowError):
        raise _mismatch(where, given) from None


def _must(given: Any, kind: type, where: str) -> None:
    if not isinstance(given, kind):
        raise _mismatch(where, given)


def _mismatch(where: str, given: Any) -> RefusedError:
    return RefusedError(Refusal.MALFORMED, f"{where or 'The request'} may not be {json.dumps(given)[:80]}")
