"""What the agent follows in Kubernetes: its node, and with custom networking the node's ENIConfig (spec 6.6, 7.1).

The agent serves without it: nothing here is waited for, and an API server that does not answer only leaves things as they
were last told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping

from vpccni.agent.settings import Settings
from vpccni.ipam.reasons import Reason, Refusal
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
    """Whether there is an API server to talk to."""
    return bool(environ.get("KUBERNETES_SERVICE_HOST") or environ.get("CLUSTER_ENDPOINT"))


def endpoint(settings: Settings, environ: Mapping[str, str]) -> str:
    """The API server's URL: CLUSTER_ENDPOINT, which works before kube-proxy does, or the cluster's own service."""
    if settings.cluster_endpoint:
        url = settings.cluster_endpoint
        return url if "://" in url else f"https://{url}"
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT") or "443"
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def connect(settings: Settings, environ: Mapping[str, str]) -> Cluster:
    """The API server's client; sends nothing yet."""
    from vpccni.kube.client import HttpCluster  # noqa: PLC0415 -- 7 MB that a node without a cluster need not have

    return HttpCluster(
        endpoint(settings, environ), reporter=settings.pod_name or settings.node_name or "aws-node"
    )


class Kubernetes:
    """Follows the node and its ENIConfig. The callbacks run on the event loop, and only when something is different."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster | None,
        *,
        on_node: Callable[[NodeView], None],
        on_eni_config: Callable[[EniConfig | Refusal], None],
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._on_node = on_node
        self._on_eni_config = on_eni_config
        self._node: NodeView | None = None
        self._named: Named | None = None
        self._resolved: Named | None = None
        self._renamed = asyncio.Event()
        self._told: EniConfig | Refusal | None = None

    async def run(self) -> None:
        """For ever; without a cluster it tells that, if it matters, and ends."""
        if self._cluster is None or not self._settings.node_name:
            why = "no API server is configured" if self._cluster is None else "MY_NODE_NAME is not set"
            if self._cluster is not None:
                log.error("%s: the node cannot be read", why)
            self._refuse(why)
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_node(self._cluster))
            if self._settings.custom_networking:
                tasks.create_task(self._follow_eni_config(self._cluster))

    # --- the node ---------------------------------------------------------------------------------------------

    async def _follow_node(self, cluster: Cluster) -> None:
        name = self._settings.node_name
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while True:
            began = clock()
            try:
                async with contextlib.aclosing(cluster.watch_node(name)) as watch:
                    async for node in watch:
                        self._take_in(node)
            except KubeError as error:
                log.warning("the node %s cannot be followed: %s; it is tried again", name, error)
                if self._node is None:
                    self._refuse(f"the node {name} cannot be read: {error}")
            except Exception:
                # whatever the API server says, following must not end
                log.exception("following the node %s failed; it is tried again", name)
            if clock() - began >= LONGEST_PAUSE:
                pause = FIRST_PAUSE
            # a part of it by chance: an API server that comes back is not to be asked by all nodes at once
            await asyncio.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 -- spreads nodes
            pause = min(pause * 2, LONGEST_PAUSE)

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
