"""What makes a node of an instance, behind one port: a bare agent here, another implementation for Kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vpclab.aws.keys import Keys
from vpclab.eks import Eks
from vpclab.fabric import Fabric, Place
from vpclab.lab.pods import LabPods
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.node import AgentProcess, Machine, Node, NodeNotReadyError, Runtime, agent_environment
from vpclab.region.values import Instance

if TYPE_CHECKING:
    from vpclab.kubernetes.cluster import Cluster

Changes = Mapping[str, str | None]
"""Variables of an agent's environment; None: not that one."""


class NodeKind(Protocol):
    """How nodes of the cluster are made, emptied and configured. Called from the lab's loop."""

    def make(self, name: str, instance: Instance, place: Place) -> Machine:
        """The node on an instance whose network is up; `Machine.start` is called next. Anew at each boot."""

    async def drain(self, machine: Machine) -> None:
        """Nothing new comes to the node, and its pods end, in order. Raises LabError: one does not."""

    async def configure(self, environment: Mapping[str, str], machines: Sequence[Machine]) -> None:
        """The vpc-cni add-on's whole environment is this now: for nodes that come, and one by one for these.

        Raises LabError: a node's agent does not come back; those after it have not been touched.
        """

    async def override(self, changes: Changes, machines: Sequence[Machine]) -> None:
        """These nodes' agents get other variables than the add-on gives, at once and after each boot. Raises LabError."""

    def recall(self, by_hand: Mapping[str, Changes]) -> None:
        """What `override` was told before the lab's process ended, by instance: for nodes that boot from now on."""


class BareKind:
    """Nodes without Kubernetes: the agent is a process, pods are namespaces."""

    def __init__(
        self, region: str, environment: Mapping[str, str], pods: LabPods, *, always: Mapping[str, str]
    ) -> None:
        """`environment` is the add-on's, which `configure` changes; `always` are variables of every agent beside it."""
        self._region = region
        self._environment = dict(environment)
        self._always = dict(always)
        self._own: dict[str, dict[str, str | None]] = {}
        self._pods = pods

    def make(self, name: str, instance: Instance, place: Place) -> Node:
        """A node with an agent that is not started yet."""
        agent = AgentProcess(place, self._wanted(name, instance.id))
        return Node(name, instance.id, place, agent, Runtime(place))

    async def drain(self, machine: Machine) -> None:
        """Pods are deleted by name, each with the plugins' DEL."""
        if isinstance(machine, Node):
            machine.cordoned = True
            await self._pods.drain(machine)

    async def configure(self, environment: Mapping[str, str], machines: Sequence[Machine]) -> None:
        """Each agent whose environment is another one is started anew, and serves before the next one's turn."""
        self._environment = dict(environment)
        for node in machines:
            if not isinstance(node, Node):
                continue
            wanted = self._wanted(node.name, node.instance_id)
            if node.agent.env == wanted:
                continue
            node.agent.set_environment(wanted)
            await _restart(node)
            try:
                await node.wait_serving()
            except NodeNotReadyError as error:
                raise LabError(str(error)) from error

    async def override(self, changes: Changes, machines: Sequence[Machine]) -> None:
        """All at once."""
        nodes = [node for node in machines if isinstance(node, Node)]
        for node in nodes:
            self._own[node.instance_id] = {**self._own.get(node.instance_id, {}), **changes}
            node.agent.set_environment(self._wanted(node.name, node.instance_id))
        await asyncio.gather(*(_restart(node) for node in nodes))

    def recall(self, by_hand: Mapping[str, Changes]) -> None:
        """Their agents start with it."""
        self._own = {instance_id: dict(changes) for instance_id, changes in by_hand.items()}

    def _wanted(self, name: str, instance_id: str) -> dict[str, str]:
        whole: dict[str, str | None] = {
            **agent_environment(name, self._region, {**self._always, **self._environment}),
            **self._own.get(instance_id, {}),
        }
        return {key: value for key, value in whole.items() if value is not None}


async def _restart(node: Node) -> None:
    await node.agent.stop()
    node.agent.start()


def cluster_for(
    settings: LabSettings,
    eks: Eks,
    keys: Keys,
    fabric: Fabric,
    machines: Path,
    environment: Mapping[str, str],
    always: Mapping[str, str],
) -> Cluster | None:
    """The cluster of a lab with Kubernetes, to be started; None without. Raises LabError: something for it is missing."""
    if not settings.kubernetes:
        return None
    # loads what only such a lab needs
    from vpclab.kubernetes.cluster import Cluster  # noqa: PLC0415
    from vpclab.kubernetes.supplies import gather  # noqa: PLC0415

    supplies = gather(settings.name, eks.region.name, settings.kubernetes_bin)
    return Cluster(
        settings.name,
        eks,
        fabric,
        machines,
        supplies,
        environment,
        keys=keys,
        strict=settings.strict_auth,
        always=always,
    )
