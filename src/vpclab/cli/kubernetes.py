"""The cluster of a lab with Kubernetes: its client, its API server's outages."""

from __future__ import annotations

import sys

import click

from vpclab.cli.base import NAME, ask, main, plain_errors
from vpclab.lab.state import LabError, running


@main.command(
    # from the first word on, all is kubectl's, also `--`
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": [],
    }
)
@NAME
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@plain_errors
def kubectl(name: str, arguments: tuple[str, ...]) -> None:
    """The lab's kubectl, on the bastion, as an administrator: vpc-lab kubectl get nodes."""
    from vpclab.bastion.files import KUBECONFIG  # noqa: PLC0415
    from vpclab.kubernetes.binaries import BinariesError, find  # noqa: PLC0415 -- commands load what they need
    from vpclab.lab.enter import run_inside  # noqa: PLC0415

    state = running(name)
    try:
        program = find().path("kubectl")
    except BinariesError as error:
        raise LabError(str(error)) from error
    command = (program, f"--kubeconfig={KUBECONFIG}", *arguments)
    sys.exit(run_inside(state, ask(name, "way-in", name="bastion"), command))


@main.group("api-server")
def api_server() -> None:
    """Outages of the cluster's API server: pods that run do not notice."""


@api_server.command()
@NAME
@plain_errors
def stop(name: str) -> None:
    """Nobody answers until it is started again."""
    ask(name, "api-server", up=False)
    click.echo("the API server is down: vpc-lab api-server start")


@api_server.command()
@NAME
@plain_errors
def start(name: str) -> None:
    """End the outage; returns when it is ready."""
    ask(name, "api-server", up=True)
    click.echo("the API server is up")
