"""The study for a person: what to look at and why, then the command itself, in the bastion's shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import click

from vpclab.study.session import Session
from vpclab.study.steps import HELPERS, Step

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "why": "why ",
        "look": "look",
        "ask": "Enter runs it, s skips it, ! opens a shell here, q ends",
        "status": "exit status",
        "end": "That was the study.",
    },
    "ko": {
        "why": "이유",
        "look": "볼 것",
        "ask": "Enter 실행, s 건너뛰기, ! 셸 열기, q 끝내기",
        "status": "종료 상태",
        "end": "실습이 끝났습니다.",
    },
}
SHELL = "PS1='study \\W\\$ ' bash --norc -i"


def tour(session: Session, steps: Iterable[Step], language: str, ask: Callable[[str], str]) -> None:
    """Walk through the steps; `ask` gets a person's answer to a prompt."""
    words = WORDS[language]
    session.run(HELPERS.read_text())
    for step in steps:
        click.echo("\n" + headline(step, language))
        while (answer := ask(words["ask"])) == "!":
            session.run(SHELL)
        if answer == "q":
            return
        if answer == "s":
            continue
        if step.prepare:
            session.run(f"{{\n{step.prepare}\n}} >/dev/null 2>&1")
        if step.by_hand:
            session.run(step.by_hand)
        status, _ = session.run(step.run)
        if status not in (0, step.ends_with):
            click.echo(f"({words['status']} {status})")
    click.echo(f"\n{words['end']}")


def headline(step: Step, language: str) -> str:
    """A step's texts and its command."""
    words = WORDS[language]
    command = "\n".join(f"    {line}" for line in (step.by_hand + step.run).rstrip().splitlines())
    return (
        f"{click.style(step.id, bold=True)}  {click.style(step.title[language], bold=True)}\n"
        f"  {words['why']}  {step.why[language]}\n"
        f"  {words['look']}  {step.look[language]}\n{command}"
    )
