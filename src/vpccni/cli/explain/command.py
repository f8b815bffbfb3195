"""The command line of `vpc-cni explain`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vpccni.cli.agent_view import known_settings
from vpccni.cli.base import EC2, IMDS, OUTPUT, RUN_DIR, anybody, main, show
from vpccni.cli.bundle.archive import SUBNETS, Bundle
from vpccni.cli.told import BUNDLE, SilentError, Told, told_by

if TYPE_CHECKING:
    from vpccni.cli.explain.story import Story


@main.command()
@OUTPUT
@RUN_DIR
@EC2
@IMDS
@BUNDLE
@click.argument("subject", metavar="[POD|node|subnet-…]", default="node")
@anybody
def explain(
    subject: str, output: str, run_dir: str, ec2: str | None, imds: str | None, file: Path | None
) -> None:
    """Tell why a pod has no address, what the node's pool decided and why, or how full a subnet is.

    POD is NAME or NAMESPACE/NAME. What is told are the agent's last decisions with the reason of each, the oldest first,
    and at the end what to change. Exit status 1 if something is in the way of addresses.
    An agent that is starting or does not answer is a reason, too; then the decisions are those that it has on disk.
    """
    if subject.startswith("subnet-"):
        _subnet(subject, output, run_dir, ec2, imds, file)
        return
    from vpccni.cli.explain.story import to_text  # noqa: PLC0415 -- commands load what they need

    story = _story(subject, told_by(run_dir, file), Path(run_dir))
    show(story.as_json(), output, lambda _: to_text(story))
    raise SystemExit(1 if story.bad else 0)


def _story(subject: str, told: Told, run_dir: Path) -> Story:
    from vpccni.cli.explain.remembered import remembered  # noqa: PLC0415 -- commands load what they need
    from vpccni.cli.explain.story import of_node, of_pod, of_silence  # noqa: PLC0415

    try:
        status, decisions, pods = (told.get(f"/v2/{path}") for path in ("status", "decisions", "pods"))
    except SilentError as error:
        return of_silence("this node" if subject == "node" else subject, str(error), remembered(run_dir))
    if subject in ("node", status["node"]):
        return of_node(status, decisions)
    pod = subject if "/" in subject else f"default/{subject}"
    return of_pod(pod, status, decisions, pods)


def _subnet(
    subnet: str, output: str, run_dir: str, ec2: str | None, imds: str | None, file: Path | None
) -> None:
    from vpccni.cli.explain.ask import subnet_by_ec2  # noqa: PLC0415 -- commands load what they need
    from vpccni.cli.explain.subnet import to_plain, to_text  # noqa: PLC0415

    if file is not None:
        found = Bundle.read(file).plain(f"{SUBNETS}/{subnet}.json")
    else:
        settings = known_settings(Path(run_dir), os.environ).settings
        found = to_plain(subnet_by_ec2(subnet, settings, ec2, imds))
    show(found, output, to_text)
    raise SystemExit(1 if found["available"] == 0 else 0)
