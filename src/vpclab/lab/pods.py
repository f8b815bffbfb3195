"""The pods of a lab, over all its nodes: names, the choice of a node, and one change of a pod at a time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vpclab.lab.state import LabError, known_names
from vpclab.node import PATIENCE, CniError, Node, NodeDownError, NoNetworkError, PodRecord

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
"""A DNS label, as Kubernetes demands; so nothing in it can end an item of CNI_ARGS."""
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
LOOK_EVERY = 0.05
"""Seconds between looks at a pod that somebody else is ending."""
Key = tuple[str, str]


class LabPods:
    """Adds, finds and deletes pods. Used from the lab's loop."""

    def __init__(self, nodes: Callable[[], Mapping[str, Node]]) -> None:
        self._nodes = nodes
        self._coming: dict[Key, str] = {}
        self._going: set[Key] = set()

    async def add(
        self,
        name: str,
        namespace: str,
        node_name: str | None,
        ports: Iterable[Mapping[str, Any]],
        patience: float = PATIENCE,
    ) -> tuple[Node, PodRecord]:
        """Run a pod.

        Args:
            name: of the pod.
            namespace: of the pod.
            node_name: where; the node with the fewest pods if None.
            ports: as the `portMappings` capability takes them: hostPort, containerPort, protocol.
            patience: seconds for which it is tried again if the plugins say that it may be.

        Raises:
            LabError: the name is no name or is taken, there is no such node, or the plugins said no.
        """
        key = (_valid("namespace", namespace), _valid("pod", name))
        if key in self._coming or any(key in node.pods for node in self._nodes().values()):
            raise LabError(f"pod {namespace}/{name} is running or coming up already")
        node = self._choose(node_name)
        capabilities = {ANNOTATIONS: {"kubernetes.io/config.source": "api"}, "portMappings": list(ports)}
        self._coming[key] = node.name
        try:
            return node, await node.add_pod(namespace, name, capabilities, patience)
        except (CniError, NoNetworkError, NodeDownError) as error:
            raise LabError(f"pod {namespace}/{name} on {node.name}: {error}") from error
        finally:
            del self._coming[key]

    async def delete(self, name: str, namespace: str | None) -> None:
        """End a pod.

        Raises:
            LabError: there is no such pod, or the plugins said no: then it is still there.
        """
        node, record = self.find(name, namespace)
        key = (record.sandbox.namespace, record.sandbox.name)
        if key in self._going:
            raise LabError(f"pod {'/'.join(key)} is being deleted already")
        self._going.add(key)
        try:
            await node.delete_pod(*key)
        except (CniError, NoNetworkError, NodeDownError) as error:
            raise LabError(f"pod {'/'.join(key)} on {node.name}: {error}") from error
        finally:
            self._going.discard(key)

    async def drain(self, node: Node) -> None:
        """End a node's pods, by name; one that somebody else is ending is waited for.

        Raises:
            LabError: the plugins said no: that pod and those after it are still there.
        """
        while node.pods:
            space, pod = min(node.pods)
            if (space, pod) in self._going:
                await asyncio.sleep(LOOK_EVERY)
            else:
                await self.delete(pod, space)

    async def check(self, name: str, namespace: str | None) -> None:
        """Let the plugins look whether all is as ADD left it.

        Raises:
            LabError: it is not, or there is no such pod.
        """
        node, record = self.find(name, namespace)
        try:
            await node.runtime.check(record.sandbox)
        except (CniError, NoNetworkError) as error:
            raise LabError(f"pod {name} on {node.name}: {error}") from error

    def find(self, name: str, namespace: str | None = None) -> tuple[Node, PodRecord]:
        """A pod by name, or by namespace/name.

        Raises:
            LabError: there is none, or more than one.
        """
        if "/" in name:
            namespace, name = name.split("/", 1)
        found = [
            (node, record)
            for node in self._nodes().values()
            for (space, pod), record in node.pods.items()
            if pod == name and namespace in {None, space}
        ]
        if not found:
            raise known_names("pod", name if namespace is None else f"{namespace}/{name}", self.names())
        if len(found) > 1:
            names = ", ".join(f"{record.sandbox.namespace}/{name}" for _, record in found)
            raise LabError(f"more than one pod is called {name}: say which of {names}")
        return found[0]

    def names(self) -> list[str]:
        """Every pod, as namespace/name."""
        return [f"{space}/{pod}" for node in self._nodes().values() for space, pod in node.pods]

    def _choose(self, name: str | None) -> Node:
        nodes = self._nodes()
        if name is not None:
            if name not in nodes:
                raise known_names("node", name, nodes)
            return nodes[name]
        coming = list(self._coming.values())
        open_nodes = [node for node in nodes.values() if not node.cordoned]
        if not open_nodes:
            raise LabError("no node takes pods now: vpc-lab node add, or wait until one is ready")
        return min(open_nodes, key=lambda node: len(node.pods) + coming.count(node.name))


def _valid(what: str, name: str) -> str:
    if not NAME.match(name):
        raise LabError(
            f"{name!r} is no name for a {what}: lower-case letters, digits and dashes, at most 63, please"
        )
    return name
