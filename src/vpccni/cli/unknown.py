"""A fact that nobody could establish."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody could tell; `why` in words."""

    why: str
