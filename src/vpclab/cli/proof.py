"""Whether a lab is as it should be, and whether it stays so under churn."""

from __future__ import annotations

import sys

import click

from vpclab.cli.base import NAME, OUTPUT, main, plain_errors, show, signals_are_exits
from vpclab.lab.state import running


@main.command()
@NAME
@OUTPUT
@click.option(
    "--wait", type=click.FloatRange(0, 600), default=0.0, show_default=True, help="Seconds for it to settle."
)
@plain_errors
def check(name: str, output: str, wait: float) -> None:
    """Compare EC2, each node's kernel and each agent's checkpoint; exit status 1 if they disagree."""
    from vpclab.lab.evidence import settle  # noqa: PLC0415 -- commands load what they need
    from vpclab.lab.show import findings_text  # noqa: PLC0415

    found = settle(running(name), wait)
    show([finding.as_json() for finding in found], output, findings_text)
    sys.exit(1 if found else 0)


@main.command()
@NAME
@click.option("--minutes", type=click.FloatRange(0.1), default=30.0, show_default=True, help="How long.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which story of churn and faults.")
@click.option(
    "--settle",
    type=click.FloatRange(1),
    default=360.0,
    show_default=True,
    help="Seconds at most, at the end.",
)
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["kill_agent", "restart_agent", "fault", "behind"]),
    help="A kind of step that is left out.",
)
@click.option("--up", "own", is_flag=True, help="On a lab of its own, which is taken down afterwards.")
@plain_errors
def soak(name: str, minutes: float, seed: int, settle: float, without: tuple[str, ...], *, own: bool) -> None:
    """Churn a running lab, with faults; at the end nothing may be leaked. Exit status 1 if anything is."""
    from vpclab.lab.settings import LabSettings  # noqa: PLC0415
    from vpclab.lab.soak import Soak  # noqa: PLC0415
    from vpclab.lab.start import start  # noqa: PLC0415

    with signals_are_exits():
        state = (
            start(LabSettings(name, seed=seed, instance_type="m5.xlarge"), click.echo)
            if own
            else running(name)
        )
        try:
            held = Soak(state, seed, click.echo, without).run(minutes * 60, settle)
        finally:
            if own:
                state.remove()
    sys.exit(0 if held else 1)
