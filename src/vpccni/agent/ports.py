"""What serving pods takes beside addresses, and who does it is elsewhere: the kernel, the disk, policies, branch ENIs."""

from __future__ import annotations

from typing import Protocol

from vpccni.agent.cni_call import CniCall
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.checkpoint import JournalEntry
from vpccni.ipam.values import Assignment, Eni, Pod


class Mender(Protocol):
    """Whoever has pods lead by other ENIs. Idempotent; failures are `HostError`."""

    async def mend(self, assignment: Assignment, eni: Eni) -> None:
        """The pod's route and rules lead by this ENI."""


class Host(Mender, Protocol):
    """The node's kernel, as pods need it. Every method is idempotent; failures are `HostError`."""

    async def wire(self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni) -> str:
        """Connect the sandbox; returns the host veth's name."""

    async def unwire(self, pod: Pod, assignment: Assignment, eni: Eni | None, *, keep_link: bool) -> None:
        """Take the pod's rules, route and (unless `keep_link`) its link away."""

    async def check(
        self, request: PluginRequest, call: CniCall, assignment: Assignment, eni: Eni
    ) -> list[str]:
        """What differs from what `wire` would make, in words."""


class HostError(Exception):
    """The kernel refused a step; the message says which and for whom."""


class Policies(Protocol):
    """Whoever enforces network policies on pods; failures are CniError."""

    async def enforce(self, pod: Pod, interfaces: int = 1) -> None:
        """Before the pod runs."""

    async def forget(self, pod: Pod) -> None:
        """After it has gone."""


class Branches(Protocol):
    """The pods with branch ENIs, whose addresses are none of the pools'. What fails is a CniError."""

    async def add(self, request: PluginRequest, call: CniCall) -> bytes | None:
        """ADD's result; None: it is no such pod."""

    async def delete(self, call: CniCall) -> bool:
        """Whether it was such a pod, and is not connected any more."""

    async def check(self, request: PluginRequest, call: CniCall) -> bool:
        """Whether it is such a pod, and all right."""

    async def sweep(self) -> None:
        """Take away what is left of such pods that have gone."""


class Store(Protocol):
    """Where assignments are written down."""

    async def append(self, entry: JournalEntry) -> None:
        """Return when the entry is safe on disk; raises OSError."""
