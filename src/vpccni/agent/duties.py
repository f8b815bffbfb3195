"""What the agent does beside serving pods, each in a task of its own: comparing, following, cleaning up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

from vpccni.agent.carry_out import EniWiring
from vpccni.agent.clock import Clock
from vpccni.agent.cloud import NodeCloud
from vpccni.agent.every import every
from vpccni.agent.leaked_enis import EVERY as STRAYS_EVERY
from vpccni.agent.leaked_enis import FIRST_WITHIN, clean_up
from vpccni.agent.loop import Agent
from vpccni.agent.node_enis import NodeEnis
from vpccni.agent.reconciler import Reconciler
from vpccni.agent.scene import Scene
from vpccni.agent.security_groups import EVERY as GROUPS_EVERY
from vpccni.agent.security_groups import SecurityGroups
from vpccni.agent.settings import Settings
from vpccni.agent.threads import Threads
from vpccni.aws.imds import Imds, NodeFacts, attached_enis, node_facts
from vpccni.ipam.leaks import Maker
from vpccni.ipam.reconcile import Differences
from vpccni.ipam.sightings import Compared
from vpccni.linux.link_watch import LinkWatch

log = logging.getLogger(__name__)

FACTS_EVERY = 30.0
"""Seconds between looks at the VPC's CIDRs in instance metadata (spec 5.5)."""


class Duties:
    """One node's. `changed` is told of new facts, and raises OSError if the host did not take them; `born`: when the agent began."""

    def __init__(
        self,
        settings: Settings,
        agent: Agent,
        cloud: NodeCloud,
        imds: Imds,
        facts: NodeFacts,
        *,
        scene: Scene,
        wiring: EniWiring,
        clock: Clock,
        changed: Callable[[NodeFacts], Awaitable[None]],
        born: float,
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._cloud = cloud
        self._imds = imds
        self._facts = facts
        self._clock = clock
        self._scene = scene
        self._changed = changed
        self._maker = Maker(facts.instance_id, born)
        self._threads = Threads(2, "duty")
        self._tasks: list[asyncio.Task[None]] = []
        self.reconciler = Reconciler(
            agent.owner,
            partial(attached_enis, imds, ipv6=settings.ipv6),
            None if settings.imds_only else cloud,
            wiring,
            self._threads,
            clock,
            cloud.whose,
            may_tag=settings.provisioning,
            learn=self._learn,
        )
        self._links = LinkWatch(self._device_gone, self.reconciler.ask)
        self._groups = SecurityGroups(
            cloud,
            self._read_groups,
            lambda: [eni.id for eni in agent.enis.values() if not eni.is_primary],
            self._threads,
        )

    def _learn(self, seen: NodeEnis, compared: Compared) -> None:
        self._groups.learn(dict(seen.groups))
        self._scene.heard("ENIs at EC2")
        different = dict(compared.differences)
        for entry in seen.sighting.attached:
            self._scene.compared(entry.eni.id, different.get(entry.eni.id, Differences()))
        for _ in compared.adopt:
            self._scene.eni_found()
        for eni, pods in compared.gone:
            self._scene.eni_lost(eni, len(pods))

    def _device_gone(self, mac: str) -> None:
        for eni in self._agent.enis.values():
            if eni.mac == mac and not eni.is_primary:
                self.reconciler.device_gone(eni.id)

    async def start(self, seen: NodeEnis | None, asked_at: float) -> None:
        """Begin; `seen` is what EC2 said at the start, if it was asked, to a question of `asked_at`."""
        if seen is not None:
            await self.reconciler.take_in(seen, asked_at)
        owner = self._agent.owner
        owner.doubted, owner.unprovided = self.reconciler.ask, self.reconciler.glance
        try:
            self._links.start()
        except OSError as error:
            log.error("devices that go are noticed late: %s", error)
        self._begin(self.reconciler.run())
        self._begin(every(FACTS_EVERY, "reading the VPC's CIDRs", self._follow_facts))
        settings = self._settings
        if not settings.provisioning:
            return
        if not settings.custom_networking:
            self._begin(every(GROUPS_EVERY, "following the security groups", self._follow_groups))
        if settings.leaked_eni_cleanup:
            first = FIRST_WITHIN * random.random()  # noqa: S311 -- spreads nodes
            self._begin(every(STRAYS_EVERY, "looking for ENIs left behind", self._clean_up, first=first))

    async def stop(self) -> None:
        """End them all."""
        for task in self._tasks:
            task.cancel()
        self._links.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.close()

    def _begin(self, work: Awaitable[None]) -> None:
        self._tasks.append(asyncio.ensure_future(work))

    async def _follow_facts(self) -> None:
        facts = await self._threads(partial(node_facts, self._imds, ipv6=self._settings.ipv6))
        self._scene.heard("instance metadata")
        told, known = ((f.vpc_cidrs, f.vpc_ipv6_cidrs) for f in (facts, self._facts))
        if told == known:
            return
        log.info("the VPC's CIDRs are now %s", ", ".join(map(str, (*facts.vpc_cidrs, *facts.vpc_ipv6_cidrs))))
        await self._changed(facts)
        self._facts = (
            facts  # not before the host has taken them: else nobody would try again (spec 11.4 number 40)
        )

    async def _read_groups(self) -> tuple[str, ...]:
        return (await self._threads(partial(node_facts, self._imds))).security_groups

    async def _follow_groups(self) -> None:
        await self._groups.refresh()

    async def _clean_up(self) -> None:
        cluster = self._settings.cluster_name
        await self._threads(lambda: clean_up(self._cloud, cluster, self._clock, self._maker))
