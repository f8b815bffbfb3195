"""What to give back to EC2, and when: never so much that it would be asked for again (spec 6.7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vpccni.ipam.actions import Action, AssignAddresses, DetachEni, ReleaseAddresses
from vpccni.ipam.pool import EniView
from vpccni.ipam.state import NodeState, by_fill
from vpccni.ipam.targets import addresses_short, eni_is_extra, shortage, surplus
from vpccni.ipam.values import Block, BlockKind, EniId, EniRole

SHRINK_EVERY = 30.0
"""Seconds between two releases (spec 6.7)."""
SURPLUS_LASTS = 120.0
"""Seconds for which something must have been too much before it goes, if nobody says otherwise; by a day of churn
(docs/ec2-calls.md)."""
ENI_MINIMUM_LIFE = 60.0
"""Seconds before an ENI may be given back (spec 6.7)."""
SINGLE = BlockKind.SECONDARY_IP


class Shrinking:
    """Remembers since when the pool is too large."""

    def __init__(self, state: NodeState, lasts: float) -> None:
        """`lasts`: seconds for which something must have been too much before it goes."""
        self._state = state
        self._lasts = lasts
        self.eni_lasts: float | None = None
        """If set, how long an ENI must have had no pod, whatever else was too much or too little meanwhile."""
        self._released_at = float("-inf")
        self._over_since: float | None = None
        self._extra_since: float | None = None
        self._idle_since: dict[EniId, float] = {}
        """Of each ENI without pods, if how long it has had none decides."""

    def not_over(self) -> None:
        """The pool is short of addresses: what comes after that is a new surplus."""
        self._over_since = self._extra_since = None

    def note_idle(self, now: float) -> None:
        """Which ENIs have no pod now: told with every plan, whatever is held back."""
        if self.eni_lasts is None:
            self._idle_since = {}
        else:
            idle = (view.eni.id for view in self._state.pool.idle_enis())
            self._idle_since = {eni: self._idle_since.get(eni, now) for eni in idle}

    def again(self, now: float) -> list[Action]:
        """What EC2 may or may not have done."""
        pauses = self._state.pauses
        return [action for action in self._state.under_way.in_doubt if not pauses.on(type(action), now)]

    def leftovers(self, now: float) -> list[Action]:
        """Give back what no new pod gets: what the other mode left, and what is on ENIs that pods may not use."""
        if now < self._released_at + SHRINK_EVERY or self._state.pauses.on(ReleaseAddresses, now):
            return []
        actions: list[Action] = []
        for view, kinds in self._left_over():
            blocks = [b for kind in kinds for b in self._state.pool.empty_blocks_of(view.eni.id, kind)]
            if blocks and self._state.under_way.on(view.eni.id) is None:
                actions.append(ReleaseAddresses(view.eni.id, tuple(blocks)))
        if actions:
            self._released_at = now
        return actions

    def superfluous(self, now: float) -> list[Action]:
        """Give back an ENI that the targets do not need; else blocks, if there were too many for long enough."""
        view = self._extra_eni(now)
        if view is not None and not self._state.pauses.on(DetachEni, now):
            return [DetachEni(view.eni.id)]
        state = self._state
        kind, over = self._over()
        if over <= 0:
            self._over_since = None
            return self._make_room_for_a_prefix(now) if state.falling_back else []
        self._over_since = now if self._over_since is None else self._over_since
        if now < self._release_due(self._over_since) or state.pauses.on(ReleaseAddresses, now):
            return []
        actions = self._release(kind, over)
        if actions:
            self._released_at = now
        return actions

    def next_event(self, now: float) -> float | None:
        """When, with nothing else happening, something more could be given back."""
        state, times = self._state, list[float]()
        if self._over_since is not None:
            times.append(self._release_due(self._over_since))
        if self._released_at + SHRINK_EVERY > now and any(
            state.pool.eni_tally(view.eni.id, kind).empty_blocks
            for view, kinds in self._left_over()
            for kind in kinds
        ):
            times.append(self._released_at + SHRINK_EVERY)
        times.extend(self._goes_at(view, now) for view in state.pool.idle_enis() if self._could_go(view))
        return min((at for at in times if at > now), default=None)

    def _over(self) -> tuple[BlockKind, int]:
        """Blocks that are too many, and of which kind."""
        state = self._state
        if state.falling_back:
            held = state.all_holdings()
            over = -addresses_short(state.targets, state.limits, held)
            return SINGLE, min(over, held.empty_blocks)
        return state.kind, surplus(state.targets, state.limits, state.holdings(), state.kind)

    def _release_due(self, over_since: float) -> float:
        return max(over_since + self._lasts, self._released_at + SHRINK_EVERY)

    def _left_over(self) -> Iterable[tuple[EniView, tuple[BlockKind, ...]]]:
        """ENIs with the kinds of blocks that are of no use on them."""
        state, tally = self._state, self._state.pool.tally
        other = tuple(kind for kind in BlockKind if kind not in state.kinds and tally(kind).empty_blocks)
        if not other and not state.placement.restricts:
            return
        for view in state.pool.enis():
            if view.usable:
                yield view, other
            elif view.eni.id in state.placement.missing:
                continue
            elif view.eni.role is EniRole.PLAIN and (view.eni.is_primary or view.assigned or view.cooling):
                # without pods it goes as a whole
                yield view, tuple(BlockKind)

    def _extra_eni(self, now: float) -> EniView | None:
        """The emptiest first; one at a time, so that what is left is counted anew."""
        if self._state.under_way.detaching:
            return None
        idle = sorted(self._state.pool.idle_enis(), key=by_fill, reverse=True)
        extra = [view for view in idle if self._could_go(view)]
        if not any(view.usable for view in extra):
            self._extra_since = None
        elif self._extra_since is None:
            self._extra_since = now
        return next((view for view in extra if now >= self._goes_at(view, now)), None)

    def _goes_at(self, view: EniView, now: float) -> float:
        """One that pods may not use has nothing to wait for."""
        youth = view.since + ENI_MINIMUM_LIFE
        if not view.usable:
            return youth
        if self.eni_lasts is not None:
            return max(youth, self._idle_since.get(view.eni.id, now) + self.eni_lasts)
        since = now if self._extra_since is None else self._extra_since
        return max(youth, since + self._lasts)

    def _could_go(self, view: EniView) -> bool:
        state = self._state
        if (
            view.eni.is_primary
            or view.eni.role is not EniRole.PLAIN
            or view.eni.id in state.placement.missing
        ):
            return False
        if state.under_way.on(view.eni.id) is not None:
            return False
        if not view.usable:
            return True
        own = state.pool.eni_tally(view.eni.id, state.kind)
        if state.falling_back:
            held = state.all_holdings()
            without = replace(held, total=held.total - view.total)
            return not own.blocks and addresses_short(state.targets, state.limits, without) <= 0
        held = state.holdings()
        without = replace(
            held,
            total=held.total - own.total,
            blocks=held.blocks - own.blocks,
            empty_blocks=held.empty_blocks - own.empty_blocks,
        )
        return eni_is_extra(state.targets, state.limits, held, without, state.kind)

    def _release(self, kind: BlockKind, over: int) -> list[Action]:
        """The emptiest ENI gives first, so that it may become empty as a whole."""
        actions: list[Action] = []
        for view in sorted(self._state.pool.enis(), key=by_fill, reverse=True):
            if over <= 0:
                break
            if not view.usable or self._state.under_way.on(view.eni.id) is not None:
                continue
            blocks: tuple[Block, ...] = self._state.pool.empty_blocks_of(view.eni.id, kind)[-over:]
            if blocks:
                actions.append(ReleaseAddresses(view.eni.id, blocks))
                over -= len(blocks)
        return actions

    def _make_room_for_a_prefix(self, now: float) -> list[Action]:
        """One free single address goes where no slot is left to ask for a prefix with."""
        state = self._state
        if state.pauses.on(ReleaseAddresses, now) or now < self._released_at + SHRINK_EVERY:
            return []
        if not shortage(state.targets, state.limits, state.holdings(), BlockKind.PREFIX):
            return []
        for view in sorted(state.pool.enis(), key=by_fill, reverse=True):
            if not view.usable or state.room(view) or state.under_way.on(view.eni.id) is not None:
                continue
            if state.pauses.on_taking(AssignAddresses, view.eni.subnet_id, BlockKind.PREFIX, now):
                continue
            blocks = state.pool.empty_blocks_of(view.eni.id, SINGLE)[-1:]
            if blocks:
                self._released_at = now
                return [ReleaseAddresses(view.eni.id, blocks)]
        return []
