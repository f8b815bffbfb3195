"""What every command shares: the group, the options, errors as sentences, signals as exits."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import click

from vpclab.lab.client import ask as ask_daemon
from vpclab.lab.state import LabError, must_be_root, running

P = ParamSpec("P")
T = TypeVar("T")
NAME = click.option("--name", default="lab", show_default=True, help="Which lab.")
OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run an AWS region and the VPC CNI inside this machine."""


def plain_errors(function: Callable[P, T]) -> Callable[P, T]:
    """A LabError is a sentence on standard error and exit status 1."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            must_be_root()
            return function(*args, **kwargs)
        except LabError as error:
            raise click.ClickException(str(error)) from None

    return guarded


@contextmanager
def signals_are_exits() -> Iterator[None]:
    """Whoever ends us by a signal gets what was begun cleaned up, as with Ctrl-C."""

    def leave(number: int, _: FrameType | None) -> None:
        for each in ended_by:
            signal.signal(each, signal.SIG_IGN)  # the clean-up is not interrupted
        sys.exit(128 + number)

    ended_by = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in ended_by}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def key_values(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE words as a mapping."""
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values)


def fault_texts(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Faults, looked at before anything happens."""
    from vpclab.region.faults import FaultSpecError, read_fault  # noqa: PLC0415 -- most commands need no region

    try:
        for value in values:
            read_fault(value)
    except FaultSpecError as error:
        raise click.BadParameter(str(error)) from None
    return values


def ask(lab: str, op: str, **parameters: Any) -> Any:
    """What the daemon of a running lab answers. Raises LabError."""
    return ask_daemon(running(lab).control, op, **parameters)


def show(found: Any, output: str, text: Callable[[Any], str]) -> None:
    """Print an answer as it was asked for."""
    click.echo(json.dumps(found, indent=2) if output == "json" else text(found))
