"""The service models that botocore ships, cut down to the operations that are answered here."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

Route = tuple[str, str, str]
"""An operation's HTTP method, path template and name."""


@dataclass(frozen=True, eq=False)
class Model:
    """A service's operations that are answered, with their shapes, and the names and routes of all that it has."""

    service: ServiceModel
    known: frozenset[str]
    routes: tuple[Route, ...]

    def operation(self, name: str) -> OperationModel:
        """One operation's shapes."""
        return self.service.operation_model(name)

    def status_of(self, code: str, otherwise: int) -> int:
        """An error's HTTP status, as the model has it."""
        shape = self.service.shape_for_error_code(code)
        return (
            otherwise
            if shape is None
            else int(shape.metadata.get("error", {}).get("httpStatusCode", otherwise))
        )

    @property
    def namespace(self) -> str:
        """Of its XML answers. EC2's model still names http, and so do its answers."""
        metadata = self.service.metadata
        given = metadata.get("xmlNamespace", f"http://{self.service.endpoint_prefix}.amazonaws.com/doc/")
        return str(given["uri"] if isinstance(given, dict) else given)


@functools.lru_cache(maxsize=32)
def load(service: str, operations: frozenset[str]) -> Model:
    """Read a model (EC2's: a third of a second and 50 MB), of which only the cut is kept."""
    whole = Loader().load_service_model(service, "service-2")
    kept = {name: _bare(whole["operations"][name]) for name in sorted(operations)}
    roots = (
        part["shape"]
        for one in kept.values()
        for part in (one.get("input"), one.get("output"), *one.get("errors", ()))
        if part is not None
    )
    cut = {
        "metadata": dict(whole["metadata"]),
        "operations": kept,
        "shapes": {name: _bare(whole["shapes"][name]) for name in _reached(whole["shapes"], roots)},
    }
    routes = (
        (one["http"]["method"], one["http"]["requestUri"], name) for name, one in whole["operations"].items()
    )
    return Model(ServiceModel(cut, service), frozenset(whole["operations"]), tuple(routes))


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
