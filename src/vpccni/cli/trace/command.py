"""The command line of `vpc-cni trace`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import click

from vpccni.cli.base import EC2, IMDS, NO_EC2, OUTPUT, RUN_DIR, main, plain_errors, show


@main.command()
@OUTPUT
@NO_EC2
@EC2
@IMDS
@RUN_DIR
@click.argument("source", metavar="POD|ADDRESS")
@click.argument("destination", metavar="DESTINATION[:PORT]")
@click.option(
    "--protocol",
    type=click.Choice(["tcp", "udp", "icmp"]),
    help="tcp where a port is given, icmp where none is, if not given.",
)
@plain_errors
def trace(
    source: str,
    destination: str,
    protocol: str | None,
    output: str,
    run_dir: str,
    ec2: str | None,
    imds: str | None,
    *,
    no_ec2: bool,
) -> None:
    """Tell the way of a packet step by step, and the source address that its far end will see.

    POD is NAME or NAMESPACE/NAME of a pod on this node; `node` is the node itself. Nothing is sent. Exit status 1 if the
    packet does not arrive.
    """
    from pathlib import Path  # noqa: PLC0415 -- commands load what they need

    from vpccni.cli.agent_view import known_settings  # noqa: PLC0415
    from vpccni.cli.trace.gather import Asked, read_scene  # noqa: PLC0415
    from vpccni.cli.trace.path import trace as way_of  # noqa: PLC0415
    from vpccni.cli.trace.steps import Outcome, to_plain, to_text  # noqa: PLC0415

    name, port = _address_and_port(destination)
    protocol = protocol or ("tcp" if port else "icmp")
    settings = known_settings(Path(run_dir), os.environ).settings
    asked = Asked(source, name, protocol, 0 if protocol == "icmp" else port, not no_ec2, imds, ec2)
    scene, question, missed = read_scene(asked, settings)
    found = way_of(scene, question)
    found = replace(found, doubts=(*found.doubts, *missed))
    show(to_plain(found), output, to_text)
    sys.exit(1 if found.outcome is Outcome.LOST else 0)


def _address_and_port(text: str) -> tuple[str, int]:
    name, colon, port = text.rpartition(":")
    if not colon:
        return text, 0
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16 and name):
        raise click.BadParameter(
            f"{text!r} is not DESTINATION or DESTINATION:PORT with a port from 1 to 65535"
        )
    return name, int(port)
