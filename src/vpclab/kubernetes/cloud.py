"""What a cloud controller does for nodes: gives them their addresses and labels, and removes those whose instance is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vpclab.kubernetes.api import KubernetesApi, KubernetesError
from vpclab.kubernetes.kubelet import NodeFacts

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between looks."""
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
"""A kubelet's taint until the cloud has told of the node."""
NODES = "/api/v1/nodes"


@dataclass(frozen=True, slots=True)
class Describe:
    """Tell the API server what the cloud knows of a node."""

    node: str
    facts: NodeFacts
    taints: tuple[Mapping[str, Any], ...]
    """What is left of its taints."""


@dataclass(frozen=True, slots=True)
class Remove:
    """The node's instance is no more."""

    node: str


def decide(
    nodes: Iterable[Mapping[str, Any]], instances: Mapping[str, NodeFacts]
) -> Iterator[Describe | Remove]:
    """What is to be done about these nodes; `instances` by the node's name, terminated ones not among them."""
    for node in nodes:
        name = str(node["metadata"]["name"])
        facts = instances.get(name)
        # an address may be another instance's by now, whose kubelet has not registered yet
        if facts is None or node["spec"].get("providerID") not in (None, facts.provider_id):
            yield Remove(name)
            continue
        taints = node["spec"].get("taints") or []
        left = tuple(taint for taint in taints if taint["key"] != UNINITIALIZED)
        labels = node["metadata"].get("labels") or {}
        known = (
            len(left) == len(taints)
            and (node.get("status") or {}).get("addresses") == facts.addresses
            and all(labels.get(key) == value for key, value in facts.cloud_labels.items())
        )
        if not known:
            yield Describe(name, facts, left)


class CloudController:
    """Looks at the nodes for as long as the cluster lives."""

    def __init__(self, api: KubernetesApi, instances: Callable[[], Mapping[str, NodeFacts]]) -> None:
        self._api = api
        self._instances = instances
        self._nodes: dict[str, Mapping[str, Any]] = {}

    async def run(self) -> None:
        """Until it is cancelled. While nobody answers there is nothing to do."""
        while True:
            try:
                await self.look()
            except KubernetesError as error:
                log.debug("no look at the nodes: %s", error)
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """One look, and what comes of it. Raises KubernetesError."""
        nodes = (await self._api.get(NODES))["items"]
        self._nodes = {node["metadata"]["name"]: node for node in nodes}
        for action in decide(nodes, self._instances()):
            try:
                await self._do(action)
            except KubernetesError as error:
                if not error.status:
                    raise  # nobody answers: the others would wait for nothing
                log.warning("node %s is not as its instance is: %s", action.node, error)

    async def _do(self, action: Describe | Remove) -> None:
        match action:
            case Remove(node):
                await self._api.delete(f"{NODES}/{node}")
                log.info("node %s is removed: its instance is gone", node)
            case Describe(node, facts, taints):
                await self._describe(node, facts, taints)

    def ready(self, name: str) -> tuple[bool, str]:
        """Whether a node was Ready at the last look, and if not, why."""
        node = self._nodes.get(name)
        if node is None:
            return False, "it has not registered"
        for condition in (node.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Ready":
                return condition["status"] == "True", str(condition.get("message", ""))
        return False, "it has not told its state"

    async def _describe(self, node: str, facts: NodeFacts, taints: tuple[Mapping[str, Any], ...]) -> None:
        # the addresses first: who waits for the taint to go reads them
        await self._api.patch(
            f"{NODES}/{node}/status",
            {"status": {"addresses": [*facts.addresses, {"$patch": "replace"}]}},
        )
        spec = {"providerID": facts.provider_id, "taints": list(taints)}
        await self._api.patch(
            f"{NODES}/{node}",
            {"metadata": {"labels": facts.cloud_labels}, "spec": spec},
        )
