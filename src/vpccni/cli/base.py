"""What the commands share: the group, the options, errors as sentences."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from importlib.metadata import entry_points
from typing import Any, ParamSpec, TypeVar

import click

from vpccni.cli.errors import CliError

P = ParamSpec("P")
T = TypeVar("T")
OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
NO_EC2 = click.option("--no-ec2", is_flag=True, help="Ask EC2 nothing.")
EC2 = click.option("--ec2-endpoint", "ec2", metavar="URL", help="EC2's, if not the agent's or the region's.")
IMDS = click.option(
    "--imds-endpoint", "imds", metavar="URL", help="The metadata service's, if not the usual."
)
RUN_DIR = click.option(
    "--run-dir", default="/var/run/aws-node", show_default=True, help="Where the agent's sockets are."
)
TROUBLE = 2
"""Exit status when the command could not do its work; 1 is an answer."""


PLUGINS = "vpc_cni.commands"
"""The entry-point group by which other packages add commands, as the lab's adds `plan`."""
ELSEWHERE = {
    "plan": "simulates a region, which comes with the lab's package: install vpc-cni[lab] where you plan; "
    "the image that runs on nodes has no lab"
}
"""Commands that are another package's, and what to say where that is not installed."""


class _TroubleError(click.ClickException):
    exit_code = TROUBLE


class WithPlugins(click.Group):
    """Commands of this package, and those that others add; theirs are loaded when they are asked for."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Raises click.ClickException for a command whose package is not there."""
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found
        for entry in entry_points(group=PLUGINS, name=cmd_name):
            try:
                loaded = entry.load()
            except ModuleNotFoundError as error:
                what = ELSEWHERE.get(cmd_name, "comes with another package")
                raise _TroubleError(f"vpc-cni {cmd_name} {what} (there is no {error.name})") from None
            if isinstance(loaded, click.Command):
                return loaded
        if cmd_name in ELSEWHERE:
            raise _TroubleError(f"vpc-cni {cmd_name} {ELSEWHERE[cmd_name]}")
        return None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those that can be loaded; whoever asks for help wants no trouble with the others."""
        return sorted({*super().list_commands(ctx), *filter(_loads, entry_points(group=PLUGINS).names)})


def _loads(name: str) -> bool:
    try:
        return any(
            isinstance(entry.load(), click.Command) for entry in entry_points(group=PLUGINS, name=name)
        )
    except ModuleNotFoundError:
        return False


@click.group(cls=WithPlugins, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Look at this node's pod network: what it has and wants, what is wrong with it, which way packets go."""


def plain_errors(function: Callable[P, T]) -> Callable[P, T]:
    """What went wrong is a sentence on standard error and exit status 2; that it is not root who asks, too."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        must_be_root()
        return function(*args, **kwargs)

    return anybody(guarded)


def anybody(function: Callable[P, T]) -> Callable[P, T]:
    """What went wrong is a sentence on standard error and exit status 2."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (CliError, OSError) as error:
            raise _TroubleError(str(error)) from None

    return guarded


def must_be_root() -> None:
    """Raises CliError."""
    if os.geteuid() != 0:
        raise CliError("the kernel's tables and the agent's files are root's: run this as root")


def show(found: Any, output: str, text: Callable[[Any], str]) -> None:
    """Print an answer as it was asked for."""
    click.echo(json.dumps(found, indent=2) if output == "json" else text(found))
