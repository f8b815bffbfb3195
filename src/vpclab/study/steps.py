"""The study's steps, read from `steps/*.yaml`, and what an output must show. Pure but for the reading."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "steps"
HELPERS = FOLDER / "helpers.sh"
LANGUAGES = ("en", "ko")
TEXTS = ("title", "why", "look")
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])|[\r\x0f\x07]")
"""What a terminal does not show."""


class StepError(ValueError):
    """A file of steps that can't be used; the text says where."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the walkthrough. Texts by language; commands are bash."""

    id: str
    title: Mapping[str, str]
    why: Mapping[str, str]
    look: Mapping[str, str]
    run: str
    prepare: str = ""
    """Done quietly before, so that a step can be done again."""
    by_hand: str = ""
    """What a person runs before `run`: a program that is left by a key."""
    shows: tuple[str, ...] = ()
    """Expressions that the output has."""
    hides: tuple[str, ...] = ()
    """Expressions that it has not."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How often an expression is found in it."""
    proves: str = ""
    """A quiet command that succeeds if it is so; what it prints is told if not."""
    ends_with: int | None = 0
    """The status of `run`'s last command."""
    within: float = 0.0
    """Seconds in which `run`, again and again, must hold."""
    proof_within: float = 0.0
    """Seconds in which `proves`, again and again, must."""


def read_steps(folder: Path = FOLDER) -> tuple[Step, ...]:
    """All of them, in order. Raises StepError."""
    found = [
        _step(file, one) for file in sorted(folder.glob("*.yaml")) for one in yaml.safe_load(file.read_text())
    ]
    ids = [step.id for step in found]
    if len(set(ids)) != len(ids):
        raise StepError(
            f"a step is there twice: {', '.join(sorted({one for one in ids if ids.count(one) > 1}))}"
        )
    return tuple(found)


def plain(output: str) -> str:
    """What a person sees of it, without colours."""
    return ESCAPES.sub("", output)


def missing(step: Step, output: str, status: int) -> list[str]:
    """What is not as it must be, in words; nothing if all holds."""
    seen = plain(output)
    problems = [f"does not show {one}" for one in step.shows if not _found(one, seen)]
    problems += [f"shows {one}" for one in step.hides if _found(one, seen)]
    for expression, times in step.counts.items():
        if (there := len(_found(expression, seen))) != times:
            problems.append(f"shows {expression} {there} times, not {times}")
    if step.ends_with is not None and status != step.ends_with:
        problems.append(f"ends with status {status}")
    return problems


def _found(expression: str, text: str) -> list[str]:
    return [match[0] for match in re.finditer(expression, text, re.MULTILINE)]


def _step(file: Path, given: Any) -> Step:
    try:
        name = given["id"]
        for text in TEXTS:
            if set(given[text]) != set(LANGUAGES):
                raise StepError(f"{file.name}: {name}: {text} is wanted in {' and '.join(LANGUAGES)}")
        expressions = (*given.get("shows", ()), *given.get("hides", ()), *given.get("counts", {}))
        for one in expressions:
            re.compile(one)
        lists = {key: tuple(given[key]) for key in ("shows", "hides") if key in given}
        return Step(**{**given, **lists})
    except (KeyError, TypeError, re.error) as error:
        raise StepError(f"{file.name}: {given!r:.60} is no step: {error}") from error
