"""The command line of `vpc-cni explain`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from vpccni.agent.settings import Settings
from vpccni.cli.agent_view import AgentSilentError, ask, known_settings
from vpccni.cli.base import EC2, IMDS, OUTPUT, RUN_DIR, anybody, main, show
from vpccni.cli.errors import CliError


@main.command()
@OUTPUT
@RUN_DIR
@EC2
@IMDS
@click.argument("subject", metavar="[POD|node|subnet-…]", default="node")
@anybody
def explain(subject: str, output: str, run_dir: str, ec2: str | None, imds: str | None) -> None:
    """Tell why a pod has no address, what the node's pool decided and why, or how full a subnet is.

    POD is NAME or NAMESPACE/NAME. What is told are the agent's last decisions with the reason of each, the oldest first,
    and at the end what to change. Exit status 1 if something is in the way of addresses.
    """
    settings = known_settings(Path(run_dir), os.environ).settings
    if subject.startswith("subnet-"):
        _subnet(subject, output, settings, ec2, imds)
        return
    from vpccni.cli.explain.story import of_node, of_pod, to_text  # noqa: PLC0415 -- commands load what they need

    status, decisions = _told(settings, "/v2/status"), _told(settings, "/v2/decisions")
    if subject in ("node", status["node"]):
        story = of_node(status, decisions)
    else:
        pod = subject if "/" in subject else f"default/{subject}"
        story = of_pod(pod, status, decisions, _told(settings, "/v2/pods"))
    show(story.as_json(), output, lambda _: to_text(story))
    raise SystemExit(1 if story.bad else 0)


def _told(settings: Settings, path: str) -> Any:
    if settings.disable_introspection:
        raise CliError("DISABLE_INTROSPECTION is set: the agent tells nobody what it decides")
    try:
        return ask(settings.introspection_address, path)
    except AgentSilentError as error:
        raise CliError(
            f"{error}: see whether the aws-node pod of this node runs, and its ipamd.log"
        ) from None


def _subnet(subnet: str, output: str, settings: Settings, ec2: str | None, endpoint: str | None) -> None:
    from vpccni.aws.imds import Imds, ImdsError, node_facts  # noqa: PLC0415 -- commands load what they need
    from vpccni.cli.cloud.ec2 import NotAllowedError, Questions, by  # noqa: PLC0415
    from vpccni.cli.explain.subnet import read, to_plain, to_text  # noqa: PLC0415

    imds = Imds(endpoint or settings.imds_endpoint, timeout=2.0)
    try:
        region = node_facts(imds).region
    except ImdsError as error:
        raise CliError(str(error)) from None
    finally:
        imds.close()
    questions = Questions(region, ec2 or settings.ec2_endpoint)
    try:
        [described] = questions.ask("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
        enis = questions.all(
            "DescribeNetworkInterfaces", "NetworkInterfaces", Filters=[by("subnet-id", subnet)]
        )
    except NotAllowedError as error:
        raise CliError(str(error)) from None
    try:
        reserved = questions.ask("GetSubnetCidrReservations", SubnetId=subnet)["SubnetIpv4CidrReservations"]
    except NotAllowedError:  # the CNI's own policy has not got it; the rest is right without
        reserved = []
    finally:
        questions.close()
    found = read(dict(described), map(dict, enis), map(dict, reserved))
    show(to_plain(found), output, lambda _: to_text(found))
    raise SystemExit(1 if found.available == 0 else 0)
