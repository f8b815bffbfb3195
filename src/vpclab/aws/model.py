"""EC2's service model as botocore ships it, cut down to the operations that are answered here."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

VERSION = "2016-11-15"
NAMESPACE = f"http://ec2.amazonaws.com/doc/{VERSION}/"


@dataclass(frozen=True)
class Model:
    """The operations that are answered, with their shapes, and the names of all that EC2 has."""

    service: ServiceModel
    known: frozenset[str]

    def operation(self, name: str) -> OperationModel:
        """One operation's shapes."""
        return self.service.operation_model(name)


@functools.lru_cache(maxsize=1)
def load(operations: frozenset[str]) -> Model:
    """Read the model: a third of a second and 50 MB, of which only the cut is kept."""
    whole = Loader().load_service_model("ec2", "service-2", api_version=VERSION)
    kept = {name: _bare(whole["operations"][name]) for name in sorted(operations)}
    roots = (kept[name][side]["shape"] for name in kept for side in ("input", "output") if side in kept[name])
    cut = {
        "metadata": dict(whole["metadata"]),
        "operations": kept,
        "shapes": {name: _bare(whole["shapes"][name]) for name in _reached(whole["shapes"], roots)},
    }
    return Model(ServiceModel(cut, "ec2"), frozenset(whole["operations"]))


def _reached(shapes: Any, roots: Iterable[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_refers(shapes[name]))
    return reached


def _refers(shape: Any) -> Iterator[str]:
    for member in shape.get("members", {}).values():
        yield member["shape"]
    for part in ("member", "key", "value"):
        if part in shape:
            yield shape[part]["shape"]


def _bare(node: Any) -> Any:
    """Without the prose, which is most of it."""
    if isinstance(node, dict):
        return {
            key: _bare(value)
            for key, value in node.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    return node
