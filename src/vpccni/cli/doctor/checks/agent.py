"""The agent: its sockets, its readiness, its settings, its memory."""

from __future__ import annotations

from collections.abc import Iterator

from vpccni.cli.agent_view import GRPC_SOCKET, PLUGIN_SOCKET
from vpccni.cli.doctor.facts import Facts, known
from vpccni.cli.doctor.finding import Finding, Severity
from vpccni.cli.unknown import Unknown

USES = {
    PLUGIN_SOCKET: (Severity.BROKEN, "the plugin asks there: no pod starts, and those that end leave notes only"),
    GRPC_SOCKET: (Severity.RISKY, "the health probe and the network policy agent ask there"),
    "introspection": (Severity.NOTE, "vpc-cni status and people who look for faults ask there"),
}  # fmt: skip


def sockets(facts: Facts) -> Iterator[Finding]:
    """Somebody answers on each."""
    for name, silent in known(facts.agent).sockets.items():
        if silent is not None:
            severity, why = USES[name]
            said = f"nobody answers on {name}: {silent}"
            fix = "see whether the aws-node pod of this node runs, and its log (/var/log/aws-routed-eni/ipamd.log)"
            yield Finding("agent-sockets", severity, said, why, fix)


def readiness(facts: Facts) -> Iterator[Finding]:
    """What the agent itself gives as the reason for not being ready."""
    for reason in known(facts.agent).not_ready or ():
        yield Finding(
            "agent-ready",
            Severity.BROKEN,
            f"the agent says that it is not ready: {reason}",
            "pods that start now may fail or wait",
            "do what the reason asks for; curl -s localhost:61679/v2/status tells more",
        )


def bad_settings(facts: Facts) -> Iterator[Finding]:
    """Environment variables that could not be used."""
    for text in facts.settings.bad:
        yield Finding(
            "settings",
            Severity.RISKY,
            text,
            "the agent goes on with another value than was asked for",
            "correct the variable of the aws-node DaemonSet",
        )


def checkpoint(facts: Facts) -> Iterator[Finding]:
    """It can be read."""
    if isinstance(facts.assignments, Unknown):
        yield Finding(
            "checkpoint",
            Severity.BROKEN,
            f"the assignments on disk cannot be read: {facts.assignments.why}",
            "after its next start the agent knows pods' addresses from the kernel only, and their names not at all",
            "keep a copy for whoever looks into it; drain the node, remove the file and its journal, restart the agent",
        )
