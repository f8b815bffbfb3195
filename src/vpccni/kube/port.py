"""The Kubernetes API as a port: what the agent asks of it, met by `HttpCluster` and, without a network, by `FakeCluster`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
PASSING = frozenset({401, 408, CONFLICT, 429})
"""401: a token between two renewals, or an API server that does not know its keys yet."""
SERVER_ERROR = 500


class KubeError(Exception):
    """A call came to nothing: HTTP's status and what the API server said."""

    def __init__(self, status: int | None, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message if status is None else f"{status}: {message}")
        self.status = status
        """None: there was no answer, or none that could be read."""
        self.message = message
        self.timed_out = timed_out
        """No answer in time, as distinct from a connection that was refused."""

    @property
    def passing(self) -> bool:
        """Whether the same call may well succeed later: no answer, too busy, or broken on their side."""
        return self.status is None or self.status in PASSING or self.status >= SERVER_ERROR


@dataclass(frozen=True, slots=True)
class Taint:
    """What keeps pods off a node."""

    key: str
    effect: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What the agent reads of its node."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    """Cordoned, by the node's own field or by the taint that goes with it (spec 7.4)."""
    max_pods: int | None = None
    """status.capacity.pods; None before kubelet has said it."""


@dataclass(frozen=True, slots=True)
class PodView:
    """What the agent reads of a pod."""

    uid: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    limits: frozenset[str] = frozenset()
    """The names of the resources that its first container is limited to."""


@dataclass(frozen=True, slots=True)
class EniConfig:
    """Where the ENIs for pods go with custom networking (spec 7.1)."""

    subnet: str
    security_groups: tuple[str, ...] = ()
    """None given: the primary ENI's."""


@dataclass(frozen=True, slots=True)
class Event:
    """A warning on a pod, for whoever describes it."""

    namespace: str
    pod: str
    reason: str
    """One word that a program can compare."""
    action: str
    """What was tried."""
    note: str
    """The sentences for a person."""


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """A line among a node's conditions, as `kubectl describe node` shows them."""

    type: str
    holds: bool
    reason: str
    """One word that a program can compare."""
    message: str
    """The sentences for a person."""


class Cluster(Protocol):
    """Asynchronous; every failure is a KubeError."""

    async def version(self) -> str:
        """The API server's version. Tells by answering that it can be reached and takes our credentials."""

    async def node(self, name: str) -> NodeView:
        """The node as it is now."""

    def watch_node(self, name: str) -> AsyncGenerator[NodeView, None]:
        """The node now, after each change, and now and then unchanged, as a sign of life.

        Ends when the API server ends it: then it is begun again.
        """

    async def eni_config(self, name: str) -> EniConfig | None:
        """An ENIConfig; None if there is none of that name."""

    async def pod(self, namespace: str, name: str) -> PodView | None:
        """A pod as it is now; None if there is none of that name."""

    async def ask_for_feature(self, node: str, feature: str, value: str = "") -> bool:
        """Write a feature in the node's CNINode (spec 7.2); False if it is there already. No CNINode is a KubeError."""

    async def annotate_pod(
        self, namespace: str, name: str, key: str, value: str, *, only_if: str | None = None
    ) -> bool:
        """Set an annotation; with `only_if` only while it has that value, and False if it has another."""

    async def event(self, event: Event) -> None:
        """Put a warning on a pod."""

    async def set_node_condition(self, node: str, condition: NodeCondition, *, changed: bool) -> None:
        """Write one of the node's conditions; `changed`: it held not, and does now, or the other way round."""

    async def close(self) -> None:
        """Drop the connections."""
