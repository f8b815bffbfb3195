"""YAML with the line of everything, so that an error can say where it is."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from vpclab.plan.scenario import ScenarioError

T = TypeVar("T")
D = TypeVar("D")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the file."""

    node: yaml.Node
    path: str
    source: str

    def wrong(self, problem: str) -> ScenarioError:
        """Where, what, why."""
        line = self.node.start_mark.line + 1
        return ScenarioError(f"{self.source}:{line}: {self.path}: {problem}")

    def parse(self, how: Callable[[object], T]) -> T:
        """Its value. Raises ScenarioError, with the place, for what `how` does not take."""
        try:
            return how(_plain(self.node))
        except ScenarioError as error:
            raise self.wrong(str(error)) from None

    def entries(self) -> list[tuple[str, Field]]:
        """A mapping's. Raises ScenarioError."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("fields with names were expected here")
        found: dict[str, Field] = {}
        for key, value in self.node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            here = Field(value, name if self.path == "(file)" else f"{self.path}.{name}", self.source)
            if name in found:
                raise Field(key, here.path, self.source).wrong("is there twice")
            found[name] = here
        return list(found.items())

    def items(self) -> list[Field]:
        """A list's. Raises ScenarioError."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("a list was expected here")
        return [Field(one, f"{self.path}[{at}]", self.source) for at, one in enumerate(self.node.value)]

    def only(self, *names: str) -> None:
        """Raises ScenarioError for a field of another name."""
        for name, field in self.entries():
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else f"the fields here are {', '.join(names)}"
                raise field.wrong(f"there is no such field; {hint}")

    def field(self, name: str) -> Field | None:
        """One of a mapping's."""
        return dict(self.entries()).get(name)

    def need(self, name: str) -> Field:
        """One that must be there. Raises ScenarioError."""
        found = self.field(name)
        if found is None:
            raise self.wrong(f"{name} is missing")
        return found

    def get(self, name: str, how: Callable[[object], T], default: D) -> T | D:
        """A value of a mapping, or the default."""
        found = self.field(name)
        return default if found is None else found.parse(how)


def load(written: str, source: str) -> Field:
    """The file's outermost mapping. Raises ScenarioError."""
    try:
        node = yaml.compose(written, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ScenarioError(f"{source}{line}: this is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source}: this is not YAML: {error}") from None
    if node is None:
        raise ScenarioError(f"{source}: the file is empty")
    top = Field(node, "(file)", source)
    top.entries()
    return top


def _plain(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ScenarioError(str(error)) from None
    finally:
        loader.dispose()


# --- values -------------------------------------------------------------------------------------------------


def text(said: object) -> str:
    """A word or several; a number is taken as it would be printed."""
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        raise ScenarioError(f"{said!r} is not a text")
    return str(said)


def number(said: object) -> float:
    """Any finite number."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not math.isfinite(said):
        raise ScenarioError(f"{said!r} is not a number")
    return float(said)


def whole(least: int) -> Callable[[object], int]:
    """A whole number from `least` on."""

    def parse(said: object) -> int:
        if isinstance(said, bool) or not isinstance(said, int):
            raise ScenarioError(f"{said!r} is not a whole number")
        if said < least:
            raise ScenarioError(f"{said} is below {least}")
        return said

    return parse


def boolean(said: object) -> bool:
    """True or false."""
    if not isinstance(said, bool):
        raise ScenarioError(f"{said!r} is neither true nor false")
    return said


def seconds(said: object) -> float:
    """A number of seconds, or a duration such as 90s, 15m, 1h30m, 2d."""
    if isinstance(said, str) and said.isascii() and said.isdigit():
        return float(said)
    if isinstance(said, str):
        parts = _DURATION.findall(said)
        if not parts or "".join(a + b for a, b in parts) != said.replace(" ", ""):
            raise ScenarioError(f"{said!r} is not a duration such as 90s, 15m or 1h30m")
        return sum(float(amount) * UNITS[unit] for amount, unit in parts)
    found = number(said)
    if found < 0:
        raise ScenarioError(f"{found:g} is below 0")
    return found
