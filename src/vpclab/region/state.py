"""All that a region is, as plain data: what `Region` is rebuilt around after its process has ended."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vpclab.region.gate import Gate
from vpclab.region.networking import NetworkTables
from vpclab.region.tables import Tables

NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RegionState:
    """What is kept; operations are made anew around it."""

    tables: Tables
    net: NetworkTables
    gate: Gate


def dump(value: Any, outside: Mapping[str, object] = NOTHING) -> bytes:
    """A value and all that it refers to, as bytes; what refers to the same does so again when it is loaded.

    `outside` is left out, and referred to by its name. Raises what `pickle` does for a function that has no place of its own:
    none may be part of what is kept.
    """
    written = io.BytesIO()
    pickler = _Referring(written, outside) if outside else _Pickler(written)
    pickler.dump(value)
    return written.getvalue()


def load(written: bytes, outside: Mapping[str, object] = NOTHING) -> Any:
    """What `dump` was given, with this process's `outside`.

    The bytes must be one's own: loading those of a stranger runs what they say.
    """
    unpickler = _Unpickler(io.BytesIO(written))
    unpickler.outside = outside
    return unpickler.load()


def _view(of: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(of)


def _reduced(view: MappingProxyType[Any, Any]) -> tuple[Any, ...]:
    # tags are read-only views of dictionaries that nobody else has
    return _view, (dict(view),)


class _Pickler(pickle.Pickler):
    def __init__(self, written: io.BytesIO) -> None:
        super().__init__(written, pickle.HIGHEST_PROTOCOL)
        # a table, since a method that is asked about each object takes as long as all the rest
        self.dispatch_table = {**copyreg.dispatch_table, MappingProxyType: _reduced}


class _Referring(_Pickler):
    def __init__(self, written: io.BytesIO, outside: Mapping[str, object]) -> None:
        super().__init__(written)
        self._names = {id(one): name for name, one in outside.items()}

    def persistent_id(self, value: Any) -> str | None:
        return self._names.get(id(value))


class _Unpickler(pickle.Unpickler):
    outside: Mapping[str, object] = NOTHING

    def persistent_load(self, name: Any) -> object:
        return self.outside[name]
