"""The command line of `vpc-cni status`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from vpccni.cli.base import RUN_DIR, anybody, main, show
from vpccni.cli.bundle.archive import is_bundle
from vpccni.cli.errors import CliError
from vpccni.cli.status.render import render
from vpccni.cli.told import from_file, told_by
from vpccni.cli.watching import WATCH, watched


@main.command()
@click.option(
    "-o", "--output", type=click.Choice(["text", "wide", "json"]), default="text", help="How to print."
)
@RUN_DIR
@WATCH
@from_file("A bundle, or what `-o json` printed, here or on another node, instead of this node's agent.")
@anybody
def status(output: str, run_dir: str, file: Path | None, *, watch: bool) -> None:
    """Tell what the pool has, wants and waits for: ENIs and their places, targets, the next step, what is in the way.

    Exit status 1 if something is in the way of addresses for pods.
    """

    def look() -> Any:
        return saved(file) if file is not None else told_by(run_dir, None).get("/v2/status")

    def draw(found: Any) -> None:
        show(found, output, lambda status: render(status, wide=output == "wide"))

    found = watched(look, draw, watch=watch, file=file)
    raise SystemExit(1 if any(pool["blocker"] for pool in found["pools"]) else 0)


def saved(file: Path) -> Any:
    """In a file. Raises CliError."""
    if is_bundle(file):
        return told_by("", file).get("/v2/status")
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise CliError(f"{file} is not what `vpc-cni status -o json` prints: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("pools"), list):
        raise CliError(f"{file} is not what `vpc-cni status -o json` prints: it has no pools")
    return found
