"""Pods: one or many at once, whether they reach each other, and which way."""

from __future__ import annotations

import sys
from typing import Any

import click

from vpclab.cli.base import NAME, OUTPUT, ask, main, plain_errors, show
from vpclab.lab.state import LabError, running

PARALLEL = click.option(
    "--parallel", type=click.IntRange(1, 1000), help="How many at once; all if not given."
)


def _ports(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[dict[str, Any]]:
    return [_port(value) for value in values]


def _port(value: str) -> dict[str, Any]:
    """A port mapping as the portmap plugin takes it."""
    numbers, _, protocol = value.partition("/")
    host, _, inside = numbers.partition(":")
    protocol = protocol or "tcp"
    if (
        protocol not in {"tcp", "udp"}
        or not (host.isdecimal() and inside.isdecimal())
        or not (0 < int(host) < 1 << 16 and 0 < int(inside) < 1 << 16)
    ):
        raise click.BadParameter(f"{value!r} is not HOST:POD or HOST:POD/udp with ports from 1 to 65535")
    return {"hostPort": int(host), "containerPort": int(inside), "protocol": protocol}


@main.group()
def pod() -> None:
    """Pods: sandboxes connected by the CNI plugin."""


@pod.command("add")
@NAME
@OUTPUT
@click.argument("pod_name")
@click.option("--node", help="Which node; the emptiest if not given.")
@click.option("--namespace", default="default", show_default=True, help="The pod's namespace.")
@click.option(
    "--port",
    "ports",
    multiple=True,
    metavar="HOST:POD[/PROTOCOL]",
    callback=_ports,
    help="A port of the node that leads to the pod (the portmap plugin), like 8080:80 or 53:53/udp.",
)
@click.option("--count", type=click.IntRange(1, 5000), help="Many pods: NAME-1, NAME-2 and so on.")
@PARALLEL
@click.option(
    "--patience",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    help="Seconds for which a pod is tried again when the plugin says that it may be, as kubelet does; 0: once.",
)
@plain_errors
def pod_add(
    name: str, output: str, pod_name: str, count: int | None, parallel: int | None, **asked: Any
) -> None:
    """Run a pod, or with --count many; exit status 1 if any could not be."""
    from vpclab.lab.show import bulk_text, pod_text  # noqa: PLC0415 -- commands load what they need

    if count is None:
        show(ask(name, "pod-add", name=pod_name, **asked), output, pod_text)
        return
    if asked["ports"]:
        raise LabError("a port of a node leads to one pod: --port and --count do not go together")
    names = [f"{pod_name}-{number}" for number in range(1, count + 1)]
    done = ask(name, "pods-add", names=names, parallel=parallel or count, **asked)
    show(done, output, bulk_text)
    sys.exit(1 if done["failed"] else 0)


@pod.command("del")
@NAME
@OUTPUT
@click.argument("pod_name", required=False)
@click.option("--namespace", default=None, help="The pod's namespace.")
@click.option("--all", "every", is_flag=True, help="Every pod; with NAME, every NAME-number.")
@click.option("--count", type=click.IntRange(1, 5000), help="The last so many of these, by age.")
@click.option("--node", help="With --all or --count: of this node only.")
@PARALLEL
@plain_errors
def pod_del(
    name: str,
    output: str,
    pod_name: str | None,
    namespace: str | None,
    count: int | None,
    node: str | None,
    parallel: int | None,
    *,
    every: bool,
) -> None:
    """End a pod, or with --all or --count many; exit status 1 if any could not be."""
    from vpclab.lab.show import bulk_text, pod_text  # noqa: PLC0415

    if not every and count is None:
        if pod_name is None:
            raise LabError("which pod? vpc-lab pod del NAME, or --all, or --count N")
        show(ask(name, "pod-del", name=pod_name, namespace=namespace), output, pod_text)
        return
    found = [
        p
        for p in ask(name, "pods")
        if node in (None, p["node"])
        and namespace in (None, p["namespace"])
        and (pod_name is None or p["name"].rpartition("-")[0] == pod_name)
    ]
    chosen = found if count is None else found[-count:]
    names = [f"{p['namespace']}/{p['name']}" for p in chosen]
    done = ask(name, "pods-del", names=names, parallel=parallel or max(1, len(names)))
    show(done, output, bulk_text)
    sys.exit(1 if done["failed"] else 0)


@pod.command("list")
@NAME
@OUTPUT
@plain_errors
def pod_list(name: str, output: str) -> None:
    """Show every pod."""
    from vpclab.lab.show import pods_text  # noqa: PLC0415

    show(ask(name, "pods"), output, pods_text)


@main.command()
@NAME
@OUTPUT
@click.option("--all", "every", is_flag=True, help="Every pod pings every other; one other if not given.")
@click.option(
    "--wait", type=click.FloatRange(0.1, 60), default=3.0, show_default=True, help="Seconds for all answers."
)
@plain_errors
def ping(name: str, output: str, wait: float, *, every: bool) -> None:
    """Let the pods ping each other; exit status 1 if any is not answered."""
    from vpclab.lab.show import pings_text  # noqa: PLC0415

    done = ask(name, "ping", every=every, wait=wait)
    show(done, output, pings_text)
    sys.exit(1 if done["unanswered"] else 0)


@main.command()
@NAME
@OUTPUT
@click.argument("source", metavar="POD|NODE")
@click.argument("destination", metavar="DESTINATION[:PORT]")
@click.option(
    "--protocol",
    type=click.Choice(["tcp", "udp", "icmp"]),
    help="tcp where a port is given, icmp where none is, if not given.",
)
@click.option("--send", is_flag=True, help="Send the packet, and look for it at every step.")
@plain_errors
def trace(name: str, output: str, source: str, destination: str, protocol: str | None, *, send: bool) -> None:
    """Tell the way of a packet step by step, as vpc-cni trace does on its node.

    Exit status 1 if it does not arrive, with --send if it was not seen where it should have been.
    """
    from vpccni.cli.trace.steps import Outcome, to_text  # noqa: PLC0415 -- commands load what they need
    from vpclab.demo import follow  # noqa: PLC0415
    from vpclab.demo.eyes import Eyes  # noqa: PLC0415

    eyes = Eyes(running(name))
    found = follow.trace(eyes, source, destination, protocol)
    if send:
        found = follow.sent_along(eyes, found)
    said = f"\nIt was sent: {found['answer']}." if send else ""
    show(found, output, lambda plain: to_text(plain) + said)
    sys.exit(1 if found["outcome"] == Outcome.LOST.value or not follow.held(found) else 0)
