"""Writes a pod's address on the pod (ANNOTATE_POD_IP, spec 7.4), behind the ADD, which does not wait for the API server."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from vpccni.ipam.values import Address, Pod
from vpccni.kube.port import NOT_FOUND, Cluster, KubeError

log = logging.getLogger(__name__)

KEY = "vpc.amazonaws.com/pod-ips"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between tries of a write that may yet succeed; doubled each time."""
AT_A_TIME = 4
"""Calls: a burst of pods is not to take the API server's attention from others."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an ADD or a DEL did to a pod's address."""

    address: Address
    given: bool


def still_to_write(waiting: tuple[Change, ...], new: Change) -> tuple[Change, ...]:
    """What is left of a pod's changes when one more comes: the last of each address, and one address given.

    What a later change undoes is still taken off: it may have reached the API server without our hearing of it.
    """
    left = (change for change in waiting if change.address != new.address)
    return (*(replace(change, given=False) if change.given and new.given else change for change in left), new)


class PodAnnotator:
    """Each pod's changes in their order, different pods' beside each other. To be called on the event loop.

    A write that the API server cannot take at the moment is tried until it can; one that it refuses is told and left.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._waiting: dict[Pod, tuple[Change, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(AT_A_TIME)

    def given(self, pod: Pod, address: Address) -> None:
        """The pod has it."""
        self._enqueue(pod, Change(address, given=True))

    def taken_back(self, pod: Pod, address: Address) -> None:
        """The pod no longer has it; a pod of the same name that has another by now keeps that."""
        self._enqueue(pod, Change(address, given=False))

    async def settled(self) -> None:
        """Wait until nothing is left to write."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """What is not written yet stays unwritten."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # a task that was never begun could not put its pod away
        self._waiting.clear()

    def _enqueue(self, pod: Pod, change: Change) -> None:
        busy = pod in self._waiting
        self._waiting[pod] = still_to_write(self._waiting.get(pod, ()), change)
        if busy:
            return
        task = asyncio.create_task(self._work_off(pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, pod: Pod) -> None:
        pause = FIRST_PAUSE
        try:
            while self._waiting[pod]:
                change = self._waiting[pod][0]
                if await self._write(pod, change):
                    pause = FIRST_PAUSE
                    # the very one: while it was written it may have been replaced
                    self._waiting[pod] = tuple(c for c in self._waiting[pod] if c is not change)
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._waiting.pop(pod, None)

    async def _write(self, pod: Pod, change: Change) -> bool:
        """Whether nothing is left to do for this change."""
        address = str(change.address)
        try:
            async with self._gate:
                await self._cluster.annotate_pod(
                    pod.namespace,
                    pod.name,
                    KEY,
                    address if change.given else "",
                    only_if=None if change.given else address,
                )
        except KubeError as error:
            if error.status == NOT_FOUND:
                return True  # the pod is gone, and its annotation with it
            verb = "written on" if change.given else "taken off"
            if error.passing:
                log.warning("%s is not yet %s pod %s: %s; it is tried again", address, verb, pod, error)
                return False
            log.error("%s could not be %s pod %s: %s. The service account of aws-node needs get and patch on pods",
                      address, verb, pod, error)  # fmt: skip
        except Exception:
            # one pod's write is not to end what the same pod's next address needs
            log.exception("%s of pod %s could not be told to the API server", address, pod)
        return True
