"""A packet is sent along the way that `vpc-cni trace` foretells, and looked for at each step."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from vpccni.cli.trace.steps import INTERNET, NODE, POD
from vpclab.demo.eyes import Eyes, Output
from vpclab.lab.state import LabError

TRACE_SECONDS = 60.0
SEEN_WITHIN = 3.0
"""Seconds after an answer, or after it was waited for, in which a capture must have written what it saw."""
TO_INTERNET = "igw"
"""The internet's device towards the study's gateway."""
Plain = dict[str, Any]


def trace(eyes: Eyes, source: str, destination: str, protocol: str | None) -> Plain:
    """What `vpc-cni trace` says of it on the source's node. Raises LabError."""
    node, sender = _sender(eyes.ask("status"), source)
    asked = [] if protocol is None else ["--protocol", protocol]
    command = [sys.executable, "-m", "vpccni.cli", "trace", "-o", "json", *asked, sender, destination]
    done = subprocess.run(
        eyes.command(node, *command), capture_output=True, text=True, check=False, timeout=TRACE_SECONDS
    )
    if done.returncode not in (0, 1):
        raise LabError(done.stderr.strip().removeprefix("Error: "))
    found: Plain = json.loads(done.stdout)
    return {**found, "node": node}


def sent_along(eyes: Eyes, found: Plain) -> Plain:
    """Send the packet; the trace with what was seen of it at each step, and what came back. Raises LabError."""
    status = eyes.ask("status")
    sender = found["node"] if found["source"] == found["sourceAddress"] else found["source"]
    captures: dict[int, Output] = {}
    with ExitStack() as stack:
        for number, step in enumerate(found["steps"]):
            if step["capture"] is not None:
                where, device = _place(status, found, step["capture"])
                wanted = step["capture"]["filter"]
                captures[number] = stack.enter_context(eyes.capture(where, device, wanted))
        answer = _send(eyes, sender, found)
        # what is foretold to be lost is waited for as well: it might be seen beyond
        _wait(captures.values())
        seen = {number: bool(output.lines) for number, output in captures.items()}
    steps = [{**step, "seen": _judged(found, seen.get(number))} for number, step in enumerate(found["steps"])]
    return {**found, "steps": steps, "answer": answer}


def held(found: Plain) -> bool:
    """Whether what was foretold was seen."""
    return all(step["seen"] is not False for step in found["steps"])


def _judged(found: Plain, seen: bool | None) -> bool | None:
    # chance may have chosen another endpoint than the one that was followed
    return None if seen is False and found["alternatives"] else seen


def _wait(outputs: Iterable[Output]) -> None:
    outputs, deadline = list(outputs), time.monotonic() + SEEN_WITHIN
    while time.monotonic() < deadline and not all(output.lines for output in outputs):
        time.sleep(0.02)  # tcpdump writes it


def _send(eyes: Eyes, sender: str, found: Plain) -> str:
    address = found["destination"]
    if found["protocol"] == "icmp":
        return "answered" if eyes.pings(sender, address) else "no answer"
    if not found["port"]:
        raise LabError(f"{found['protocol']} goes to a port: {address}:PORT")
    command = (sys.executable, "-m", "vpclab.demo.one_packet", found["protocol"], address, str(found["port"]))
    return eyes.run(sender, *command)


def _sender(status: Plain, source: str) -> tuple[str, str]:
    """The node to trace on, and how it calls the sender. Raises LabError."""
    machines = {machine["name"]: machine for machine in status["machines"]}
    if source in machines:
        if "agent" not in machines[source]:
            raise LabError(f"{source} is no node of the cluster: a trace begins at a pod or a node")
        return source, "node"
    for pod in status["pods"]:
        if source in (pod["name"], f"{pod['namespace']}/{pod['name']}", pod["ip"]):
            return pod["node"], f"{pod['namespace']}/{pod['name']}"
    raise LabError(f"there is no pod or node {source}; vpc-lab pod list shows them")


def _place(status: Plain, found: Plain, capture: Plain) -> tuple[str, str]:
    """Where in the lab to look, and at which device."""
    if capture["place"] == POD:
        return found["source"], capture["interface"]
    if capture["place"] == NODE:
        return found["node"], capture["interface"]
    if capture["place"] == INTERNET:
        return "internet", TO_INTERNET
    for pod in status["pods"]:
        if pod["ip"] == capture["destination"]:
            return f"{pod['namespace']}/{pod['name']}", "eth0"
    for machine in status["machines"]:
        if machine["privateIp"] == capture["destination"]:
            return machine["name"], "any"
    return "router", "any"
