"""What the agent follows in Kubernetes: its node, and with custom networking the node's ENIConfig (spec 6.6, 7.1).

The agent serves without it: nothing here is waited for, and an API server that does not answer only leaves things as they
were last told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vpccni.agent.settings import Settings
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Pod
from vpccni.kube.access import find_access
from vpccni.kube.eni_config import Named, eni_config_name
from vpccni.kube.port import Cluster, EniConfig, KubeError, NodeView

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds between tries to read and watch the node."""
ENI_CONFIG_EVERY = 60.0
"""Seconds between looks at an ENIConfig whose name stays the same."""
ENI_CONFIG_RETRY = 5.0
"""Seconds until one that was not to be had is looked for again: the node may be waiting for it."""


def configured(environ: Mapping[str, str]) -> bool:
    """Whether something says that there is an API server."""
    return any(environ.get(name) for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "CLUSTER_ENDPOINT"))


def connect(settings: Settings, environ: Mapping[str, str]) -> Cluster | None:
    """The API server's client, which sends nothing yet; None if nothing says that there is a cluster.

    Raises vpccni.kube.access.AccessError where what is configured cannot be used.
    """
    access = find_access(environ, endpoint=settings.cluster_endpoint)
    if access is None:
        return None
    from vpccni.kube.client import HttpCluster  # noqa: PLC0415 -- 7 MB that a node without a cluster need not have

    return HttpCluster(access, reporter=settings.pod_name or settings.node_name or "aws-node")


def own_pod(settings: Settings, environ: Mapping[str, str]) -> Pod:
    """The agent's pod, for events about the agent itself."""
    access = find_access(environ, endpoint=settings.cluster_endpoint)
    return Pod("kube-system" if access is None else access.namespace, settings.pod_name)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of the node, and how old that is."""

    node: NodeView | None
    """None: nothing was ever heard."""
    age: float | None
    """Seconds since the API server last told or confirmed it; it shows itself about once a minute. None: never."""
    trouble: str = ""
    """Why it is not followed at this moment; empty: it is."""

    def __str__(self) -> str:
        if self.age is None:
            return f"nothing is known of the node: {self.trouble or 'it is being asked for'}"
        known = f"the node as it was {self.age:.0f} s ago"
        return f"{known} ({self.trouble})" if self.trouble else known


class Kubernetes:
    """Follows the node and its ENIConfig. The callbacks run on the event loop, and only when something is different."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster | None,
        *,
        on_node: Callable[[NodeView], None],
        on_eni_config: Callable[[EniConfig | Refusal], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds, for the age of what is known."""
        self._settings = settings
        self._cluster = cluster
        self._on_node = on_node
        self._on_eni_config = on_eni_config
        self._clock = clock
        self._node: NodeView | None = None
        self._heard: float | None = None
        self._trouble = ""
        self._named: Named | None = None
        self._resolved: Named | None = None
        self._renamed = asyncio.Event()
        self._told: EniConfig | Refusal | None = None

    def knowledge(self) -> Knowledge:
        """The node as it is known now, with its age."""
        return Knowledge(
            self._node, None if self._heard is None else self._clock() - self._heard, self._trouble
        )

    @property
    def eni_config_name(self) -> str | None:
        """The ENIConfig that the node names; None before the node was read."""
        return self._named.name if self._named is not None else None

    async def run(self) -> None:
        """For ever; without a cluster it tells that, if it matters, and ends."""
        if self._cluster is None or not self._settings.node_name:
            why = "no API server is configured" if self._cluster is None else "MY_NODE_NAME is not set"
            if self._cluster is not None:
                log.error("%s: the node cannot be read", why)
            self._trouble = why
            self._refuse(why)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_node(self._cluster))
            if self._settings.custom_networking:
                tasks.create_task(self._follow_eni_config(self._cluster))

    # --- the node ---------------------------------------------------------------------------------------------

    async def _follow_node(self, cluster: Cluster) -> None:
        name = self._settings.node_name
        pause = FIRST_PAUSE
        while True:
            began = self._clock()
            try:
                async with contextlib.aclosing(cluster.watch_node(name)) as watch:
                    async for node in watch:
                        self._hear(node)
            except KubeError as error:
                self._trouble = str(error)
                log.warning("the node cannot be followed and is tried again: %s", self.knowledge())
                if self._node is None:
                    self._refuse(f"the node {name} cannot be read: {error}")
            except Exception as error:
                # whatever the API server says, following must not end
                self._trouble = repr(error)
                log.exception("following the node %s failed; it is tried again", name)
            if self._clock() - began >= LONGEST_PAUSE:
                pause = FIRST_PAUSE
            # a part of it by chance: an API server that comes back is not to be asked by all nodes at once
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 -- spreads nodes
            pause = min(pause * 2, LONGEST_PAUSE)

    def _hear(self, node: NodeView) -> None:
        if self._trouble:
            log.info("the node is followed again; %s", self.knowledge())
            self._trouble = ""
        self._heard = self._clock()
        self._take_in(node)

    def _take_in(self, node: NodeView) -> None:
        if node == self._node:
            return
        self._node = node
        named = eni_config_name(
            node,
            annotation_key=self._settings.eni_config_annotation,
            label_key=self._settings.eni_config_label,
        )
        if named != self._named:
            self._named = named
            self._renamed.set()
        self._on_node(node)

    # --- its ENIConfig ----------------------------------------------------------------------------------------

    async def _follow_eni_config(self, cluster: Cluster) -> None:
        while True:
            had = isinstance(self._told, EniConfig)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENI_CONFIG_EVERY if had else ENI_CONFIG_RETRY):
                    await self._renamed.wait()
            self._renamed.clear()
            if self._named is None:
                continue
            try:
                await self._resolve(cluster, self._named)
            except Exception:
                # as for the node
                log.exception("reading %s failed; it is tried again", self._named)

    async def _resolve(self, cluster: Cluster, named: Named) -> None:
        try:
            found = await cluster.eni_config(named.name)
        except KubeError as error:
            if self._resolved == named and isinstance(self._told, EniConfig):
                log.warning("%s cannot be read again: %s; it is taken to be as it was", named, error)
            else:
                self._refuse(f"{named} cannot be read: {error}")
            return
        self._resolved = named
        if found is None:
            self._refuse(f"there is no {named}")
        elif not found.subnet:
            self._refuse(f"{named} names no subnet")
        else:
            self._tell(found)

    def _refuse(self, detail: str) -> None:
        if self._settings.custom_networking:
            self._tell(Refusal(Reason.ENI_CONFIG_MISSING, detail))

    def _tell(self, news: EniConfig | Refusal) -> None:
        if news == self._told:
            return
        self._told = news
        if isinstance(news, Refusal):
            log.error("%s. %s", news, news.reason.advice)
        else:
            log.info(
                "ENIs for pods go into %s with the groups %s",
                news.subnet,
                ", ".join(news.security_groups) or "of the primary",
            )
        self._on_eni_config(news)
