"""`vpc-lab`: a VPC with an EKS cluster's networking, on this machine."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import click

from vpclab.lab.client import ask
from vpclab.lab.state import LabError, labs, must_be_root, running

P = ParamSpec("P")
T = TypeVar("T")
NAME = click.option("--name", default="lab", show_default=True, help="Which lab.")
OUTPUT = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run an AWS region and the VPC CNI inside this machine."""


def _environment(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if "=" not in value or value.startswith("="):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values)


def _ports(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[dict[str, Any]]:
    return [_port(value) for value in values]


def _port(value: str) -> dict[str, Any]:
    """A port mapping as the portmap plugin takes it."""
    numbers, _, protocol = value.partition("/")
    host, _, inside = numbers.partition(":")
    protocol = protocol or "tcp"
    if (
        protocol not in {"tcp", "udp"}
        or not (host.isdecimal() and inside.isdecimal())
        or not (0 < int(host) < 1 << 16 and 0 < int(inside) < 1 << 16)
    ):
        raise click.BadParameter(f"{value!r} is not HOST:POD or HOST:POD/udp with ports from 1 to 65535")
    return {"hostPort": int(host), "containerPort": int(inside), "protocol": protocol}


@main.command()
@NAME
@click.option("--nodes", type=click.IntRange(1, 20), default=3, show_default=True, help="How many nodes.")
@click.option("--instance-type", default="t3.medium", show_default=True, help="The nodes' instance type.")
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", callback=_environment, help="The agent's environment."
)
@click.option(
    "--delays", type=click.Choice(["real", "none"]), default="real", show_default=True, help="EC2's delays."
)
@plain_errors
def up(name: str, nodes: int, instance_type: str, env: dict[str, str], delays: str) -> None:
    """Bring a lab up: a VPC, a bastion, nodes with the agent."""
    from vpccni.ipam.limits import known_limits  # noqa: PLC0415 -- commands load what they need
    from vpclab.lab.start import up as start  # noqa: PLC0415

    if known_limits(instance_type) is None:
        raise LabError(f"there is no instance type {instance_type}; try t3.medium, m5.large, c5.4xlarge")
    with signals_are_exits():
        start(name, nodes, instance_type, env, delays, click.echo)
    click.echo(f"lab {name} is ready: vpc-lab status, vpc-lab pod add web, vpc-lab shell, vpc-lab down")


@main.command()
@NAME
@click.option("--all", "every", is_flag=True, help="Every lab of this machine.")
@plain_errors
def down(name: str, *, every: bool) -> None:
    """End a lab, whatever state it is in; nothing is left of it."""
    chosen = list(labs()) if every else [lab for lab in labs() if lab.name == name]
    if not chosen:
        others = ", ".join(lab.name for lab in labs()) or "none"
        click.echo(f"there is no lab {name} (labs here: {others})")
    for lab in chosen:
        for line in lab.remove():
            click.echo(f"{lab.name}: {line}")


@main.command()
@NAME
@OUTPUT
@plain_errors
def status(name: str, output: str) -> None:
    """Show the machines, their ENIs and addresses, and the pods."""
    from vpclab.lab.show import status_text  # noqa: PLC0415

    found = ask(running(name).control, "status")
    click.echo(json.dumps(found, indent=2) if output == "json" else status_text(found))


@main.command("exec", context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("where")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@plain_errors
def run(name: str, where: str, command: tuple[str, ...]) -> None:
    """Run a command in a part of the lab: vpc-lab exec node1 -- ip rule.

    WHERE is a node, a pod (NAME or NAMESPACE/NAME), bastion, internet, router or igw.
    """
    sys.exit(_run_in(name, where, command))


@main.command()
@NAME
@plain_errors
def shell(name: str) -> None:
    """A shell on the bastion."""
    sys.exit(_run_in(name, "bastion", (os.environ.get("SHELL", "/bin/bash"),)))


@main.group()
def pod() -> None:
    """Pods: sandboxes connected by the CNI plugin."""


@pod.command("add")
@NAME
@OUTPUT
@click.argument("pod_name")
@click.option("--node", help="Which node; the emptiest if not given.")
@click.option("--namespace", default="default", show_default=True, help="The pod's namespace.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="HOST:POD[/PROTOCOL]",
    callback=_ports,
    help="A port of the node that leads to the pod (the portmap plugin), like 8080:80 or 53:53/udp.",
)
@plain_errors
def pod_add(
    name: str, output: str, pod_name: str, node: str | None, namespace: str, ports: list[dict[str, Any]]
) -> None:
    """Run a pod."""
    found = _ask(name, "pod-add", name=pod_name, node=node, namespace=namespace, ports=ports)
    _show_pod(found, output)


@pod.command("del")
@NAME
@OUTPUT
@click.argument("pod_name")
@click.option("--namespace", default=None, help="The pod's namespace.")
@plain_errors
def pod_del(name: str, output: str, pod_name: str, namespace: str | None) -> None:
    """End a pod."""
    _show_pod(_ask(name, "pod-del", name=pod_name, namespace=namespace), output)


@pod.command("list")
@NAME
@OUTPUT
@plain_errors
def pod_list(name: str, output: str) -> None:
    """Show every pod."""
    from vpclab.lab.show import pods_text  # noqa: PLC0415

    found = _ask(name, "pods")
    click.echo(json.dumps(found, indent=2) if output == "json" else pods_text(found))


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
    _ask(name, "agent-kill", node=node, signal=int(chosen), start=False)
    click.echo(f"the agent of {node} is down; vpc-lab agent start {node}")


@agent.command("start")
@NAME
@click.argument("node")
@plain_errors
def agent_start(name: str, node: str) -> None:
    """Start a node's agent."""
    _ask(name, "agent-start", node=node)
    click.echo(f"the agent of {node} is started")


@agent.command("restart")
@NAME
@click.argument("node")
@plain_errors
def agent_restart(name: str, node: str) -> None:
    """End a node's agent and start it again."""
    _ask(name, "agent-kill", node=node, signal=int(signal.SIGTERM), start=True)
    click.echo(f"the agent of {node} is restarted")


@main.command()
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@plain_errors
def demo(*, keep: bool) -> None:
    """Show on a lab of its own that pods get VPC addresses and talk; exit 0 only if all of it held."""
    from vpclab.demo.demo import run_demo  # noqa: PLC0415

    with signals_are_exits():
        held = run_demo(keep=keep)
    sys.exit(0 if held else 1)


def _ask(lab: str, op: str, **parameters: Any) -> Any:
    return ask(running(lab).control, op, **parameters)


def _show_pod(found: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(
            f"pod {found['namespace']}/{found['name']}: {found['ip']} on {found['node']}, "
            f"{found['eni']} ({found['device']}), host veth {found['hostVeth']}"
        )


def _run_in(lab: str, where: str, command: tuple[str, ...]) -> int:
    from vpclab.lab.enter import run_inside  # noqa: PLC0415

    return run_inside(running(lab), _ask(lab, "way-in", name=where), command)
