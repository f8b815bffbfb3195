"""The lab's state as text for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns."""
    cells = [[str(cell) if cell is not None else "-" for cell in row] for row in [head, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def pods_text(pods: Sequence[dict[str, Any]]) -> str:
    """The pods."""
    if not pods:
        return "no pods; vpc-lab pod add web"
    rows = [
        (p["namespace"], p["name"], p["node"], p["ip"], p["eni"], p["device"], p["hostVeth"]) for p in pods
    ]
    return table(("NAMESPACE", "NAME", "NODE", "IP", "ENI", "DEVICE", "HOST VETH"), rows)


def status_text(status: dict[str, Any]) -> str:
    """The whole lab."""
    machines = status["machines"]
    parts = [
        f"lab {status['name']}: {status['region']}, VPC {status['vpc']}",
        table(
            ("SUBNET", "ZONE", "CIDR", "FREE"),
            [(s["id"], s["zone"], s["cidr"], s["free"]) for s in status["subnets"]],
        ),
        table(
            ("MACHINE", "INSTANCE", "TYPE", "ZONE", "PRIVATE IP", "PUBLIC IP", "AGENT", "PODS"),
            [
                (
                    m["name"],
                    m["instanceId"],
                    m["type"],
                    m["zone"],
                    m["privateIp"],
                    m["publicIp"],
                    _agent(m),
                    m.get("pods"),
                )
                for m in machines
            ],
        ),
        table(
            ("ENI", "MACHINE", "DEVICE", "STATUS", "PRIMARY", "SECONDARY"),
            [
                (
                    e["id"],
                    m["name"],
                    e["device"],
                    e["status"],
                    e["primary"],
                    " ".join([*e["secondary"], *e["prefixes"]]) or None,
                )
                for m in machines
                for e in m["enis"]
            ],
        ),
        pods_text(status["pods"]),
    ]
    return "\n\n".join(parts)


def _agent(machine: dict[str, Any]) -> str | None:
    agent = machine.get("agent")
    if agent is None:
        return None
    if agent["pid"] is None:
        how = f" ({agent['lastEnd']})" if agent["lastEnd"] else ""
        return ("starting again" if agent["wanted"] else "down") + how
    return "up" if agent["starts"] == 1 else f"up ({agent['starts']} starts, last {agent['lastEnd']})"
