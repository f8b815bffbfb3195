"""The command line of `vpc-cni pods`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vpccni.cli.base import OUTPUT, RUN_DIR, anybody, main, must_be_root
from vpccni.cli.bundle.archive import PODS, Bundle
from vpccni.cli.pods.table import Row, to_text
from vpccni.cli.told import BUNDLE
from vpccni.cli.watching import WATCH, watched


@main.command()
@OUTPUT
@RUN_DIR
@BUNDLE
@WATCH
@anybody
def pods(output: str, run_dir: str, file: Path | None, *, watch: bool) -> None:
    """List this node's pods: address, ENI, host veth and the table by which they leave, as the kernel has it.

    What is not as the agent has written it down stands in red at the end of its line; then the exit status is 1. Pods
    with branch ENIs, which are in no pool, are not listed.
    """

    def look() -> list[Row]:
        return _kernels(run_dir) if file is None else _saved(file)

    def draw(found: list[Row]) -> None:
        if output == "json":
            click.echo(json.dumps([row.as_json() for row in found], indent=2))
            return
        for line, drifted in to_text(found):
            click.secho(line, fg="red" if drifted else None)

    found = watched(look, draw, watch=watch, file=file)
    raise SystemExit(1 if any(row.drift for row in found) else 0)


def _kernels(run_dir: str) -> list[Row]:
    from vpccni.cli.pods.look import look  # noqa: PLC0415 -- commands load what they need

    must_be_root()
    return look(Path(run_dir))


def _saved(file: Path) -> list[Row]:
    return [Row.from_json(row) for row in Bundle.read(file).plain(PODS)]
