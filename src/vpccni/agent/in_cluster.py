"""What Kubernetes knows of this node becomes the pools' limits and places; what the pools do is told to Kubernetes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from vpccni.agent.clock import Clock
from vpccni.agent.cloud import NodeCloud
from vpccni.agent.cni_node import CniNode
from vpccni.agent.kubernetes import Kubernetes, connect, own_pod
from vpccni.agent.loop import Agent
from vpccni.agent.max_pods import listed_max_pods, max_pods
from vpccni.agent.node_condition import ConditionWriter
from vpccni.agent.onlooker import Onlooker
from vpccni.agent.pod_annotation import PodAnnotator
from vpccni.agent.scene import Scene
from vpccni.agent.settings import Settings
from vpccni.agent.threads import Threads
from vpccni.aws.errors import Ec2Error
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Address, Pod, SubnetId, SubnetOffer
from vpccni.kube.access import AccessError
from vpccni.kube.events import Events
from vpccni.kube.port import Cluster, EniConfig, NodeView

log = logging.getLogger(__name__)


def connected(settings: Settings, environ: Mapping[str, str]) -> Cluster | None:
    """The API server's client, if there is one to be had; the agent serves pods without it."""
    try:
        return connect(settings, environ)
    except AccessError as error:
        log.error("the API server cannot be used: %s", error)
        return None


class InCluster(Onlooker):
    """One node's. Without an API server it tells the pools that there is none, where that matters, and is silent."""

    def __init__(
        self,
        settings: Settings,
        agent: Agent,
        cloud: NodeCloud,
        limits: InstanceLimits,
        clock: Clock,
        *,
        scene: Scene,
        cluster: Cluster | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`cluster` is for tests; else the environment says where the API server is."""
        self._settings = settings
        self._agent = agent
        self._cloud = cloud
        self._limits = limits
        self._listed = settings.max_pods or listed_max_pods(limits.type)
        self._threads = Threads(1, "kube")
        self._cluster = cluster or connected(settings, environ)
        self._annotator: PodAnnotator | None = None
        self._events: Events | None = None
        if self._cluster is not None:
            if settings.annotate_pod_ip:
                self._annotator = PodAnnotator(self._cluster)
            if settings.pod_name:
                self._events = Events(self._cluster, own_pod(settings, environ), clock)
        self._follower = Kubernetes(
            settings, self._cluster, on_node=self._on_node, on_eni_config=self._on_eni_config
        )
        self._clock = clock
        scene.eni_config = self._eni_config_name
        self._scene = scene
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_api_server(self) -> bool:
        """Whether one is configured; it need not answer."""
        return self._cluster is not None

    def start(self) -> None:
        """Follow from now on, and be told."""
        if self._settings.annotate_pod_ip and self._cluster is None:
            log.error("ANNOTATE_POD_IP is set and no API server is configured: no pod is annotated")
        self._agent.owner.onlooker = self
        self._begin(asyncio.ensure_future(self._follower.run()))
        if self._cluster is not None and self._settings.node_name:
            writer = ConditionWriter(
                self._cluster, self._settings.node_name, self._scene.readiness, self._clock
            )
            self._begin(asyncio.ensure_future(writer.run()))
        if self._settings.pod_eni and self._cluster is not None:
            cni_node = CniNode(
                self._cluster,
                self._settings.node_name,
                self._agent.ipam,
                self._eni_config_name,
                takes_trunk=self._limits.trunk,
            )
            self._begin(asyncio.ensure_future(cni_node.run()))

    async def stop(self) -> None:
        """Follow no more; what was to be told in the background is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._annotator is not None:
            await self._annotator.stop()
        if self._events is not None:
            await self._events.stop()
        if self._cluster is not None:
            await self._cluster.close()
        self._threads.close()

    def _eni_config_name(self) -> str | None:
        return self._follower.eni_config_name if self._settings.custom_networking else None

    # --- from Kubernetes --------------------------------------------------------------------------------------

    def _on_node(self, node: NodeView) -> None:
        self._scene.heard("the node in Kubernetes")
        settings = self._settings
        for pool in self._agent.cards.pools:
            pods = max_pods(
                node,
                self._limits,
                pool.state.kind,
                custom_networking=settings.custom_networking,
                listed=self._listed,
            )
            if pods != pool.state.limits.max_pods:
                log.info("the node may have %d pods", pods)
                pool.state.limits = replace(pool.state.limits, max_pods=pods)
            cordoned = node.unschedulable and not settings.manage_unschedulable
            name = settings.node_name
            pool.state.no_growth = (
                Refusal(Reason.NODE_UNSCHEDULABLE, f"node {name} is cordoned") if cordoned else None
            )
        self._agent.owner.kick()

    def _on_eni_config(self, found: EniConfig | Refusal) -> None:
        self._scene.heard("the node's ENIConfig")
        if isinstance(found, Refusal):
            self._place((), found)
        else:
            self._begin(asyncio.ensure_future(self._use(found)))

    async def _use(self, config: EniConfig) -> None:
        subnet = SubnetId(config.subnet)
        look = partial(self._cloud.offer, subnet, config.security_groups)
        pause = 1.0
        while True:
            try:
                offer = await self._threads(look)
                break
            except Ec2Error as error:
                detail = f"the ENIConfig's subnet {subnet} cannot be used: {error}"
                self._place((), Refusal(Reason.ENI_CONFIG_MISSING, detail))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 60.0)
        log.info(
            "new ENIs go to %s with %s", subnet, ", ".join(offer.groups) or "the primary's security groups"
        )
        self._place((offer,), None)

    def _place(self, offers: tuple[SubnetOffer, ...], refusal: Refusal | None) -> None:
        for pool in self._agent.cards.pools:
            placement = pool.state.placement
            placement.offers, placement.refusal, placement.awaited = offers, refusal, False
        if refusal is not None:
            log.error("%s. %s", refusal, refusal.reason.advice)
        self._agent.owner.kick()

    # --- to Kubernetes ----------------------------------------------------------------------------------------

    def given(self, pod: Pod, address: Address) -> None:
        """The pod's annotation gets it."""
        if self._annotator is not None:
            self._annotator.given(pod, address)

    def taken_back(self, pod: Pod, address: Address) -> None:
        """The pod's annotation loses it."""
        if self._annotator is not None:
            self._annotator.taken_back(pod, address)

    def no_address(self, pod: Pod, refusal: Refusal) -> None:
        """The pod gets an event that says why."""
        if self._events is not None:
            self._events.no_address(pod, refusal)

    def denied(self, action: str) -> None:
        """The agent's own pod gets the event that tools look for (spec 8.5)."""
        if self._events is not None:
            self._events.missing_permission(action)

    def _begin(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
