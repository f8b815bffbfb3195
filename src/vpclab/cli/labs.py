"""Labs: up and down, looking at one, coming into its parts."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

import click

from vpclab.cli.base import (
    NAME,
    OUTPUT,
    ask,
    fault_texts,
    key_values,
    main,
    plain_errors,
    show,
    signals_are_exits,
)
from vpclab.lab.kept import KeptLab
from vpclab.lab.state import LabError, labs, running


@main.command()
@NAME
@click.option("--nodes", type=click.IntRange(1, 20), default=3, show_default=True, help="How many nodes.")
@click.option("--instance-type", default="t3.medium", show_default=True, help="The nodes' instance type.")
@click.option(
    "--env", multiple=True, metavar="KEY=VALUE", callback=key_values, help="The agent's environment."
)
@click.option(
    "--delays",
    type=click.Choice(["real", "none"]),
    default="real",
    show_default=True,
    help="EC2's and IMDS's delays and the account's rate limits.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    callback=fault_texts,
    help="On from the start, like imds=20 or error:*=InternalError,rate=0.3; see vpc-lab fault add -h.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of EC2's ids, delays and faults.")
@click.option(
    "--subnet-bits",
    type=click.IntRange(20, 28),
    default=24,
    show_default=True,
    help="Prefix length of the nodes' subnets.",
)
@click.option(
    "--free",
    type=click.IntRange(0),
    help="Addresses left free in each of these; all that can be if not given.",
)
@click.option("--scattered", is_flag=True, help="With --free: no /28 of the subnet is wholly free.")
@click.option("--secondary-cidr", metavar="CIDR", help="A second CIDR block of the VPC, like 100.64.0.0/16.")
@click.option(
    "--extra-subnets",
    type=click.IntRange(0, 8),
    default=0,
    show_default=True,
    help="Further subnets in each zone, from the second CIDR block if there is one.",
)
@click.option(
    "--subnet-tag",
    "subnet_tags",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Of the further subnets, like kubernetes.io/role/cni=1.",
)
@click.option(
    "--topology",
    type=click.Choice(["study", "paths"]),
    default="study",
    show_default=True,
    help="paths: with a NAT gateway, a peered VPC and one beyond, a site behind a VPN, a load balancer, plain instances.",
)
@click.option(
    "--private-nodes",
    type=click.IntRange(0, 20),
    default=0,
    show_default=True,
    help="With --topology paths: nodes in private subnets, after the others.",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="a free one",
    help="Where AWS's API answers on 127.0.0.1 of this machine.",
)
@click.option("--empty", is_flag=True, help="Nothing in the region yet: no VPC, no instance.")
@click.option(
    "--template",
    type=click.File(),
    help="Begin with a stack of this CloudFormation template instead of the study's (docs/cloudformation.md).",
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    callback=key_values,
    help="Of the template.",
)
@click.option("--strict-auth", is_flag=True, help="AWS's API verifies signatures; else any key will do.")
@click.option(
    "--kubernetes", is_flag=True, help="A real cluster: control plane, kubelet and containerd on each node."
)
@click.option(
    "--kubernetes-bin",
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    help="Where its programs are; what make kubernetes built, if not given.",
)
@click.option("--ipv6", is_flag=True, help="Pods of IPv6, in a VPC that has both: an IPv6 cluster.")
@click.option("--dual-stack", is_flag=True, help="A VPC that has IPv6 as well; pods stay of IPv4.")
@plain_errors
def up(*, delays: str, template: IO[str] | None, **asked: Any) -> None:
    """Bring a lab up: a VPC, a bastion, nodes with the agent."""
    from vpccni.ipam.limits import known_limits  # noqa: PLC0415 -- commands load what they need
    from vpclab.lab.settings import LabSettings  # noqa: PLC0415
    from vpclab.lab.start import start  # noqa: PLC0415

    text = None if template is None else template.read()
    settings = LabSettings(real_delays=delays == "real", template=text, **asked)
    if known_limits(settings.instance_type) is None:
        raise LabError(
            f"there is no instance type {settings.instance_type}; try t3.medium, m5.large, c5.4xlarge"
        )
    with signals_are_exits():
        start(settings, click.echo)
    name = settings.name
    variables = "" if name == "lab" else f" --name {name}"
    click.echo(
        f'AWS\'s API is at {ask(name, "environment")["AWS_ENDPOINT_URL"]}: eval "$(vpc-lab env-vars{variables})"'
    )
    click.echo(f"lab {name} is ready: vpc-lab status, vpc-lab pod add web, vpc-lab shell, vpc-lab down")


@main.command()
@NAME
@plain_errors
def stop(name: str) -> None:
    """Stop a lab: machines and pods go, as in a power cut; the region stays, with every ID and address, for vpc-lab start."""
    from vpclab.lab.settings import LabSettings  # noqa: PLC0415 -- commands load what they need

    state = running(name)
    if LabSettings.from_json(KeptLab(state.directory).settings()).kubernetes:
        raise LabError("a lab with Kubernetes cannot be stopped: its etcd is in memory; vpc-lab down ends it")
    click.echo(
        f"{name}: {state.stop()}; vpc-lab start{'' if name == 'lab' else f' --name {name}'} brings it back"
    )


@main.command("start")
@NAME
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    show_default="as before",
    help="Where AWS's API answers on 127.0.0.1.",
)
@plain_errors
def start_again(name: str, api_port: int | None) -> None:
    """Start a lab that was stopped, or whose process was killed: the region as it was, machines that boot again."""
    from vpclab.lab.start import resume  # noqa: PLC0415

    with signals_are_exits():
        resume(name, click.echo, api_port)
    click.echo(f"lab {name} is back; its pods are not: they were on machines that lost power")


@main.command()
@NAME
@click.option("--all", "every", is_flag=True, help="Every lab of this machine.")
@plain_errors
def down(name: str, *, every: bool) -> None:
    """End a lab, whatever state it is in; nothing is left of it."""
    chosen = list(labs()) if every else [lab for lab in labs() if lab.name == name]
    if not chosen:
        others = ", ".join(lab.name for lab in labs()) or "none"
        click.echo(f"there is no lab {name} (labs here: {others})")
    for lab in chosen:
        for line in lab.remove():
            click.echo(f"{lab.name}: {line}")


@main.command()
@NAME
@OUTPUT
@plain_errors
def status(name: str, output: str) -> None:
    """Show the machines, their ENIs and addresses, and the pods."""
    from vpclab.lab.show import status_text  # noqa: PLC0415

    show(ask(name, "status"), output, status_text)


@main.command()
@NAME
@OUTPUT
@click.argument("port", type=click.IntRange(1, 65535))
@click.argument("node_port", type=click.IntRange(1, 65535))
@click.argument("nodes", nargs=-1, required=True)
@plain_errors
def balance(name: str, output: str, port: int, node_port: int, nodes: tuple[str, ...]) -> None:
    """Pass a port of the load balancer on to a port of these nodes, TCP and UDP (with --topology paths).

    It is a network load balancer that faces the internet and keeps the client's address.
    """
    done = ask(name, "balance", port=port, node_port=node_port, nodes=nodes)
    show(
        done,
        output,
        lambda d: f"{d['address']}:{d['port']} leads to port {d['nodePort']} of {', '.join(d['nodes'])}",
    )


@main.command("env-vars")
@NAME
@OUTPUT
@plain_errors
def env_vars(name: str, output: str) -> None:
    """Print what makes aws, boto3 and eksctl on this machine work on the lab: eval "$(vpc-lab env-vars)"."""
    from vpclab.lab.api_access import as_exports  # noqa: PLC0415

    show(ask(name, "environment"), output, as_exports)


@main.command("exec", context_settings={"ignore_unknown_options": True})
@NAME
@click.argument("where")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@plain_errors
def run(name: str, where: str, command: tuple[str, ...]) -> None:
    """Run a command in a part of the lab: vpc-lab exec node1 -- ip rule.

    WHERE is a node, a pod (NAME or NAMESPACE/NAME), bastion, internet, router or igw.
    """
    sys.exit(_run_in(name, where, command))


@main.command()
@NAME
@plain_errors
def shell(name: str) -> None:
    """A shell on the bastion; with Kubernetes, one that has kubectl, aws, ssh to the nodes and the study's variables."""
    if not ask(name, "desk")["there"]:
        sys.exit(_run_in(name, "bastion", (os.environ.get("SHELL", "/bin/bash"),)))
    from vpclab.bastion.equip import shell_command  # noqa: PLC0415 -- other labs do without

    sys.exit(_run_in(name, "bastion", shell_command()))


@main.command()
@click.option("--keep", is_flag=True, help="Leave the lab up afterwards.")
@plain_errors
def demo(*, keep: bool) -> None:
    """Show on a lab of its own that pods get VPC addresses and talk; exit 0 only if all of it held."""
    from vpclab.demo.demo import run_demo  # noqa: PLC0415

    with signals_are_exits():
        held = run_demo(keep=keep)
    sys.exit(0 if held else 1)


def _run_in(lab: str, where: str, command: tuple[str, ...]) -> int:
    from vpclab.lab.enter import run_inside  # noqa: PLC0415

    return run_inside(running(lab), ask(lab, "way-in", name=where), command)
