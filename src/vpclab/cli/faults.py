"""What goes wrong on a running lab, and what was asked of EC2."""

from __future__ import annotations

import time
from typing import Any

import click

from vpclab.cli.base import NAME, OUTPUT, ask, fault_texts, main, plain_errors, show
from vpclab.lab.state import LabError

FOLLOW_EVERY = 0.3
"""Seconds between two looks of `vpc-lab calls --follow`."""


@main.group()
def fault() -> None:
    """Make AWS's API and IMDS slow, late, refusing; change things behind an agent's back."""


@fault.command("add")
@NAME
@click.argument("faults", nargs=-1, required=True, metavar="FAULT…", callback=fault_texts)
@plain_errors
def fault_add(name: str, faults: tuple[str, ...]) -> None:
    """Switch faults on.

    \b
    latency=0.2-0.5                           every call takes so many seconds
    latency:AssignPrivateIpAddresses=1        this call does
    error:CreateTags=InternalError,count=3    its next three calls fail
    error:*=InternalError,rate=0.3            each call fails with this probability
    error:eks:DescribeCluster=ServerException,count=1   another service's calls have its name before them
    throttle=on | throttle=off                the account's rate limits
    bucket:CreateNetworkInterface=2/0.5       its limit: calls at once / more a second
    imds=20                                   IMDS lags behind EC2
    imds-mac=300                              IMDS still lists a detached ENI's MAC
    unknown=2-5                               a created ENI is not found for so long
    stale=2-5                                 describes show ENIs as they were
    attach=10-30, detach=10                   how long those take
    """  # noqa: D301 -- click's mark for a paragraph that is not wrapped
    for key, text in zip(ask(name, "fault-add", faults=list(faults))["ids"], faults, strict=True):
        click.echo(f"{key}: {text}")


@fault.command("list")
@NAME
@OUTPUT
@plain_errors
def fault_list(name: str, output: str) -> None:
    """Show the faults that are on."""
    from vpclab.lab.show import faults_text  # noqa: PLC0415 -- commands load what they need

    show(ask(name, "fault-list"), output, faults_text)


@fault.command("clear")
@NAME
@click.argument("ids", nargs=-1, metavar="[ID]…")
@plain_errors
def fault_clear(name: str, ids: tuple[str, ...]) -> None:
    """Switch faults off: these, or all."""
    gone = ask(name, "fault-clear", ids=list(ids) or None)["ids"]
    click.echo(f"off: {', '.join(gone)}" if gone else "no fault was on")


@fault.command("behind")
@NAME
@OUTPUT
@click.argument("node")
@click.argument("what", type=click.Choice(["attach", "detach", "delete", "unassign", "assign"]))
@click.option("--eni", help="An ENI id or a device like eth1; the last secondary one if not given.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS|PREFIX",
    help="What to unassign; what no pod has if not given.",
)
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many addresses.")
@plain_errors
def fault_behind(name: str, output: str, **asked: Any) -> None:
    """Change a node's ENIs behind its agent's back, as somebody with the console would.

    attach makes an ENI without tags and puts it on, detach takes one off, delete takes it off and deletes it, unassign takes
    addresses off one, assign puts some on.
    """
    done = ask(name, "behind", **asked)
    show(done, output, lambda found: str(found["done"]))


@main.command()
@NAME
@OUTPUT
@click.option("--node", help="Of this machine only.")
@click.option(
    "--since", metavar="SECONDS", type=click.FloatRange(0), help="Of the last so many seconds only."
)
@click.option("--service", help="Of this service only, like ec2, eks, sts.")
@click.option("--count", "counted", is_flag=True, help="How often each call ended with each code.")
@click.option("--follow", is_flag=True, help="Go on as they come, until interrupted.")
@plain_errors
def calls(
    name: str,
    output: str,
    node: str | None,
    since: float | None,
    service: str | None,
    *,
    counted: bool,
    follow: bool,
) -> None:
    """Show the calls of AWS's API: who, what, when, how long, what came of it."""
    from vpclab.lab.show import call_line, calls_text, counts_text  # noqa: PLC0415

    if counted and follow:
        raise LabError("--count is of what was, --follow of what comes: give one of them")
    asked: dict[str, Any] = {
        "node": node,
        "service": service,
        "since": None if since is None else time.time() - since,
    }
    found = ask(name, "calls-since", after=0, **asked)
    if counted:
        show(_counted(found["calls"]), output, counts_text)
        return
    if not follow:
        show(found["calls"], output, calls_text)
        return
    while True:
        for one in found["calls"]:
            show(one, output, call_line)
        time.sleep(FOLLOW_EVERY)
        found = ask(name, "calls-since", after=found["next"], **asked)


def _counted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from vpclab.lab.show import call_name  # noqa: PLC0415

    counts: dict[tuple[str, str], int] = {}
    for one in found:
        key = (call_name(one), one["code"])
        counts[key] = counts.get(key, 0) + 1
    return [{"action": a, "code": code, "count": n} for (a, code), n in sorted(counts.items())]
