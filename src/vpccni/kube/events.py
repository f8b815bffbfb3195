"""Warnings on pods: why one has no address, and on our own which permission EC2 wants (spec 8.5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from vpccni.ipam.reasons import Refusal
from vpccni.ipam.values import Pod
from vpccni.kube.port import Cluster, Event, KubeError

log = logging.getLogger(__name__)

BETWEEN = 60.0
"""Seconds between two events of one reason on one pod: kubelet tries again every few seconds."""
MOST_UNDER_WAY = 20
"""Further ones are dropped: a node whose pool is empty may refuse hundreds of pods."""
IAM_DOCS = "https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md"


class Events:
    """Sends them in the background: nothing waits for an event, and one that fails is only logged."""

    def __init__(self, cluster: Cluster, own: Pod, clock: Callable[[], float]) -> None:
        """`own` is the agent's pod; `clock` gives seconds."""
        self._cluster = cluster
        self._own = own
        self._clock = clock
        self._sent: dict[tuple[Pod, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def missing_permission(self, action: str) -> None:
        """EC2 said that the node's role may not do `action` ("AssignPrivateIpAddresses")."""
        api = f"ec2:{action}"
        note = (
            f"Unauthorized operation: failed to call {api} due to missing permissions. Please refer {IAM_DOCS} to attach "
            "relevant policy to IAM role"
        )
        self._send(self._own, "MissingIAMPermissions", api, note)

    def no_address(self, pod: Pod, refusal: Refusal) -> None:
        """A pod was refused an address."""
        reason = refusal.reason
        note = f"{refusal.detail}: {reason.advice}" if refusal.detail else reason.advice
        self._send(pod, reason.value, "AssignAddress", note)

    async def stop(self) -> None:
        """Those under way come to nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _send(self, pod: Pod, reason: str, action: str, note: str) -> None:
        now = self._clock()
        self._sent = {key: at for key, at in self._sent.items() if now - at < BETWEEN}
        if (pod, reason) in self._sent or len(self._tasks) >= MOST_UNDER_WAY:
            return
        self._sent[pod, reason] = now
        task = asyncio.create_task(self._post(Event(pod.namespace, pod.name, reason, action, note)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, event: Event) -> None:
        try:
            await self._cluster.event(event)
        except KubeError as error:
            log.warning("no event %s on %s/%s: %s", event.reason, event.namespace, event.pod, error)
