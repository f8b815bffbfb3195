"""The command line of `vpc-cni pods`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from vpccni.cli.agent_view import AgentSilentError, ask, known_settings
from vpccni.cli.base import OUTPUT, RUN_DIR, main, plain_errors
from vpccni.cli.errors import CliError
from vpccni.cli.pods.table import OnHost, Row, on_host, rows, to_text

REDRAW = 1.0
"""Seconds between two looks of --watch."""


@main.command()
@OUTPUT
@RUN_DIR
@click.option("--watch", is_flag=True, help="Redraw every second, until Ctrl-C.")
@plain_errors
def pods(output: str, run_dir: str, *, watch: bool) -> None:
    """List this node's pods: address, ENI, host veth and the table by which they leave, as the kernel has it.

    What is not as the agent has written it down stands in red at the end of its line; then the exit status is 1. Pods
    with branch ENIs, which are in no pool, are not listed.
    """
    while True:
        found = look(Path(run_dir))
        if watch:
            click.clear()
        if output == "json":
            click.echo(json.dumps([row.as_json() for row in found], indent=2))
        else:
            for line, drifted in to_text(found):
                click.secho(line, fg="red" if drifted else None)
        if not watch:
            break
        time.sleep(REDRAW)
    raise SystemExit(1 if any(row.drift for row in found) else 0)


def look(run_dir: Path) -> list[Row]:
    """The agent's word, then the kernel's; again if they differ, for a pod may have come or gone in between. Raises CliError."""
    settings = known_settings(run_dir, os.environ).settings
    if settings.disable_introspection:
        raise CliError("DISABLE_INTROSPECTION is set: the agent tells nobody which pods there are")
    found = _look(settings.introspection_address)
    return _look(settings.introspection_address) if any(row.drift for row in found) else found


def _look(address: str) -> list[Row]:
    try:
        listed: list[dict[str, Any]] = ask(address, "/v2/pods")
        status = ask(address, "/v2/status")
    except AgentSilentError as error:
        raise CliError(
            f"{error}: see whether the aws-node pod of this node runs, and its ipamd.log"
        ) from None
    tables = {eni["id"]: int(eni["route_table"]) for pool in status["pools"] for eni in pool["enis"]}
    return rows(listed, tables, _on_host())


def _on_host() -> OnHost:
    from vpccni.cli.kernel.read import read_network  # noqa: PLC0415 -- commands load what they need
    from vpccni.linux.rtnl import Netlink  # noqa: PLC0415
    from vpccni.linux.sources import kernel_sources  # noqa: PLC0415

    with Netlink() as netlink:
        network = read_network(netlink)
    return on_host(network, kernel_sources())
