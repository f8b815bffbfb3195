"""The lab as the page asks it: the region's and the agents' view, and what a node knows of a pod."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vpclab.fabric import CommandError
from vpclab.lab.state import LabError
from vpclab.node import Node
from vpclab.page import PodError, Seen, picture

if TYPE_CHECKING:
    from vpclab.lab.lab import Lab

INTROSPECTION = 61679
"""The agents' port on their own loopback (spec 8.1)."""
AGENT_SECONDS = 2.0
TRACE_SECONDS = 30.0
REMEMBERED = 300
"""Calls that somebody is told of who begins to look."""
COUNTED = ("eth0", "eth1", "eth2", "ens5", "ens6")


class LabPage:
    """Answers the page's questions in the lab's loop; what blocks runs in the nodes' own threads."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._answered = lab.calls.answered

    # --- everything ---------------------------------------------------------------------------------------------

    async def look(self) -> Seen:
        """Everything as it is now."""
        lab = self._lab
        nodes = list(lab.nodes.values())
        answers = await asyncio.gather(*(self._ask_agent(node) for node in nodes))
        told = {node.name: status for node, (status, _) in zip(nodes, answers, strict=True)}
        decisions = [
            {**note, "node": node.name}
            for node, (_, notes) in zip(nodes, answers, strict=True)
            for note in notes
        ]
        view = lab.status()
        calls = lab.calls_since(self._answered, None, None)
        self._answered = calls["next"]
        drawn = {"name": view["name"], **picture(lab.region, view["machines"], view["pods"], told)}
        return Seen(drawn, calls["calls"], decisions)

    def remembered_calls(self) -> Sequence[Mapping[str, Any]]:
        """The last calls until now."""
        since = self._lab.calls_since(max(0, self._answered - REMEMBERED), None, None)
        known: list[Mapping[str, Any]] = since["calls"]
        missed = self._lab.calls.answered - self._answered  # those the next look tells of
        return known[: len(known) - missed] if missed else known

    async def _ask_agent(self, node: Node) -> tuple[Any, list[Any]]:
        """The agent's status and decisions; None and none if it does not answer."""
        if node.agent.pid is None:
            return None, []
        try:
            return await node.place.call(_introspect)
        except (OSError, http.client.HTTPException, ValueError):
            return None, []

    # --- one pod ------------------------------------------------------------------------------------------------

    async def pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Rules, routes and counters of a pod. Raises PodError."""
        node, address, veth = self._find(namespace, name)
        try:
            rules = await node.place.run(["ip", "rule"])
            routes = await node.place.run(["ip", "route", "show", "table", "all", "root", address])
        except CommandError as error:
            raise PodError(str(error)) from None
        counts = await node.place.call(_counters)
        mine = [line.strip() for line in rules.stdout.splitlines() if address in line.split()]
        ways = [line.strip() for line in routes.stdout.splitlines() if line.split()[:1] == [address]]
        return {
            "rules": [*mine, *ways],
            "counters": [
                {"device": device, "from": counts[device][0], "to": counts[device][1]}
                for device in (veth, *COUNTED)
                if device in counts
            ],
        }

    async def path(self, namespace: str, name: str, to: str) -> dict[str, Any]:
        """The way of a packet of a pod, as `vpc-cni trace` tells it on the node. Raises PodError."""
        node, _, _ = self._find(namespace, name)
        command = [sys.executable, "-m", "vpccni.cli", "trace", "-o", "json", f"{namespace}/{name}", to]
        try:
            done = await node.place.run(command, check=False, timeout=TRACE_SECONDS)
        except CommandError as error:
            raise PodError(str(error)) from None
        if done.returncode not in (0, 1):
            raise PodError(done.stderr.strip().removeprefix("Error: "))
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _find(self, namespace: str, name: str) -> tuple[Node, str, str]:
        try:
            node, record = self._lab.pods.find(name, namespace)
        except LabError as error:
            raise PodError(str(error)) from None
        return node, record.address, record.host_veth


def _introspect() -> tuple[Any, list[Any]]:
    """In the node's network namespace."""
    connection = http.client.HTTPConnection("127.0.0.1", INTROSPECTION, timeout=AGENT_SECONDS)
    try:
        answers = []
        for path in ("/v2/status", "/v2/decisions"):
            connection.request("GET", path)
            answer = connection.getresponse()
            answers.append(json.loads(answer.read()))
        return answers[0], answers[1]
    finally:
        connection.close()


def _counters() -> dict[str, tuple[int, int]]:
    """Packets that the node received and sent by each device."""
    found = {}
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]:
        device, _, numbers = line.partition(":")
        values = numbers.split()
        found[device.strip()] = (int(values[1]), int(values[9]))
    return found
