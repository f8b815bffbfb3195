"""Every minute: does EC2 still hold for this node what the pool thinks it does (spec 6.8)?

Instance metadata is looked at first, for it costs no call; only if it differs is EC2 asked, once, and only EC2 is believed.
A thousand nodes that asked EC2 every minute would use up most of an account's bucket for DescribeNetworkInterfaces by that.
"""

from __future__ import annotations

from typing import Protocol

from vpccni.ipam.actions import Action, AttachEni, FindSubnets, ReleaseAddresses
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reconcile import reconcile
from vpccni.ipam.values import AttachedEni, Block, EniId
from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, Instance
from vpclab.sim.client import CallError, NodeEc2, blocks_of
from vpclab.sim.events import Events, Running, Timer, Work
from vpclab.sim.performing import Performer, attached_eni

Difference = tuple[EniId, str, str]
"""Which ENI, what about it, and what depends on it."""
USED, UNUSED = "used", "unused"
LOOK_EVERY = 60.0
"""Seconds between looks (spec 6.8)."""
LOOK_AT_LOST = 10.0
"""Seconds between looks while pods use what EC2 does not hold: once they are gone nobody else may get it."""


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
    """One agent's.

    While nothing can have changed since the last look that found nothing, none is made: it would find nothing again.
    """

    def __init__(self, node: Node, performer: Performer) -> None:
        self._node = node
        self._performer = performer
        self._news_until = 0.0
        self._timer: Timer | None = None
        self._running: Running | None = None
        self._told_at: dict[EniId, float] = {}
        self._attached_at = 0.0
        self._unresolved: frozenset[Difference] = frozenset()

    @property
    def asking(self) -> bool:
        """Whether EC2 is being asked."""
        return self._running is not None

    def start(self) -> None:
        """A new agent."""
        self._told_at.clear()
        self._unresolved = frozenset()
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
        if self._unresolved:
            self._timer = events.after(LOOK_AT_LOST, self._look)
        elif events.now < self._news_until + LOOK_EVERY:
            self._timer = events.after(LOOK_EVERY, self._look)
        else:
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        found = self._differences()
        if not found or found == self._unresolved:
            self._unresolved = found
            self._plan()
            return
        self._running = self._node.events.start(self._ask(), self._looked)

    def _looked(self, judged: frozenset[EniId]) -> None:
        self._running = None
        # what is left of what was judged is known, and EC2 need not be asked again for it
        self._unresolved = frozenset(found for found in self._differences() if found[0] in judged)
        self.expect_news()
        self._node.wake_and_kick()

    def _differences(self) -> frozenset[Difference]:
        """Where metadata and the pool do not agree about what EC2 is not changing for us now."""
        node, pool, under_way = self._node, self._node.ipam.pool, self._node.ipam.state.under_way
        shown = {
            EniId(seen.id): seen for seen in node.region.metadata_enis(node.instance.id, node.events.now)
        }
        found: set[Difference] = set()
        for eni, seen in shown.items():
            if not pool.has_eni(eni):
                if not under_way.attaching:
                    found.add((eni, "not in the pool", UNUSED))
                continue
            blocks = blocks_of(seen.secondary, seen.prefixes)
            if under_way.told(eni) and (ours := pool.blocks_of(eni)) != blocks:
                found |= {(eni, str(block), self._use(eni, block)) for block in set(ours) ^ set(blocks)}
        for view in pool.enis():
            if view.eni.id not in shown and under_way.told(view.eni.id):
                found.add((view.eni.id, "not attached", USED if view.assigned else UNUSED))
        return frozenset(found)

    def _use(self, eni: EniId, block: Block) -> str:
        pool, doing = self._node.ipam.pool, self._node.ipam.state.under_way.on(eni)
        if not pool.has_block(eni, block):
            return "not in the pool"
        if isinstance(doing, ReleaseAddresses) and block in doing.blocks:
            return "on its way back"
        return UNUSED if block in pool.empty_blocks_of(eni, block.kind) else USED

    def _ask(self) -> Work[frozenset[EniId]]:
        """Take in what EC2 says; of which ENIs."""
        node = self._node
        asked_at = node.events.now
        try:
            found = yield from node.ec2.describe_enis(own=True)
        except CallError:
            return frozenset()
        judged: set[EniId] = set()
        here = {EniId(seen.id): seen for seen in found}
        for eni, seen in here.items():
            at = seen.attachment
            if at is None or at.status is not AttachmentStatus.ATTACHED:
                continue
            try:
                if not node.ipam.pool.has_eni(eni):
                    yield from self._take_in(eni, asked_at)
                elif self._young(eni, asked_at) and reconcile(node.ipam, attached_eni(node.region, seen)):
                    judged.add(eni)
            except PoolError as error:
                node.surprises.append(f"look: {eni}: {error!r}")
        for view in node.ipam.pool.enis():
            eni = view.eni.id
            if eni not in here and self._attached_at < asked_at and self._young(eni, asked_at):
                judged.add(eni)
                self._gone(eni)
        return frozenset(judged)

    def _young(self, eni: EniId, asked_at: float) -> bool:
        """Whether what EC2 was asked at that time is newer than what our own action told of the ENI."""
        told = self._node.ipam.state.under_way.told(eni)
        return told and self._told_at.get(eni, -1.0) < asked_at

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
        view = pool.eni(eni)
        reconcile(node.ipam, AttachedEni(view.eni, ()))
        if not pool.eni(eni).assigned:
            under_way.settle(eni)
            pool.remove_eni(eni, force=True)
