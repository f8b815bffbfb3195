"""The lab's state as text for a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

UNANSWERED_SHOWN = 10
"""Pairs that are named; the rest is counted."""


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
    ipv6 = any(subnet["ipv6Cidr"] for subnet in status["subnets"])
    parts = [
        f"lab {status['name']}: {status['region']}, VPC {status['vpc']}, AWS's API at {status['api']}",
        table(
            ("SUBNET", "ZONE", "CIDR", "FREE", *(["IPV6"] if ipv6 else [])),
            [
                (s["id"], s["zone"], s["cidr"], s["free"], *([s["ipv6Cidr"]] if ipv6 else []))
                for s in status["subnets"]
            ],
        ),
        table(
            ("MACHINE", "INSTANCE", "STATE", "TYPE", "ZONE", "PRIVATE IP", "PUBLIC IP", "AGENT", "PODS"),
            [
                (
                    m["name"],
                    m["instanceId"],
                    m["state"],
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
                    " ".join([*e["secondary"], *e["prefixes"], *e["ipv6"], *e["ipv6Prefixes"]]) or None,
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
    if agent["starts"] is None:
        return "kubelet's"
    if agent["pid"] is None:
        how = f" ({agent['lastEnd']})" if agent["lastEnd"] else ""
        return ("starting again" if agent["wanted"] else "down") + how
    return "up" if agent["starts"] == 1 else f"up ({agent['starts']} starts, last {agent['lastEnd']})"


def pod_text(found: dict[str, Any]) -> str:
    """One pod, in a sentence."""
    return (
        f"pod {found['namespace']}/{found['name']}: {found['ip']} on {found['node']}, "
        f"{found['eni']} ({found['device']}), host veth {found['hostVeth']}"
    )


def bulk_text(done: dict[str, Any]) -> str:
    """What came of many pods."""
    lines = [f"{done['done']} of {done['asked']} in {done['seconds']:.1f} s"]
    if done["done"]:
        lines[0] += (
            f"; each: p50 {_milliseconds(done['p50'])}, p99 {_milliseconds(done['p99'])}, "
            f"longest {_milliseconds(done['max'])}"
        )
    lines += [f"{count} failed: {reason}" for reason, count in done["reasons"].items()]
    return "\n".join(lines)


def pings_text(done: dict[str, Any]) -> str:
    """What came of pings."""
    lines = [
        f"{done['answered']} of {done['asked']} pings between {done['pods']} pods were answered, in {done['seconds']:.1f} s"
    ]
    if done["answered"]:
        lines[0] += f"; p50 {_milliseconds(done['p50'])}, p99 {_milliseconds(done['p99'])}"
    lines += [f"no answer: {one['from']} → {one['to']}" for one in done["unanswered"][:UNANSWERED_SHOWN]]
    if len(done["unanswered"]) > UNANSWERED_SHOWN:
        lines.append(f"and {len(done['unanswered']) - UNANSWERED_SHOWN} more")
    return "\n".join(lines)


def faults_text(faults: Sequence[dict[str, Any]]) -> str:
    """The faults that are on."""
    if not faults:
        return "no faults; vpc-lab fault add imds=20"
    return table(
        ("ID", "FAULT", "FAILED", "LEFT"), [(f["id"], f["fault"], f["hits"], f["left"]) for f in faults]
    )


def call_line(call: dict[str, Any]) -> str:
    """One call of AWS's API."""
    at = dt.datetime.fromtimestamp(call["at"], dt.UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{at}  {call['who']:<15}  {_milliseconds(call['seconds']):>8}  {call_name(call)}  {call['code'] or 'ok'}"


def call_name(call: dict[str, Any]) -> str:
    """A call as faults name it: EC2's by its action, others' with their service before it."""
    return call["action"] if call["service"] in ("", "ec2") else f"{call['service']}:{call['action']}"


def calls_text(calls: Sequence[dict[str, Any]]) -> str:
    """AWS calls, oldest first."""
    return "\n".join(map(call_line, calls)) or "no calls"


def counts_text(counts: Sequence[dict[str, Any]]) -> str:
    """How often each call ended how."""
    return table(("ACTION", "CODE", "CALLS"), [(c["action"], c["code"] or "ok", c["count"]) for c in counts])


def findings_text(findings: Sequence[dict[str, Any]]) -> str:
    """What is not as it should be."""
    lines = [f"{one['where']}: {one['what']}" for one in findings]
    return "\n".join(lines) or "EC2, every node's kernel and every agent's checkpoint agree"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2f} ms"
