"""The node's condition in Kubernetes: whether its pods can get addresses, and if not, why; in the words of the pods' events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vpccni.agent.readiness import Condition, Readiness
from vpccni.kube.port import FORBIDDEN, Cluster, KubeError, NodeCondition

log = logging.getLogger(__name__)

TYPE = "PodAddressesAvailable"
LOOK_EVERY = 5.0
"""Seconds between looks at how the pool is; the API server is written to only if that is news."""
HEARTBEAT = 300.0
"""Seconds after which it is written again unchanged: kubelet renews its conditions as often."""
AGAIN_AFTER = 30.0
"""Seconds until one that could not be written is tried again."""


def condition_of(readiness: Readiness) -> NodeCondition:
    """The condition that says how the pool is."""
    if readiness.condition is Condition.SERVING:
        return NodeCondition(
            TYPE, True, "AddressesAvailable", "the pool has addresses for pods, or gets some"
        )
    if not readiness.because:
        return NodeCondition(TYPE, False, "AgentStopping", "the agent has been told to stop")
    first = readiness.because[0]
    told = "; ".join(f"{each}. {each.reason.advice}" for each in readiness.because)
    return NodeCondition(TYPE, False, first.reason.value, told)


class ConditionWriter:
    """One node's."""

    def __init__(
        self, cluster: Cluster, node: str, readiness: Callable[[], Readiness], clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds."""
        self._cluster = cluster
        self._node = node
        self._readiness = readiness
        self._clock = clock
        self._written: NodeCondition | None = None
        self._at = 0.0

    async def run(self) -> None:
        """For ever, or until it is forbidden: then that is told once, for events and metrics say the same."""
        while True:
            try:
                await self.look()
                pause = LOOK_EVERY
            except KubeError as error:
                log.warning("the condition %s of node %s cannot be written: %s", TYPE, self._node, error)
                if error.status == FORBIDDEN:
                    log.warning(
                        "it is not tried again: aws-node's service account may not patch nodes/status"
                    )
                    return
                pause = AGAIN_AFTER
            await asyncio.sleep(pause)

    async def look(self) -> None:
        """Write the condition if it is news or the last time was long ago. Raises KubeError."""
        now = self._clock()
        wanted = condition_of(self._readiness())
        before = self._written
        if wanted == before and now - self._at < HEARTBEAT:
            return
        changed = before is None or before.holds != wanted.holds
        await self._cluster.set_node_condition(self._node, wanted, changed=changed)
        self._written, self._at = wanted, now
