"""The nodes' agents: ended, started, in another environment."""

from __future__ import annotations

import re
import signal

import click

from vpclab.cli.base import NAME, ask, main, plain_errors
from vpclab.lab.state import LabError

_CHANGE = re.compile(r"(?P<unset>[A-Za-z_]\w*)-\Z|(?P<key>[A-Za-z_]\w*)=(?P<value>.*)\Z", re.DOTALL)


@main.group()
def agent() -> None:
    """The nodes' agents: end and start them to see what pods notice."""


@agent.command("kill")
@NAME
@click.argument("node")
@click.option("--signal", "number", default="KILL", show_default=True, help="Which signal.")
@plain_errors
def agent_kill(name: str, node: str, number: str) -> None:
    """End a node's agent and leave it down."""
    try:
        chosen = signal.Signals[f"SIG{number.removeprefix('SIG')}"]
    except KeyError:
        raise LabError(f"there is no signal {number}") from None
    ask(name, "agent-kill", node=node, signal=int(chosen), start=False)
    click.echo(f"the agent of {node} is down; vpc-lab agent start {node}")


@agent.command("start")
@NAME
@click.argument("node")
@plain_errors
def agent_start(name: str, node: str) -> None:
    """Start a node's agent."""
    ask(name, "agent-start", node=node)
    click.echo(f"the agent of {node} is started")


@agent.command("restart")
@NAME
@click.argument("node")
@plain_errors
def agent_restart(name: str, node: str) -> None:
    """End a node's agent and start it again."""
    ask(name, "agent-kill", node=node, signal=int(signal.SIGTERM), start=True)
    click.echo(f"the agent of {node} is restarted")


def _changes(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for word in words:
        match = _CHANGE.match(word)
        if match is None:
            raise click.BadParameter(f"{word!r} is neither KEY=VALUE nor KEY- (which takes it away)")
        found[match["unset"] or match["key"]] = match["value"]
    return found


@main.command()
@NAME
@click.argument("node")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE|KEY-…", callback=_changes)
@plain_errors
def env(name: str, node: str, changes: dict[str, str | None]) -> None:
    """Change the environment of a node's agent (NODE may be "all") and restart it; pods go on.

    KEY- takes a variable away.
    """
    for one in ask(name, "agent-env", node=node, changes=changes)["nodes"]:
        click.echo(f"the agent of {one} is restarted")
