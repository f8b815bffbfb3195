"""The command line of `vpc-cni bundle`."""

from __future__ import annotations

import json
import secrets
import time
from importlib.metadata import version
from pathlib import Path

import click

from vpccni.cli.base import EC2, IMDS, NO_EC2, RUN_DIR, main, plain_errors
from vpccni.cli.errors import CliError


@main.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@RUN_DIR
@EC2
@IMDS
@NO_EC2
@click.option("--root", default="/", show_default=True, help="Where the host's /etc is, as in a container.")
@click.option(
    "--hide-names", is_flag=True, help="Pods and namespaces get pseudonyms; kube-system keeps its names."
)
@click.option("--replace", is_flag=True, help="Overwrite FILE if it is there.")
@plain_errors
def bundle(
    file: Path | None,
    run_dir: str,
    ec2: str | None,
    imds: str | None,
    root: str,
    *,
    no_ec2: bool,
    hide_names: bool,
    replace: bool,
) -> None:
    """Write what somebody who is not on the node needs to know into one small FILE, its analysis on the first page.

    Keys, tokens and account numbers are left out. `status`, `pods` and `explain` read it with --from FILE. Prints the
    analysis; nothing on the node is changed.
    """
    from vpccni.cli.bundle.gather import everything  # noqa: PLC0415 -- commands load what they need
    from vpccni.cli.bundle.make import make  # noqa: PLC0415
    from vpccni.cli.doctor.gather.everything import Where  # noqa: PLC0415

    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    target = file if file is not None else Path(f"vpc-cni-{at.replace(':', '')}.tar.gz")
    if target.exists() and not replace:
        raise CliError(f"{target} is there already: --replace overwrites it")
    where = Where(Path(root), Path(run_dir), imds=imds, ec2=ec2, use_ec2=not no_ec2, probe_kernel=False)
    made = make(
        everything(where),
        at=at,
        version=version("vpc-cni"),
        salt=secrets.token_hex(8) if hide_names else None,
    )
    made.write(target, int(now))
    click.echo(made.texts["ANALYSIS.md"])
    size = target.stat().st_size
    click.echo(
        f"{target}: {size / 1024:.0f} KiB, {len(made.texts)} files; missing: {json.dumps(list(made.missed))}"
    )
