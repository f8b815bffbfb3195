"""Every minute: does EC2 still hold for this node what the pool thinks it does (spec 6.8)?

Instance metadata is looked at first, for it costs no call; only if it differs is EC2 asked, once, and only EC2 is believed.
A thousand nodes that asked EC2 every minute would use up most of an account's bucket for DescribeNetworkInterfaces by that.
"""

from __future__ import annotations

from typing import Protocol

from vpccni.ipam.actions import Action, AttachEni, FindSubnets
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reconcile import reconcile
from vpccni.ipam.values import AttachedEni, EniId
from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, Instance
from vpclab.sim.client import CallError, NodeEc2, blocks_of
from vpclab.sim.events import Events, Running, Timer, Work
from vpclab.sim.performing import Performer, attached_eni

LOOK_EVERY = 60.0
"""Seconds between looks (spec 6.8)."""


class Node(Protocol):
    """Whose agent looks."""

    events: Events
    region: Region
    instance: Instance
    ec2: NodeEc2
    ipam: Ipam
    surprises: list[str]

    def wake_and_kick(self) -> None:
        """The pool may have changed."""


class Looker:
    """One agent's. While nothing can have changed since the last look that found nothing, none is made: it would cost
    time of the simulation and find nothing again."""

    def __init__(self, node: Node, performer: Performer) -> None:
        self._node = node
        self._performer = performer
        self._news_until = 0.0
        self._timer: Timer | None = None
        self._running: Running | None = None
        self._told_at: dict[EniId, float] = {}
        self._attached_at = 0.0
        self.asked = 0
        """How often EC2 was asked."""
        self.unreachable_pods: set[EniId] = set()
        """ENIs that are gone though pods have their addresses."""

    @property
    def asking(self) -> bool:
        """Whether EC2 is being asked."""
        return self._running is not None

    def start(self) -> None:
        """A new agent."""
        self._told_at.clear()
        self.expect_news()

    def stop(self) -> None:
        """The agent is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            self._running.kill()
        self._timer = self._running = None

    def told(self, action: Action) -> None:
        """An action has ended: what was seen before that is out of date."""
        if isinstance(action, AttachEni):
            self._attached_at = self._node.events.now
        elif not isinstance(action, FindSubnets):
            self._told_at[action.eni] = self._node.events.now
        self.expect_news()

    def expect_news(self) -> None:
        """What metadata shows changes now, or will."""
        lag = self._node.region.delays
        self._news_until = self._node.events.now + lag.imds[1] + LOOK_EVERY
        if self._timer is None and self._running is None:
            self._plan()

    def _plan(self) -> None:
        events = self._node.events
        self._timer = (
            events.after(LOOK_EVERY, self._look) if events.now < self._news_until + LOOK_EVERY else None
        )

    def _look(self) -> None:
        self._timer = None
        if not self._differs():
            self._plan()
            return
        self._running = self._node.events.start(self._ask(), self._looked)

    def _looked(self, _: None) -> None:
        self._running = None
        self.expect_news()  # until nothing differs any more
        self._node.wake_and_kick()

    def _differs(self) -> bool:
        node, pool, under_way = self._node, self._node.ipam.pool, self._node.ipam.state.under_way
        shown = node.region.metadata_enis(node.instance.id, node.events.now)
        if node.ipam.state.full_enis:
            return True
        for seen in shown:
            eni = EniId(seen.id)
            if not pool.has_eni(eni):
                if not under_way.attaching:
                    return True
            elif under_way.told(eni) and set(pool.blocks_of(eni)) != set(
                blocks_of(seen.secondary, seen.prefixes)
            ):
                return True
        known = {EniId(seen.id) for seen in shown}
        return any(v.eni.id not in known and under_way.told(v.eni.id) for v in pool.enis())

    def _ask(self) -> Work[None]:
        node = self._node
        asked_at = node.events.now
        self.asked += 1
        try:
            found = yield from node.ec2.describe_enis(own=True)
        except CallError:
            return
        here = {EniId(seen.id): seen for seen in found}
        for eni, seen in here.items():
            at = seen.attachment
            if at is None or at.status is not AttachmentStatus.ATTACHED:
                continue
            try:
                if not node.ipam.pool.has_eni(eni):
                    yield from self._take_in(eni, asked_at)
                elif self._told_at.get(eni, -1.0) < asked_at:
                    reconcile(node.ipam, attached_eni(node.region, seen))
            except PoolError as error:
                node.surprises.append(f"look: {eni}: {error!r}")
        for view in node.ipam.pool.enis():
            if view.eni.id not in here and self._attached_at < asked_at:
                self._gone(view.eni.id)

    def _take_in(self, eni: EniId, asked_at: float) -> Work[None]:
        """An ENI that the pool does not know: our own from before a crash, or somebody else's gift."""
        node = self._node
        # one that is being attached is told of by its outcome
        if node.ipam.state.under_way.attaching or self._attached_at >= asked_at:
            return
        if not (yield from self._performer.device_of(eni)):
            return
        seen = node.region.enis.get(eni)
        if seen is not None and seen.attachment is not None and not node.ipam.pool.has_eni(eni):
            node.ipam.add_attached(attached_eni(node.region, seen), node.events.now)

    def _gone(self, eni: EniId) -> None:
        """EC2 says that the ENI is not ours any more. It stays in the pool while pods have its addresses."""
        node = self._node
        pool, under_way = node.ipam.pool, node.ipam.state.under_way
        if not under_way.told(eni):
            return
        view = pool.eni(eni)
        reconcile(node.ipam, AttachedEni(view.eni, ()))
        if pool.eni(eni).assigned:
            self.unreachable_pods.add(eni)
        else:
            under_way.settle(eni)
            pool.remove_eni(eni, force=True)
