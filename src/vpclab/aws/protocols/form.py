"""Form fields to typed parameters, as the service model says: the query protocol, and EC2's dialect of it."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from vpclab.aws.protocols.refusals import Refusal, RefusedError

Parameters = Mapping[str, Any]
Tree = dict[str, "str | Tree"]
ENVELOPE = frozenset(
    {"Action", "Version", "AWSAccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp"}
)
"""Fields of a request that are no parameters of its operation; X-Amz-* and Signature are others."""


class Form:
    """A reader of one dialect. Each raises RefusedError."""

    def __init__(self, *, ec2: bool) -> None:
        self._ec2 = ec2

    def parameters(self, operation: OperationModel, fields: Mapping[str, str]) -> Parameters:
        """The operation's typed parameters; a field that is none of them is refused."""
        tree: Tree = {}
        for name, value in fields.items():
            if name not in ENVELOPE and not name.startswith(("X-Amz-", "Signature")):
                _plant(tree, name, value)
        shape = operation.input_shape
        found: Parameters = {} if shape is None else self._structure(shape, tree, "")
        if tree:  # what was understood has been taken out
            raise _unknown(tree, "")
        return found

    def _structure(self, shape: StructureShape, tree: Tree, prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, member in shape.members.items():
            key = self._name(name, member)
            if key in tree:
                found[name] = self._value(member, tree.pop(key), prefix + key)
            elif name in shape.required_members:
                raise RefusedError(
                    Refusal.MISSING_PARAMETER, f"The request must contain the parameter {prefix}{key}"
                )
        return found

    def _value(self, shape: Shape, given: str | Tree, name: str) -> Any:
        if isinstance(shape, ListShape):
            return self._list(shape, given, name)
        if isinstance(given, str):
            if isinstance(shape, StructureShape | MapShape):
                raise _invalid(given, name)
            return _scalar(shape, given, name)
        if isinstance(shape, MapShape):
            return self._map(shape, given, name)
        if isinstance(shape, StructureShape):
            found = self._structure(shape, given, f"{name}.")
            if given:
                raise _unknown(given, f"{name}.")
            return found
        raise _unknown(given, f"{name}.")

    def _list(self, shape: ListShape, given: str | Tree, name: str) -> list[Any]:
        if not self._ec2 and not shape.serialization.get("flattened") and isinstance(given, dict):
            given, name = self._below(given, str(shape.member.serialization.get("name", "member")), name)
        if isinstance(given, str):
            if given or self._ec2:
                raise _invalid(given, name)
            return []  # an empty list is spelled so
        return [self._value(shape.member, given[index], f"{name}.{index}") for index in _indexes(given, name)]

    def _map(self, shape: MapShape, given: Tree, name: str) -> dict[str, Any]:
        if not shape.serialization.get("flattened"):
            below, name = self._below(given, "entry", name)
            given = {} if isinstance(below, str) else below
        key_name = str(shape.key.serialization.get("name", "key"))
        value_name = str(shape.value.serialization.get("name", "value"))
        found: dict[str, Any] = {}
        for index in _indexes(given, name):
            entry = given[index]
            if isinstance(entry, str) or key_name not in entry or value_name not in entry:
                raise RefusedError(Refusal.MALFORMED, f"{name}.{index} is not a key and a value")
            key = self._value(shape.key, entry[key_name], f"{name}.{index}.{key_name}")
            found[key] = self._value(shape.value, entry[value_name], f"{name}.{index}.{value_name}")
        return found

    def _below(self, given: Tree, part: str, name: str) -> tuple[str | Tree, str]:
        if set(given) != {part}:
            raise _unknown(given, f"{name}.")
        return given[part], f"{name}.{part}"

    def _name(self, name: str, member: Shape) -> str:
        """A member's name in a request. EC2: its own for queries, else its XML name with a capital."""
        serialization = member.serialization
        if not self._ec2:
            flat = isinstance(member, ListShape) and serialization.get("flattened")
            inner = member.member.serialization.get("name") if flat else None
            return str(inner or serialization.get("name", name))
        if "queryName" in serialization:
            return str(serialization["queryName"])
        located = str(serialization.get("name", name))
        return located[0].upper() + located[1:]


def _plant(tree: Tree, name: str, value: str) -> None:
    *path, leaf = name.split(".")
    for part in path:
        below = tree.setdefault(part, {})
        if isinstance(below, str):
            raise RefusedError(Refusal.MALFORMED, f"The parameter {name} contradicts another")
        tree = below
    if leaf in tree:
        raise RefusedError(Refusal.MALFORMED, f"The parameter {name} contradicts another")
    tree[leaf] = value


def _leaves(tree: Tree, prefix: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, str) or not value:
            yield prefix + name
        else:
            yield from _leaves(value, f"{prefix}{name}.")


def _unknown(tree: Tree, prefix: str) -> RefusedError:
    return RefusedError(
        Refusal.UNKNOWN_PARAMETER, f"The parameter {next(_leaves(tree, prefix))} is not recognized"
    )


def _invalid(text: str, name: str) -> RefusedError:
    return RefusedError(Refusal.INVALID_VALUE, f"Value ({text}) for parameter {name} is invalid.")


def _indexes(given: Tree, name: str) -> list[str]:
    try:
        return sorted(given, key=int)
    except ValueError:
        raise RefusedError(
            Refusal.MALFORMED, f"The parameter {name} is a list: {name}.1, {name}.2, …"
        ) from None


def _scalar(shape: Shape, text: str, name: str) -> Any:
    reader = READERS.get(shape.type_name)
    try:
        return text if reader is None else reader(text)
    except (ValueError, KeyError):
        raise _invalid(text, name) from None


READERS: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
    "timestamp": dt.datetime.fromisoformat,
    "blob": base64.b64decode,
}
"""From a text to a scalar of a type; all others are texts."""
