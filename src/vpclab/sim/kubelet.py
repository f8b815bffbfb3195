"""A pod's way to its address as kubelet walks it: a sandbox, ADD, and after a failure another sandbox some seconds later."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from vpccni.ipam.reasons import Refusal
from vpccni.ipam.values import Pod, SandboxKey
from vpclab.sim.events import Events, Timer

BACK_OFF, BACK_OFF_JITTER = 10.0, 0.5
"""Seconds after which kubelet tries a pod again whose sandbox failed, and the part that is added at most."""


class Network(Protocol):
    """The node's CNI."""

    def add(self, key: SandboxKey, pod: Pod, answer: Callable[[object], None]) -> None:
        """`answer` gets a Refusal, or anything else if the sandbox is connected."""

    def delete(self, key: SandboxKey) -> None:
        """The sandbox is gone."""


@dataclass(slots=True)
class Waits:
    """How long pods waited for their addresses, and what failed."""

    seconds: list[float] = field(default_factory=list)
    """One for each pod that got an address."""
    failed_adds: int = 0
    never: int = 0
    """Pods that were gone before they had an address."""

    def forget(self) -> None:
        """Count anew."""
        self.seconds.clear()
        self.failed_adds = self.never = 0

    def quantile(self, part: float) -> float:
        """The wait that this part of the pods did not exceed."""
        ordered = sorted(self.seconds)
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    @property
    def waited(self) -> int:
        """Pods whose address was not there at once."""
        return sum(1 for wait in self.seconds if wait > 0)


class PodLife:
    """One pod on one node, from when it is bound to when it is deleted."""

    __slots__ = (
        "_events",
        "_kubelet",
        "_retry",
        "_since",
        "_tries",
        "connected",
        "gone",
        "key",
        "pod",
        "said",
    )

    def __init__(self, kubelet: Kubelet, pod: Pod) -> None:
        self._kubelet = kubelet
        self._events = kubelet.events
        self.pod = pod
        self.key: SandboxKey | None = None
        self.connected = False
        self.gone = False
        self.said: object = None
        """What the network answered last."""
        self._since = kubelet.events.now
        self._tries = 0
        self._retry: Timer | None = None
        self._try()

    @property
    def since(self) -> float:
        """When it was bound to the node."""
        return self._since

    def end(self) -> None:
        """The pod is deleted."""
        self.gone = True
        if self._retry is not None:
            self._retry.cancel()
        if not self.connected:
            self._kubelet.waits.never += 1
        elif self.key is not None:
            self._kubelet.network.delete(self.key)
            self._kubelet.left(self)
        self.connected = False

    def _try(self) -> None:
        self._retry = None
        self._tries += 1
        key = self.key = SandboxKey("aws-cni", f"{self.pod.name}-{self._tries}", "eth0")
        self._kubelet.network.add(key, self.pod, lambda said: self._answered(key, said))

    def _answered(self, key: SandboxKey, said: object) -> None:
        kubelet = self._kubelet
        self.said = said
        if isinstance(said, Refusal):
            kubelet.waits.failed_adds += 1
            kubelet.failed(self, said)
            kubelet.network.delete(key)
            if not self.gone:
                self._retry = self._events.after(kubelet.back_off(), self._try)
        elif self.gone:
            kubelet.network.delete(key)
        else:
            self.connected = True
            kubelet.waits.seconds.append(self._events.now - self._since)
            kubelet.came(self)


class Kubelet:
    """One node's."""

    def __init__(
        self,
        events: Events,
        network: Network,
        waits: Waits,
        *,
        seed: int,
        changed: Callable[[int, PodLife], None] = lambda _, __: None,
        failed: Callable[[PodLife, Refusal], None] = lambda _, __: None,
    ) -> None:
        """`changed` is told of 1 for a pod that got an address, of -1 for one that gave it back; `failed` of failed ADDs."""
        self.events = events
        self.network = network
        self.waits = waits
        self._changed = changed
        self.failed = failed
        self._chance = random.Random(f"kubelet {seed}")  # noqa: S311 -- the same back-offs in each run

    def run(self, pod: Pod) -> PodLife:
        """A pod was bound to the node."""
        return PodLife(self, pod)

    def back_off(self) -> float:
        """Seconds to the next try."""
        return BACK_OFF * (1 + BACK_OFF_JITTER * self._chance.random())

    def came(self, life: PodLife) -> None:
        """A pod has its address."""
        self._changed(1, life)

    def left(self, life: PodLife) -> None:
        """A pod has given its address back."""
        self._changed(-1, life)
