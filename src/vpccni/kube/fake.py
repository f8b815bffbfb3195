"""A cluster in memory, for tests and for nodes without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from vpccni.kube.port import NOT_FOUND, EniConfig, Event, KubeError, NodeCondition, NodeView, PodView

POD = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class FakeCluster:
    """Meets `Cluster`. Its contents may be changed directly, except nodes, whose watchers want to hear of it."""

    eni_configs: dict[str, EniConfig] = field(default_factory=dict)
    pods: dict[POD, dict[str, str]] = field(default_factory=dict)
    """Annotations by pod."""
    limits: dict[POD, frozenset[str]] = field(default_factory=dict)
    """The resources' names by pod."""
    features: dict[str, dict[str, str]] = field(default_factory=dict)
    """By CNINode: values by feature."""
    events: list[Event] = field(default_factory=list)
    conditions: dict[str, NodeCondition] = field(default_factory=dict)
    """The condition that was written last, by node."""
    failures: list[KubeError] = field(default_factory=list)
    """What the next calls fail with, one each."""
    calls: list[str] = field(default_factory=list)
    """What was asked, failed or not."""
    _nodes: dict[str, NodeView] = field(default_factory=dict)
    _watchers: list[asyncio.Queue[NodeView | KubeError | None]] = field(default_factory=list)

    def put_node(self, name: str, node: NodeView) -> None:
        """The node is now this."""
        self._nodes[name] = node
        for watcher in self._watchers:
            watcher.put_nowait(node)

    def end_watches(self, error: KubeError | None = None) -> None:
        """End every watch, with an error or as the API server does from time to time."""
        for watcher in self._watchers:
            watcher.put_nowait(error)

    async def version(self) -> str:
        """Answers."""
        self._asked("version")
        return "v1.0.0-fake"

    async def node(self, name: str) -> NodeView:
        """The node as it is now."""
        self._asked(f"node {name}")
        if name not in self._nodes:
            raise KubeError(NOT_FOUND, f"there is no node {name}")
        return self._nodes[name]

    async def watch_node(self, name: str) -> AsyncGenerator[NodeView, None]:
        """The node now and after each change."""
        heard: asyncio.Queue[NodeView | KubeError | None] = asyncio.Queue()
        now = await self.node(name)
        self._watchers.append(heard)
        try:
            yield now
            while (news := await heard.get()) is not None:
                if isinstance(news, KubeError):
                    raise news
                yield news
        finally:
            self._watchers.remove(heard)

    async def eni_config(self, name: str) -> EniConfig | None:
        """An ENIConfig; None if there is none of that name."""
        self._asked(f"eni_config {name}")
        return self.eni_configs.get(name)

    async def pod(self, namespace: str, name: str) -> PodView | None:
        """A pod as it is now; None if there is none of that name."""
        self._asked(f"pod {namespace}/{name}")
        if (namespace, name) not in self.pods:
            return None
        limits = self.limits.get((namespace, name), frozenset())
        return PodView(f"uid-of-{name}", dict(self.pods[namespace, name]), limits)

    async def ask_for_feature(self, node: str, feature: str, value: str = "") -> bool:
        """Write a feature in the node's CNINode."""
        self._asked(f"ask_for_feature {node} {feature}={value}")
        if node not in self.features:
            raise KubeError(NOT_FOUND, f'cninodes "{node}" not found')
        new = self.features[node].get(feature) != value
        self.features[node][feature] = value
        return new

    async def annotate_pod(
        self, namespace: str, name: str, key: str, value: str, *, only_if: str | None = None
    ) -> bool:
        """Set an annotation; with `only_if` only while it has that value, and False if it has another."""
        self._asked(f"annotate_pod {namespace}/{name} {key}={value}")
        annotations = self._pod(namespace, name)
        if only_if is not None and annotations.get(key) != only_if:
            return False
        annotations[key] = value
        return True

    async def event(self, event: Event) -> None:
        """Put a warning on a pod."""
        self._asked(f"event {event.namespace}/{event.pod} {event.reason}")
        self._pod(event.namespace, event.pod)
        self.events.append(event)

    async def set_node_condition(self, node: str, condition: NodeCondition, *, changed: bool) -> None:
        """Write one of the node's conditions."""
        self._asked(f"set_node_condition {node} {condition.reason} changed={changed}")
        self.conditions[node] = condition

    async def close(self) -> None:
        """Nothing to drop."""

    def _asked(self, what: str) -> None:
        self.calls.append(what)
        if self.failures:
            raise self.failures.pop(0)

    def _pod(self, namespace: str, name: str) -> dict[str, str]:
        if (namespace, name) not in self.pods:
            raise KubeError(NOT_FOUND, f'pods "{name}" not found')
        return self.pods[namespace, name]
