"""All that a region is, as plain data: what `Region` is rebuilt around after its process has ended."""

from __future__ import annotations

import copyreg
import io
import pickle
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vpclab.region.gate import Gate
from vpclab.region.networking import NetworkTables
from vpclab.region.tables import Tables


@dataclass(frozen=True, slots=True)
class RegionState:
    """What is kept; operations are made anew around it."""

    tables: Tables
    net: NetworkTables
    gate: Gate


def dump(value: Any) -> bytes:
    """A value and all that it refers to, as bytes; what refers to the same does so again when it is loaded.

    Raises what `pickle` does for a function or the like: none may be part of what is kept.
    """
    written = io.BytesIO()
    pickler = pickle.Pickler(written, pickle.HIGHEST_PROTOCOL)
    # tags are read-only views of dictionaries that nobody else has
    pickler.dispatch_table = copyreg.dispatch_table | {MappingProxyType: lambda view: (_view, (dict(view),))}
    pickler.dump(value)
    return written.getvalue()


def _view(of: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(of)


def load(written: bytes) -> Any:
    """What `dump` was given. The bytes must be one's own: loading those of a stranger runs what they say."""
    return pickle.loads(written)  # noqa: S301 -- the lab's own file, which is root's alone
