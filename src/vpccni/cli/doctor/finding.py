"""What a check finds."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vpccni.cli.doctor.facts import Facts
from vpccni.linux.routes import Route
from vpccni.linux.rules import Rule


class Severity(enum.Enum):
    """How bad it is. Notes do not make a node ill."""

    BROKEN = "broken"
    """Pods fail because of it, or will at the next occasion."""
    RISKY = "risky"
    """It works until something happens that will."""
    NOTE = "note"
    """Worth to know."""


@dataclass(frozen=True, slots=True)
class LoosenSourceCheck:
    """rp_filter of the device becomes 2."""

    index: int
    device: str


@dataclass(frozen=True, slots=True)
class SetMtu:
    """The device's MTU."""

    index: int
    device: str
    mtu: int


@dataclass(frozen=True, slots=True)
class RemoveRule:
    """A policy rule of a pod that is gone."""

    rule: Rule


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """A route to a pod that is gone."""

    route: Route


@dataclass(frozen=True, slots=True)
class RemoveLink:
    """A host's end whose other end is down or gone."""

    index: int
    device: str


@dataclass(frozen=True, slots=True)
class MakeExecutable:
    """The plugin's file."""

    path: Path


Mend = LoosenSourceCheck | SetMtu | RemoveRule | RemoveRoute | RemoveLink | MakeExecutable
"""What --fix may do: all of it ours, none of it in a running pod's way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    check: str
    severity: Severity
    found: str
    why: str
    """Why it matters."""
    fix: str
    mends: tuple[Mend, ...] = ()
    """What --fix would do; nothing: it is not ours, or not safe."""


Judge = Callable[[Facts], Iterable[Finding]]
"""Raises NotKnownError if a fact that it needs is unknown."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the host."""

    name: str
    about: str
    judge: Judge
