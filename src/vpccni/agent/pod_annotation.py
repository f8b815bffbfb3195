"""Writes a pod's address on the pod (ANNOTATE_POD_IP, spec 7.4), behind the ADD, which does not wait for the API server."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from ipaddress import IPv4Address

from vpccni.ipam.values import Pod
from vpccni.kube.port import NOT_FOUND, Cluster, KubeError

log = logging.getLogger(__name__)

KEY = "vpc.amazonaws.com/pod-ips"
TRIES = 5
FIRST_PAUSE = 0.5
"""Seconds before the second try; doubled each time."""
AT_A_TIME = 4
"""Calls: a burst of pods is not to take the API server's attention from others."""


class PodAnnotator:
    """Each pod's changes in their order, different pods' beside each other. To be called on the event loop."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[Pod, deque[tuple[IPv4Address, bool]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(AT_A_TIME)

    def given(self, pod: Pod, address: IPv4Address) -> None:
        """The pod has it."""
        self._enqueue(pod, address, given=True)

    def taken_back(self, pod: Pod, address: IPv4Address) -> None:
        """The pod no longer has it; a pod of the same name that has another by now keeps that."""
        self._enqueue(pod, address, given=False)

    async def settled(self) -> None:
        """Wait until nothing is left to write."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """What is not written yet stays unwritten."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._waiting.clear()  # a task that was ended before it began has put nothing away

    def _enqueue(self, pod: Pod, address: IPv4Address, *, given: bool) -> None:
        if pod in self._waiting:
            self._waiting[pod].append((address, given))
            return
        self._waiting[pod] = deque([(address, given)])
        task = asyncio.create_task(self._work_off(pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, pod: Pod) -> None:
        changes = self._waiting[pod]
        try:
            while changes:
                await self._write(pod, *changes.popleft())
        finally:
            self._waiting.pop(pod, None)

    async def _write(self, pod: Pod, address: IPv4Address, given: bool) -> None:
        pause = FIRST_PAUSE
        for left in reversed(range(TRIES)):
            try:
                async with self._gate:
                    await self._cluster.annotate_pod(
                        pod.namespace,
                        pod.name,
                        KEY,
                        str(address) if given else "",
                        only_if=None if given else str(address),
                    )
            except KubeError as error:
                if error.status == NOT_FOUND:
                    return  # the pod is gone, and its annotation with it
                if not left:
                    verb = "written on" if given else "taken off"
                    log.error("%s could not be %s pod %s in %d tries: %s", address, verb, pod, TRIES, error)
                    return
            else:
                return
            await asyncio.sleep(pause)
            pause *= 2
