"""Runs the steps and compares each with what must show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vpclab.study.session import Session, SessionError
from vpclab.study.steps import HELPERS, Step, missing, plain

PAUSE = 1.0
TAIL = 1500
"""Characters of an output that are told of a step that failed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a step."""

    step: Step
    problems: tuple[str, ...]
    seconds: float
    output: str

    @property
    def held(self) -> bool:
        """Whether all was as it must be."""
        return not self.problems


def check(
    session: Session, steps: Iterable[Step], tell: Callable[[Verdict], None] = lambda _: None
) -> list[Verdict]:
    """Each step's verdict. Those after a shell that ended have none. Raises SessionError: it does not begin."""
    status, said = session.run(HELPERS.read_text())
    if status != 0:
        raise SessionError(f"the study's shell does not begin: {plain(said)[-TAIL:]}")
    verdicts: list[Verdict] = []
    for step in steps:
        began = time.monotonic()
        try:
            problems, output = judge(session, step)
        except SessionError as error:
            problems, output = [str(error)], ""
        verdicts.append(Verdict(step, tuple(problems), time.monotonic() - began, output))
        tell(verdicts[-1])
        if output == "" and problems and "the shell has ended" in problems[0]:
            break
    return verdicts


def judge(session: Session, step: Step) -> tuple[list[str], str]:
    """What is not as it must be, and what was shown. Raises SessionError."""
    if step.prepare:
        session.run(step.prepare)
    deadline = time.monotonic() + step.within
    while True:
        status, output = session.run(step.run)
        problems = missing(step, output, status)
        if not problems and step.proves and not step.proof_within:
            problems = _proven(session, step)
        if not problems or time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
    if not problems and step.proof_within:
        deadline = time.monotonic() + step.proof_within
        while (problems := _proven(session, step)) and time.monotonic() < deadline:
            time.sleep(PAUSE)
    return problems, plain(output)


def table(verdicts: Sequence[Verdict], wanted: int, language: str) -> str:
    """One line a step, what failed below it, and a last line that sums up."""
    lines: list[str] = []
    for verdict in verdicts:
        mark = "ok  " if verdict.held else "FAIL"
        lines.append(f"{verdict.step.id:<4} {mark} {verdict.seconds:6.1f} s  {verdict.step.title[language]}")
        if not verdict.held:
            lines += [f"       {problem}" for problem in verdict.problems]
            lines += [f"       | {line}" for line in verdict.output[-TAIL:].rstrip().splitlines()]
    held = sum(verdict.held for verdict in verdicts)
    lines.append(f"{held} of {wanted} hold")
    return "\n".join(lines)


def _proven(session: Session, step: Step) -> list[str]:
    status, said = session.run(f"(\n{step.proves}\n)")
    if status == 0:
        return []
    words = plain(said).strip()
    return [f"the proof fails: {words[-TAIL:] or step.proves.strip()}"]
