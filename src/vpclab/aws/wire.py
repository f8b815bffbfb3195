"""The EC2 query protocol: form fields to typed parameters, response values to XML; both follow the service model."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, OperationModel, Shape, StructureShape

from vpclab.aws.model import NAMESPACE
from vpclab.region.errors import invalid
from vpclab.region.values import ApiError

Parameters = Mapping[str, Any]
Tree = dict[str, "str | Tree"]
ENVELOPE = frozenset(
    {"Action", "Version", "AWSAccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp"}
)
"""Fields of a request that are no parameters of its operation; X-Amz-* and Signature are others."""
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def fields_of(encoded: str) -> dict[str, str]:
    """The form fields of a body or a query string. Raises ApiError: MalformedQueryString."""
    try:
        return dict(parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(encoded), errors="strict"))
    except ValueError:
        raise ApiError("MalformedQueryString", "The query string contains a syntax error.") from None


def parameters(operation: OperationModel, fields: Mapping[str, str]) -> Parameters:
    """The operation's typed parameters. Raises ApiError: UnknownParameter, MissingParameter, InvalidParameterValue."""
    tree: Tree = {}
    for name, value in fields.items():
        if name not in ENVELOPE and not name.startswith(("X-Amz-", "Signature")):
            _plant(tree, name, value)
    shape = operation.input_shape
    found: Parameters = {} if shape is None else _structure(shape, tree, "")
    if tree:  # what was understood has been taken out
        raise ApiError("UnknownParameter", f"The parameter {next(_leaves(tree, ''))} is not recognized")
    return found


def response(operation: OperationModel, request_id: str, values: Mapping[str, Any]) -> str:
    """An answer. An operation without an output of its own answers true."""
    shape = operation.output_shape
    parts = [HEAD, f'<{operation.name}Response xmlns="{NAMESPACE}">', f"<requestId>{request_id}</requestId>"]
    if shape is None:
        parts.append("<return>true</return>")
    else:
        _write_members(shape, values, parts)
    parts.append(f"</{operation.name}Response>")
    return "".join(parts)


def refusal(error: ApiError, request_id: str) -> str:
    """AWS's own shape of an error."""
    return (
        f"{HEAD}<Response><Errors><Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )


def _plant(tree: Tree, name: str, value: str) -> None:
    *path, leaf = name.split(".")
    for part in path:
        below = tree.setdefault(part, {})
        if isinstance(below, str):
            raise ApiError("InvalidQueryParameter", f"The parameter {name} contradicts another")
        tree = below
    if leaf in tree:
        raise ApiError("InvalidQueryParameter", f"The parameter {name} contradicts another")
    tree[leaf] = value


def _leaves(tree: Tree, prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, str) or not value:
            yield prefix + name
        else:
            yield from _leaves(value, f"{prefix}{name}.")


def _structure(shape: StructureShape, tree: Tree, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        key = _query_name(name, member)
        if key in tree:
            found[name] = _value(member, tree.pop(key), prefix + key)
        elif name in shape.required_members:
            raise ApiError("MissingParameter", f"The request must contain the parameter {prefix}{key}")
    return found


def _value(shape: Shape, given: str | Tree, name: str) -> Any:
    if isinstance(given, str):
        if isinstance(shape, StructureShape | ListShape):
            raise invalid(f"Value ({given}) for parameter {name} is invalid.")
        return _scalar(shape, given, name)
    if isinstance(shape, ListShape):
        return [_value(shape.member, given[index], f"{name}.{index}") for index in _indexes(given, name)]
    if isinstance(shape, StructureShape):
        found = _structure(shape, given, f"{name}.")
        if given:
            raise ApiError(
                "UnknownParameter", f"The parameter {next(_leaves(given, f'{name}.'))} is not recognized"
            )
        return found
    raise ApiError("UnknownParameter", f"The parameter {next(_leaves(given, f'{name}.'))} is not recognized")


def _indexes(given: Tree, name: str) -> list[str]:
    try:
        return sorted(given, key=int)
    except ValueError:
        raise ApiError(
            "InvalidQueryParameter", f"The parameter {name} is a list: {name}.1, {name}.2, …"
        ) from None


def _scalar(shape: Shape, text: str, name: str) -> Any:
    reader = _READERS.get(shape.type_name)
    try:
        return text if reader is None else reader(text)
    except (ValueError, KeyError):
        raise invalid(f"Value ({text}) for parameter {name} is invalid.") from None


_READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
    "timestamp": dt.datetime.fromisoformat,
    "blob": base64.b64decode,
}


def _query_name(name: str, member: Shape) -> str:
    """A member's name in a request: its own for queries, else its XML name with a capital."""
    serialization = member.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    located = str(serialization.get("name", name))
    return located[0].upper() + located[1:]


def _write_members(shape: StructureShape, values: Mapping[str, Any], parts: list[str]) -> None:
    for name, value in values.items():
        if value is not None:
            member = shape.members[name]
            _write(str(member.serialization.get("name", name)), member, value, parts)


def _write(tag: str, shape: Shape, value: Any, parts: list[str]) -> None:
    if isinstance(shape, StructureShape):
        if value:  # an empty element would be an empty object to a client, not none
            parts.append(f"<{tag}>")
            _write_members(shape, value, parts)
            parts.append(f"</{tag}>")
    elif isinstance(shape, ListShape):
        item = str(shape.member.serialization.get("name", "item"))
        parts.append(f"<{tag}>")
        for entry in value:
            _write(item, shape.member, entry, parts)
        parts.append(f"</{tag}>")
    else:
        parts.append(f"<{tag}>{escape(_spoken(value))}</{tag}>")


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return str(value)
