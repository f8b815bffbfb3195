"""The study: as a tour, or as a check of all its rows."""

from __future__ import annotations

import sys

import click

from vpclab.cli.base import NAME, ask, main, plain_errors
from vpclab.lab.state import LabError, running


@main.command()
@NAME
@click.option(
    "--lang",
    "language",
    type=click.Choice(["en", "ko"]),
    default="en",
    show_default=True,
    help="Of the texts.",
)
@click.option(
    "--check",
    "checking",
    is_flag=True,
    help="Run all, compare each with what must show; exit 0 only if all hold.",
)
@click.option("--list", "listing", is_flag=True, help="Only show the steps.")
@click.argument("steps", nargs=-1, metavar="[W1 W2…]")
@plain_errors
def study(name: str, language: str, steps: tuple[str, ...], *, checking: bool, listing: bool) -> None:
    """Walk through the study of EKS networking, step by step, on a lab with Kubernetes: what to look at, and why.

    Each command is the study's own, run in the bastion's shell. Names of the internet (www.google.com, ipinfo.io) are
    answered by the lab's internet.
    """
    from vpclab.study.check import check, table  # noqa: PLC0415 -- other commands do without
    from vpclab.study.session import Session, SessionError  # noqa: PLC0415
    from vpclab.study.steps import read_steps  # noqa: PLC0415
    from vpclab.study.tour import headline, tour  # noqa: PLC0415

    known = read_steps()
    unknown = set(steps) - {step.id for step in known}
    if unknown:
        raise LabError(
            f"there is no step {', '.join(sorted(unknown))}; there are {known[0].id} to {known[-1].id}"
        )
    chosen = [step for step in known if not steps or step.id in steps]
    if listing:
        click.echo("\n\n".join(headline(step, language) for step in chosen))
        return
    try:
        with Session(_way(name), captured=checking) as session:
            if not checking:
                tour(
                    session,
                    chosen,
                    language,
                    lambda prompt: click.prompt(prompt, default="", show_default=False),
                )
                return
            verdicts = check(
                session, chosen, lambda one: click.echo(f"{one.step.id} {one.seconds:.1f} s", err=True)
            )
    except SessionError as error:
        raise LabError(str(error)) from None
    click.echo(table(verdicts, len(chosen), language))
    sys.exit(0 if len(verdicts) == len(chosen) and all(one.held for one in verdicts) else 1)


def _way(name: str) -> tuple[str, ...]:
    """A command line that ends in a login shell on the bastion. Raises LabError."""
    from vpclab.bastion.equip import shell_command  # noqa: PLC0415
    from vpclab.lab.enter import enter_command  # noqa: PLC0415

    state = running(name)
    if not ask(name, "desk")["there"]:
        raise LabError(f"the study needs a cluster: vpc-lab up --kubernetes (lab {name} has none)")
    return (*enter_command(state, ask(name, "way-in", name="bastion")), *shell_command())
