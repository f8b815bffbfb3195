"""The node's ENIs as EC2 and instance metadata see them, compared with the pool (spec 6.8).

Where a fact comes from decides what it may do. EC2's word changes the pool. Instance metadata lags behind EC2 by tens of
seconds, and says at most that it is worth asking EC2. That something was not seen once proves nothing from either: an ENI
that is not seen gives pods no more addresses, and is given up when it is not seen again some time later; where metadata is
all that may be asked, only when the kernel has lost its device, too. One that turns out to be somebody else's (its tags were
changed) keeps the pods that it has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from vpccni.ipam.cards import Cards
from vpccni.ipam.reconcile import Differences, reconcile
from vpccni.ipam.values import Assignment, AttachedEni, EniId

SETTLED = 60.0
"""Seconds after a change of ours in which metadata that says otherwise is taken for old (spec 6.8)."""
GONE_AFTER = 8.0
"""Seconds between the two looks that an ENI must be missing in: EC2's reads, too, may be old for a moment."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """EC2's view of the ENIs that are attached to this node and ours to use."""

    attached: tuple[AttachedEni, ...]
    unknown: tuple[str, ...] = ()
    """ENIs of ours whose subnet nobody could tell: they are looked at again."""
    others: frozenset[EniId] = frozenset()
    """Attached, and not ours to use."""
    certain: bool = True
    """False: instance metadata's word, where EC2 may not be asked. That it does not show an ENI is no proof then."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What became of a sighting."""

    differences: tuple[tuple[EniId, Differences], ...] = ()
    """Blocks of known ENIs that were not as we thought."""
    adopt: tuple[AttachedEni, ...] = ()
    """ENIs that the pool does not have: to be set up on the host, then added."""
    missing: frozenset[EniId] = frozenset()
    """Not seen: they give pods nothing until the next look."""
    gone: tuple[tuple[EniId, tuple[Assignment, ...]], ...] = ()
    """Given up, with the pods that had addresses on them."""
    disowned: frozenset[EniId] = frozenset()
    """Somebody else's by now: their pods stay, no others come, and when the last has gone they are let go."""


@dataclass(slots=True)
class Sightings:
    """What was missing when, and what turned out not to be ours. One per node."""

    _missing_since: dict[EniId, float] = field(default_factory=dict)
    _no_device: set[EniId] = field(default_factory=set)
    _disowned: frozenset[EniId] = frozenset()

    def compare(
        self, cards: Cards, sighting: Sighting, now: float, asked_at: float | None = None
    ) -> Compared:
        """Make the pools hold what EC2 said to a question of `asked_at`: what we changed since then is let be."""
        seen = {entry.eni.id: entry for entry in sighting.attached}
        everything = {view.eni.id: view for pool in cards.pools for view in pool.pool.enis()}
        held = {
            eni: view
            for eni, view in everything.items()
            if asked_at is None or max(cards.of_eni(eni).changed_at(eni), view.since) < asked_at
        }
        differences: list[tuple[EniId, Differences]] = []
        for eni in held.keys() & seen.keys():
            self._missing_since.pop(eni, None)
            self._no_device.discard(eni)
            found = reconcile(cards.of_eni(eni), seen[eni])
            if found is not None and found != Differences():
                differences.append((eni, found))
        attaching = any(pool.state.under_way.attaching for pool in cards.pools)
        # one that we are attaching is told of by the action's own outcome
        adopt = () if attaching else tuple(e for e in sighting.attached if e.eni.id not in everything)
        unseen = [
            eni
            for eni, view in held.items()
            if eni not in seen
            and eni not in sighting.unknown
            and eni not in sighting.others
            and not view.eni.is_primary
            and cards.of_eni(eni).state.under_way.told(eni)
        ]
        gone = tuple(
            (eni, self._give_up(cards, eni))
            for eni in unseen
            if now >= self._missing_since.setdefault(eni, now) + GONE_AFTER
            and (sighting.certain or eni in self._no_device)
        )
        missing = frozenset(unseen) - {eni for eni, _ in gone}
        self._missing_since = {eni: at for eni, at in self._missing_since.items() if eni in missing}
        self._no_device &= missing
        # of one that we changed since the question the answer may be too old to say whose it is
        as_before = self._disowned & (everything.keys() - held.keys())
        self._disowned = as_before | frozenset(held.keys() & sighting.others)
        for eni in self._disowned:
            # EC2 has shown it attached: what was half done to it is over, and is not ours to begin again
            cards.of_eni(eni).state.under_way.settle(eni)
        self._doubt(cards)
        return Compared(tuple(differences), adopt, missing, gone, self._disowned)

    def let_go(self, cards: Cards) -> tuple[EniId, ...]:
        """Take ENIs that are not ours out of the pools once no pod has an address of them, and none cools."""
        idle = {view.eni.id for pool in cards.pools for view in pool.pool.idle_enis()}
        going = tuple(
            eni for eni in sorted(self._disowned & idle) if cards.of_eni(eni).state.under_way.on(eni) is None
        )
        for eni in going:
            ipam = cards.of_eni(eni)
            ipam.state.full_enis.pop(eni, None)
            ipam.pool.remove_eni(eni)
        self._disowned -= set(going)
        if going:
            self._doubt(cards)
        return going

    def device_gone(self, cards: Cards, eni: EniId, now: float) -> None:
        """The kernel has lost the ENI's device: no pod may get an address of it until EC2 was asked.

        If EC2 does not see it either, that is the second witness.
        """
        self._missing_since[eni] = now - GONE_AFTER
        self._no_device.add(eni)
        self._doubt(cards)

    @property
    def anything_missing(self) -> bool:
        """Whether another look is due soon."""
        return bool(self._missing_since)

    def _doubt(self, cards: Cards) -> None:
        """None of these gives pods an address, and none is given back to EC2 either."""
        doubted = frozenset(self._missing_since) | self._disowned
        for pool in cards.pools:
            if pool.state.placement.missing != doubted:
                pool.state.placement.missing = doubted
                pool.judge_enis()

    def _give_up(self, cards: Cards, eni: EniId) -> tuple[Assignment, ...]:
        ipam = cards.of_eni(eni)
        ipam.state.under_way.settle(eni)
        ipam.state.full_enis.pop(eni, None)
        return ipam.pool.remove_eni(eni, force=True)


def adopt(cards: Cards, entry: AttachedEni, now: float) -> tuple[Assignment, ...]:
    """Take an ENI in that is set up on the host; returns the assignments that turned out to be on it.

    A restart keeps a live pod's address on trust, on an ENI of its subnet, if nobody could tell which one holds it.
    """
    ipam = next((p for p in cards.pools if p.state.card == entry.eni.network_card), cards.default)
    moved: list[Assignment] = []
    for block in entry.blocks:
        for view in ipam.pool.enis():
            on_trust = [b for b in ipam.blocks(view.eni.id) if block.contains(b)]
            moved += [a for b in on_trust for a in ipam.pool.remove_block(view.eni.id, b, force=True)]
    ipam.add_attached(entry, now)
    return tuple(ipam.pool.restore(assignment) for assignment in moved)


def agrees(cards: Cards, metadata: Iterable[AttachedEni], now: float) -> bool:
    """Whether instance metadata says what the pools hold, what was changed lately left aside. False: ask EC2."""
    told = {entry.eni.id: frozenset(entry.blocks) for entry in metadata}
    held = {view.eni.id: view for pool in cards.pools for view in pool.pool.enis()}
    for eni, view in held.items():
        ipam = cards.of_eni(eni)
        if ipam.state.under_way.on(eni) is not None or now < max(ipam.changed_at(eni), view.since) + SETTLED:
            continue
        if eni in ipam.state.placement.missing:
            continue  # one that is not seen is asked about anyway, one that is somebody else's may hold what it likes
        # what is only kept for its pods was settled with EC2 before: to ask again would mend nothing
        trusted = ipam.pool.trusted(eni)
        if eni not in told or told[eni] - trusted != frozenset(ipam.blocks(eni)) - trusted:
            return False
    # what is not ours is not in the pool: only what looks new matters, and that is for the caller to know
    return True


def new_to(cards: Cards, metadata: Iterable[AttachedEni], not_ours: frozenset[EniId]) -> bool:
    """Whether metadata tells of an ENI that nobody knows."""
    if any(pool.state.under_way.attaching for pool in cards.pools):
        return False
    return any(
        entry.eni.id not in not_ours and not any(pool.pool.has_eni(entry.eni.id) for pool in cards.pools)
        for entry in metadata
    )
