"""Every minute: does EC2 still hold for this node what the pool thinks it does (spec 6.8)?

What a look may change is vpccni.ipam.sightings' to decide. Instance metadata is looked at first, for it costs no call; only
if it does not agree is EC2 asked, once. A thousand nodes that asked EC2 every minute would use up most of an account's
bucket for DescribeNetworkInterfaces by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vpccni.ipam.actions import Failed, Outcome
from vpccni.ipam.cards import Cards
from vpccni.ipam.decide import Ipam
from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason
from vpccni.ipam.sightings import SETTLED, Sighting, Sightings, adopt, agrees, new_to
from vpccni.ipam.values import Assignment, AttachedEni, EniId
from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, Instance, NetworkInterface
from vpclab.sim.client import CallError, NodeEc2
from vpclab.sim.events import Events, Running, Timer, Work
from vpclab.sim.performing import Performer, attached_eni

LOOK_EVERY, AGAIN_AFTER = 60.0, 10.0
"""Seconds between looks (spec 6.8), and until the second look at what was missing in the first."""
SOONEST = 3.0
"""Seconds between two questions to EC2, however many things make us doubt (vpccni.agent.reconciler)."""
UNDERSTOOD = frozenset(
    {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX, Reason.THROTTLED, Reason.NOT_AUTHORISED, Reason.ENI_LIMIT}
)
"""Refusals that tell nothing new of the node's ENIs (vpccni.agent.pool_owner)."""
NEWS_LAST = 3 * LOOK_EVERY
"""Seconds for which looks may find something after somebody else's change, metadata's lag aside."""


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

    def lose(self, pods: tuple[Assignment, ...]) -> None:
        """Their addresses went with an ENI that was given up."""


class Looker:
    """One agent's.

    While nothing can have changed since the last look that found nothing, none is made: it would find nothing again.
    """

    def __init__(self, node: Node, performer: Performer) -> None:
        self._node = node
        self._performer = performer
        self._sightings = Sightings()
        self._cards = Cards([node.ipam])
        self._news_until = node.events.now
        self._settled_at = node.events.now
        self._asked_at = -SOONEST
        self._read: dict[str, tuple[NetworkInterface, AttachedEni]] = {}
        self._tags: dict[EniId, Mapping[str, str]] = {}
        self._timer: Timer | None = None
        self._running: Running | None = None

    @property
    def asking(self) -> bool:
        """Whether EC2 is being asked."""
        return self._running is not None

    def ask_at_start(self) -> Work[tuple[AttachedEni, ...] | None]:
        """What EC2 says before the pool is made; None if it does not say."""
        self._asked_at = self._node.events.now
        try:
            found = yield from self._node.ec2.describe_enis(own=True)
        except CallError:
            return None
        self._tags = {EniId(seen.id): seen.tags for seen in found}
        return tuple(attached_eni(self._node.region, seen) for seen in found if _attached(seen))

    def start(self, seen: tuple[AttachedEni, ...] | None) -> None:
        """A new agent has a new pool; `seen` is what EC2 said at its start, if it was asked."""
        self._sightings = Sightings()
        self._cards = Cards([self._node.ipam])
        self._read.clear()
        if seen is not None:
            self._running = self._node.events.start(self._take_in(seen, self._node.events.now), self._looked)
        self.expect_news()

    def stop(self) -> None:
        """The agent is gone."""
        if self._timer is not None:
            self._timer.cancel()
        if self._running is not None:
            self._running.kill()
        self._timer = self._running = None

    def told(self, outcome: Outcome) -> None:
        """An action has ended; one that failed in a way that nobody understands makes us ask EC2."""
        if not isinstance(outcome, Failed):
            # our own doing: what metadata says of it is not believed before it has had time to follow
            self._settled_at = self._node.events.now + SETTLED + self._node.region.delays.imds[1]
            self._plan_if_none()
            return
        self.expect_news()
        if outcome.refusal.reason not in UNDERSTOOD and self._running is None:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._node.events.at(self._asked_at + SOONEST, self._ask_now)

    def expect_news(self) -> None:
        """What metadata shows changes now, or will."""
        lag = self._node.region.delays.imds[1]
        self._news_until = self._node.events.now + lag + NEWS_LAST
        self._plan_if_none()

    def _plan_if_none(self) -> None:
        if self._timer is None and self._running is None:
            self._plan()

    def _plan(self) -> None:
        events = self._node.events
        if self._sightings.anything_missing:
            self._timer = events.after(AGAIN_AFTER, self._ask_now)
        elif events.now < max(self._news_until, self._settled_at + LOOK_EVERY):
            self._timer = events.after(LOOK_EVERY, self._look)
        else:
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._node.events.now
        if self._news_until < now < self._settled_at:
            self._plan()
            return
        shown = self._node.region.metadata_enis(self._node.instance.id, now)
        metadata = [self._as_attached(seen) for seen in shown]
        if agrees(self._cards, metadata, now) and not new_to(self._cards, metadata, frozenset()):
            self._plan()
        else:
            self._ask_now()

    def _as_attached(self, seen: NetworkInterface) -> AttachedEni:
        """The region replaces values and never changes them: one that was read before need not be read again."""
        known = self._read.get(seen.id)
        if known is None or known[0] is not seen:
            known = self._read[seen.id] = (seen, attached_eni(self._node.region, seen))
        return known[1]

    def _ask_now(self) -> None:
        self._timer = None
        self._asked_at = self._node.events.now
        self._running = self._node.events.start(self._ask(), self._looked)

    def _looked(self, _: None) -> None:
        self._running = None
        self.expect_news()
        self._node.wake_and_kick()

    def _ask(self) -> Work[None]:
        """Take in what EC2 says."""
        node = self._node
        asked_at = node.events.now
        try:
            found = yield from node.ec2.describe_enis(own=True)
        except CallError:
            return
        self._tags = {EniId(seen.id): seen.tags for seen in found}
        here = tuple(attached_eni(node.region, seen) for seen in found if _attached(seen))
        yield from self._take_in(here, asked_at)

    def _take_in(self, here: tuple[AttachedEni, ...], asked_at: float) -> Work[None]:
        node = self._node
        try:
            compared = self._sightings.compare(self._cards, Sighting(here), node.events.now, asked_at)
        except PoolError as error:
            node.surprises.append(f"look: {error!r}")
            return
        for _, pods in compared.gone:
            node.lose(pods)
        for entry in compared.adopt:
            yield from self._adopt(entry)
        for eni in [entry.eni.id for entry in here if INSTANCE not in self._tags.get(entry.eni.id, {})]:
            try:
                yield from node.ec2.tag(eni, {INSTANCE: node.instance.id})
            except CallError:
                return  # the next look tries again

    def _adopt(self, entry: AttachedEni) -> Work[None]:
        """An ENI that the pool does not know: our own from before a crash, or somebody else's gift."""
        node = self._node
        if not (yield from self._performer.device_of(entry.eni.id)) or node.ipam.pool.has_eni(entry.eni.id):
            return
        try:
            adopt(self._cards, entry, node.events.now)
        except PoolError as error:
            node.surprises.append(f"look: {entry.eni.id}: {error!r}")


def _attached(seen: NetworkInterface) -> bool:
    at = seen.attachment
    return at is not None and at.status is not AttachmentStatus.DETACHING
