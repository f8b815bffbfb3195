"""Where a command gets the agent's word from: this node's agent, or a bundle that was made on some node."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import click

from vpccni.agent.settings import Settings
from vpccni.cli.agent_view import AgentSilentError, ask, known_settings
from vpccni.cli.bundle.archive import AGENT, Bundle, is_bundle
from vpccni.cli.errors import CliError

P = ParamSpec("P")
T = TypeVar("T")


class SilentError(CliError):
    """The agent does not answer."""


class Told(Protocol):
    """What the agent's introspection paths say."""

    def get(self, path: str) -> Any:
        """The answer at a path. Raises CliError."""


class FromAgent:
    """This node's agent."""

    def __init__(self, run_dir: Path) -> None:
        self.settings: Settings = known_settings(run_dir, os.environ).settings

    def get(self, path: str) -> Any:
        """The answer at a path. Raises CliError."""
        if self.settings.disable_introspection:
            raise CliError("DISABLE_INTROSPECTION is set: the agent tells nobody")
        try:
            return ask(self.settings.introspection_address, path)
        except AgentSilentError as error:
            raise SilentError(
                f"{error}: see whether the aws-node pod of this node runs, and its ipamd.log"
            ) from None


class FromBundle:
    """A bundle: what the agent said when it was made."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def get(self, path: str) -> Any:
        """The answer at a path. Raises CliError."""
        return self._bundle.plain(f"{AGENT}{path}.json")


def told_by(run_dir: str, file: Path | None) -> Told:
    """The agent, or the bundle if there is one. Raises CliError."""
    if file is None:
        return FromAgent(Path(run_dir))
    if not is_bundle(file):
        raise CliError(f"{file} is no bundle: `vpc-cni bundle` makes them")
    return FromBundle(Bundle.read(file))


def from_file(help_text: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The option `--from FILE`, given to the command as `file`."""
    return click.option(
        "--from",
        "file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help=help_text,
    )


BUNDLE = from_file("A bundle (`vpc-cni bundle`), of this node or another, instead of this node itself.")
