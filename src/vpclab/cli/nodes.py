"""The lab's machines: one more, stopped, started, rebooted, gone. `aws ec2` and boto3 do the same by EC2's operations."""

from __future__ import annotations

from typing import Any

import click

from vpclab.cli.base import NAME, OUTPUT, ask, main, plain_errors, show


@main.group()
def node() -> None:
    """The instances of the lab: a running one is a machine, and nothing else is."""


@node.command("add")
@NAME
@OUTPUT
@click.option("--type", "instance_type", help="Instance type; that of the lab's nodes if not given.")
@click.option("--zone", help="Availability zone, like ap-northeast-2b or b; in turn if not given.")
@plain_errors
def node_add(name: str, output: str, instance_type: str | None, zone: str | None) -> None:
    """Launch a further node and wait until it is ready."""
    show(ask(name, "node-add", type=instance_type, zone=zone), output, _line)


def _changes(what: str, text: str) -> None:
    @node.command(what, help=text)
    @NAME
    @OUTPUT
    @click.argument("machine")
    @plain_errors
    def change(name: str, output: str, machine: str) -> None:
        show(ask(name, "node-change", node=machine, what=what), output, _line)


_changes("stop", "Stop a machine: its addresses and ENIs stay its own, its pods are gone.")
_changes("start", "Start a stopped machine and wait until it is ready.")
_changes("reboot", "Reboot a machine and wait until it is ready again.")
_changes("terminate", "Terminate a machine: its ENIs and addresses go back.")


def _line(done: dict[str, Any]) -> str:
    where = f", {done['privateIp']} in {done['zone']}" if "privateIp" in done else ""
    return f"{done['name']} ({done['instanceId']}) is {done['state']}{where}"
