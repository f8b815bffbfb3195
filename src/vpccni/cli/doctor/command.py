"""The command line of `vpc-cni doctor`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from vpccni.cli.base import EC2, IMDS, NO_EC2, OUTPUT, RUN_DIR, main, plain_errors, show


@main.command()
@OUTPUT
@NO_EC2
@EC2
@IMDS
@RUN_DIR
@click.option("--fix", is_flag=True, help="Mend what is ours and safe, and say what was done.")
@click.option(
    "--root",
    default="/",
    show_default=True,
    help="Where the host's /etc, /usr and /run are, as in a container.",
)
@click.option("--no-probe", is_flag=True, help="Do not try the kernel's features in a throw-away namespace.")
@plain_errors
def doctor(
    output: str,
    run_dir: str,
    root: str,
    ec2: str | None,
    imds: str | None,
    *,
    no_ec2: bool,
    fix: bool,
    no_probe: bool,
) -> None:
    """Tell what is wrong with this node, why it matters, and how to mend it.

    Exit status 1 if anything is wrong. EC2 is asked for each of the agent's calls with DryRun: nothing is changed.
    """
    from vpccni.cli.doctor.diagnose import diagnose, to_plain, to_text  # noqa: PLC0415 -- commands load what they need
    from vpccni.cli.doctor.gather.everything import Where, gather  # noqa: PLC0415
    from vpccni.cli.doctor.mend import mend  # noqa: PLC0415
    from vpccni.linux.rtnl import Netlink  # noqa: PLC0415

    where = Where(
        Path(root), Path(run_dir), imds=imds, ec2=ec2, use_ec2=not no_ec2, probe_kernel=not no_probe
    )
    facts = gather(where, os.environ)
    found = diagnose(facts)
    done: tuple[str, ...] = ()
    mends = [each for finding in found.findings for each in finding.mends]
    if fix and mends:
        with Netlink() as netlink:
            done = mend(netlink, mends)
        found = diagnose(gather(where, os.environ))
    show(to_plain(found, done), output, lambda _: to_text(found, done, facts.settings.source))
    sys.exit(1 if found.ill else 0)
