"""Keeps the pools as EC2 is, while the agent runs: looks, compares, and has done what follows (spec 6.8).

A look costs nothing of EC2's budget while instance metadata says what the pools hold; else one DescribeNetworkInterfaces.
As long as EC2 has never confirmed what an agent began with, every look asks it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from vpccni.agent.carry_out import EniWiring
from vpccni.agent.clock import Clock
from vpccni.agent.node_enis import NodeEnis, Whose, by_metadata, untagged
from vpccni.agent.threads import Threads
from vpccni.aws.errors import Ec2Error
from vpccni.aws.imds import ImdsError
from vpccni.ipam.actions import DetachEni
from vpccni.ipam.cards import Cards
from vpccni.ipam.pool import PoolError
from vpccni.ipam.reasons import Reason
from vpccni.ipam.sightings import Compared, Sightings, agrees, new_to
from vpccni.ipam.values import Assignment, AttachedEni, Eni, EniId

log = logging.getLogger(__name__)

LOOK_EVERY, JITTER = 60.0, 0.25
"""Seconds between looks at instance metadata (spec 6.8), and the part of it that is added at most."""
AGAIN_AFTER = 10.0
"""Seconds until the second look at what was missing in the first."""
PASSING = frozenset({Reason.THROTTLED, Reason.EC2_UNREACHABLE})
"""Why EC2 may say otherwise the next time."""
SOONEST = 3.0
"""Seconds between two looks, however many things make us doubt."""


class Looked(Protocol):
    """EC2, as a look at it needs it; blocking; failures are Ec2Error."""

    @property
    def wanted_tags(self) -> dict[str, str]:
        """What ENIs of ours should be tagged with."""

    def enis(self, metadata: tuple[AttachedEni, ...]) -> NodeEnis:
        """The node's ENIs as EC2 sees them."""

    def tag(self, eni: EniId, tags: dict[str, str]) -> None:
        """Add tags."""

    def tie(self, eni: EniId, attachment: str) -> None:
        """The ENI goes with the instance."""


class Owner(Protocol):
    """The one owner of the pools."""

    cards: Cards
    enis: dict[EniId, Eni]

    async def adopt(self, entry: AttachedEni) -> None:
        """Take in an ENI that is set up on the host."""

    async def lose(self, eni: EniId, pods: tuple[Assignment, ...]) -> None:
        """An ENI was given up; the pods' addresses on it went with it."""

    def kick(self) -> None:
        """Let the pools ask for what they want now."""


class Reconciler:
    """One node's. `metadata` reads instance metadata; `cloud` is None where EC2 must not be asked at all."""

    def __init__(
        self,
        owner: Owner,
        metadata: Callable[[], tuple[AttachedEni, ...]],
        cloud: Looked | None,
        wiring: EniWiring,
        threads: Threads,
        clock: Clock,
        whose: Whose,
        *,
        may_tag: bool,
        learn: Callable[[NodeEnis, Compared], None] = lambda *_: None,
    ) -> None:
        """`learn` is told of each answer of EC2's and of what became of it; `may_tag`: ENIs may be tagged, and tied."""
        self._owner = owner
        self._metadata = metadata
        self._cloud = cloud
        self._wiring = wiring
        self._threads = threads
        self._clock = clock
        self._whose = whose
        self._may_tie = self._may_tag = may_tag
        self._learn = learn
        self._soon = asyncio.Event()
        self._doubted = False
        self._sightings = Sightings()
        self._looked_at = float("-inf")
        self._failing = False
        self._told_missing: frozenset[EniId] = frozenset()
        self._told_disowned: frozenset[EniId] = frozenset()
        # a node that has but its own ENI, and no pods, cannot be wrong about them
        self._unverified = cloud is not None and (
            any(not eni.is_primary for eni in owner.enis.values())
            or next(owner.cards.assignments(), None) is not None
        )
        self.last: NodeEnis | None = None
        """What the last look saw."""
        self.seen = asyncio.Event()
        """Set by each look that EC2 answered; whoever wants to know clears it."""

    def ask(self) -> None:
        """Something happened that makes us doubt: ask EC2 soon."""
        self._doubted = True
        self._soon.set()

    def glance(self) -> None:
        """Somebody may have brought addresses: look at metadata soon, and at EC2 only if it says so."""
        self._soon.set()

    def device_gone(self, eni: EniId) -> None:
        """The kernel has lost the device of an ENI: no pod gets an address of it until EC2 has said what is.

        One that we have detached ourselves is no news.
        """
        if isinstance(self._owner.cards.of_eni(eni).state.under_way.on(eni), DetachEni):
            return
        log.warning("the device of %s has gone", eni)
        self._sightings.device_gone(self._owner.cards, eni, self._clock())
        self.ask()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            pause = LOOK_EVERY * (1 + JITTER * random.random())  # noqa: S311 -- spreads nodes
            if self._sightings.anything_missing:
                pause = AGAIN_AFTER
            try:
                async with asyncio.timeout(pause):
                    await self._soon.wait()
                await asyncio.sleep(max(0.0, self._looked_at + SOONEST - self._clock()))
            except TimeoutError:
                pass
            asked, self._doubted = self._doubted, False
            self._soon.clear()
            try:
                await self.look(asked=asked)
            except (Ec2Error, ImdsError, OSError) as error:
                if not self._failing:
                    log.warning("the pools could not be compared with EC2: %s; tried again", error)
                self._failing = True
            except Exception:
                # whatever it is: an agent that never looks again would slowly stop knowing what it has
                log.exception("comparing the pools with EC2 failed in a way that is not known; tried again")
                self._failing = True
            else:
                self._failing = False

    async def look(self, *, asked: bool) -> None:
        """One look; EC2 is asked if `asked`, or if metadata and the pools do not agree. Raises Ec2Error, ImdsError."""
        asked_at = self._looked_at = self._clock()
        await self._let_go()
        try:
            told = await self._threads(self._metadata)
        except ImdsError:
            if not asked or self._cloud is None:
                raise
            told = ()
        if self._cloud is None:
            found = by_metadata(told, self._whose)
        else:
            cloud, others = (
                self._cloud,
                frozenset(o.id for o in self.last.others) if self.last else frozenset(),
            )
            cards = self._owner.cards
            doubts = asked or self._unverified or self._sightings.anything_missing
            if not doubts and agrees(cards, told, asked_at) and not new_to(cards, told, others):
                return
            asked_at = self._looked_at = self._clock()
            found = await self._threads(lambda: cloud.enis(told))
        await self.take_in(found, asked_at)

    async def take_in(self, found: NodeEnis, asked_at: float) -> None:
        """What EC2 said becomes the pools' truth."""
        self.last = found
        if found.sighting.certain:
            self._unverified = False
        compared = self._sightings.compare(self._owner.cards, found.sighting, self._clock(), asked_at)
        self._tell(compared)
        self._learn(found, compared)
        await self._let_go()
        self._count_others(found)
        for eni_id, pods in compared.gone:
            eni = self._owner.enis.get(eni_id)
            await self._owner.lose(eni_id, pods)
            if eni is not None:
                await self._threads(partial(self._wiring.tear_down, eni))
        for entry in compared.adopt:
            await self._adopt(entry)
        await self._tag(found)
        await self._tie(found)
        self.seen.set()
        self._owner.kick()

    def _count_others(self, found: NodeEnis) -> None:
        """ENIs that are not ours take places; one that the pool still holds for its pods is counted there."""
        for pool in self._owner.cards.pools:
            others = [other for other in found.others_on(pool.state.card) if not pool.pool.has_eni(other.id)]
            indexes = frozenset(other.device_index for other in others)
            pool.state.limits = replace(
                pool.state.limits, unmanaged_enis=len(others), unmanaged_device_indexes=indexes
            )

    async def _let_go(self) -> None:
        """ENIs of others whose last pod has gone."""
        going = self._sightings.let_go(self._owner.cards)
        for eni_id in going:
            eni = self._owner.enis.get(eni_id)
            await self._owner.lose(eni_id, ())
            log.info("%s is not ours, and no pod is on it any more: let go", eni_id)
            if eni is not None:
                await self._threads(partial(self._wiring.tear_down, eni))
        if going and self.last is not None:
            self._count_others(self.last)

    async def _adopt(self, entry: AttachedEni) -> None:
        try:
            if not entry.eni.is_primary:
                await self._threads(lambda: self._wiring.set_up(entry.eni))
        except OSError as error:
            log.error("%s is attached but cannot be set up: %s; it is looked at again", entry.eni.id, error)
            return
        if self._owner.cards.of_eni(entry.eni.id).pool.has_eni(entry.eni.id):
            return
        try:
            await self._owner.adopt(entry)
        except PoolError as error:
            log.error("%s is adopted, but not with all its addresses: %s", entry.eni.id, error)
        else:
            log.warning("%s was attached without our asking, and is ours: adopted", entry.eni.id)

    async def _tag(self, found: NodeEnis) -> None:
        if self._cloud is None or not self._may_tag:
            return
        cloud = self._cloud
        for eni, tags in untagged(found, cloud.wanted_tags).items():
            try:
                await self._threads(partial(cloud.tag, eni, tags))
            except Ec2Error as error:
                # a want of permission, or a tag that EC2 does not take, does not pass by itself
                self._may_tag = error.refusal.reason in PASSING
                log.warning("%s lacks tags and cannot be tagged: %s", eni, error)
                return
            log.info("%s lacked tags: %s", eni, ", ".join(sorted(tags)))

    async def _tie(self, found: NodeEnis) -> None:
        """What an agent before us left half made; not while one is being made, which is about to be tied."""
        attaching = any(pool.state.under_way.attaching for pool in self._owner.cards.pools)
        if self._cloud is None or not self._may_tie or attaching:
            return
        cloud = self._cloud
        for eni, attachment in found.untied.items():
            try:
                await self._threads(partial(cloud.tie, eni, attachment))
            except Ec2Error as error:
                log.error("%s would outlast the instance and cannot be tied to it: %s", eni, error)
            else:
                log.warning("%s was left half made: tied to the instance", eni)

    def _tell(self, compared: Compared) -> None:
        _tell_differences(compared)
        for eni in compared.missing - self._told_missing:
            log.warning("%s is not to be seen; it gives pods no address until it is", eni)
        self._told_missing = compared.missing
        for eni in compared.disowned - self._told_disowned:
            log.warning("%s is not ours by its tags: its pods stay, and no others come", eni)
        self._told_disowned = compared.disowned
        for eni, pods in compared.gone:
            names = ", ".join(f"{a.pod} ({a.address})" for a in pods) or "no pod"
            log.error("%s is gone without our asking; on it: %s", eni, names)


def _tell_differences(compared: Compared) -> None:
    for eni, found in compared.differences:
        for blocks, what in ((found.added, "has"), (found.removed, "does not have")):
            if blocks:
                listed = ", ".join(map(str, blocks))
                log.warning("EC2 says that %s %s %s, without our asking", eni, what, listed)
        for assignment in found.still_used:
            log.error(
                "pod %s has %s, which EC2 says is not on %s (any more): nothing reaches it; delete the pod",
                assignment.pod,
                assignment.address,
                eni,
            )
        for block in found.held_elsewhere:
            log.error("EC2 says that %s has %s, which another ENI of this node has", eni, block)
