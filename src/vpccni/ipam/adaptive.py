"""A warm target that follows the node's own arrivals and EC2's observed delay (docs/warm-targets.md).

What must be held at the least keeps the chance that a pod waits below the bound (readiness.py); how far above it the pool may be is
a matter of EC2 calls against idle addresses (band.py). Until enough was seen, and always within it, the fixed targets rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpccni.ipam.actions import AssignAddresses, Attached, AttachEni, Failed, Outcome
from vpccni.ipam.band import Band
from vpccni.ipam.readiness import ENOUGH_ARRIVALS, Readiness
from vpccni.ipam.state import NodeState
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind, Pod

QUIET = 1800.0
"""Seconds after which a node knows its load though fewer than `ENOUGH_ARRIVALS` pods came."""
ENI_LASTS = 3600.0
"""Seconds for which an ENI without pods is kept: it holds one address, and taking and giving it costs nine calls."""
LOOK_AGAIN = 600.0
"""Seconds after which an idle node looks whether it has too much."""
UNHEARD = 2048
"""Pods that wait, of which it is known that they were counted."""
STARVES = 3
"""So many times the longest that EC2 is thought to need."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the node is to hold now, in addresses, and why."""

    rush: int
    """Beyond what is in use, so that a rush finds enough."""
    level: int | None
    """In all, if the level is trusted."""
    least: int
    """In all: below that more is asked for."""
    asked: int
    """In all: up to that."""
    most: int
    """In all: what is beyond is given back."""
    back: int
    """In all: down to that."""


class Adaptive:
    """One pool's. `fixed` are the settings' targets, which are limits here; `wait_probability` between 0 and 1."""

    def __init__(self, fixed: WarmTargets, wait_probability: float = 0.01) -> None:
        self.fixed = fixed
        self.wait_probability = wait_probability
        self.held: Held | None = None
        """What was decided last."""
        self._began: float | None = None
        self._waiting: dict[Pod, None] = {}
        self._readiness = Readiness(wait_probability)
        self._band = Band()
        self._in_use = 0
        self._lacks_since: float | None = None

    # --- what happens ---------------------------------------------------------------------------------------

    def asked(self, pod: Pod, now: float, *, waits: bool) -> None:
        """A pod came, once for each; whoever waits asks again, with another sandbox when the runtime gave up on the first."""
        if pod in self._waiting:
            if not waits:
                del self._waiting[pod]
            return
        if waits:
            self._waiting[pod] = None
            if len(self._waiting) > UNHEARD:
                del self._waiting[next(iter(self._waiting))]
        if self.held is not None and not (waits and self._starves(now)):
            self._readiness.judge(waits=waits)
        self._readiness.came(now, self._in_use + 1)

    def _starves(self, now: float) -> bool:
        """Less is there than was asked for, for longer than EC2 needs: that pods wait now says nothing of how much is enough."""
        return self._lacks_since is not None and now > self._lacks_since + STARVES * max(self.delays)

    def took(self, outcome: Outcome, seconds: float) -> None:
        """EC2's delay, of what it did."""
        if not isinstance(outcome, Failed) and isinstance(outcome.action, AssignAddresses | AttachEni):
            self._readiness.took(seconds, attach=isinstance(outcome, Attached))

    # --- what to hold ---------------------------------------------------------------------------------------

    def targets(self, state: NodeState, now: float, waiting: int) -> WarmTargets:
        """The fixed ones until the node is known; then what it needs, within them."""
        tally = state.pool.tally(state.kind)
        self._in_use = tally.assigned + tally.cooling + waiting
        if self._began is None:
            self._began = now
        if not self.learned(now):
            self.held = None
            return self.fixed
        total = tally.total + state.under_way.coming(state.kind) * state.kind.addresses
        room = sum(map(state.room, state.pool.enis())) * state.kind.addresses
        self.held = held = self._wanted(state, now, total, tally.total + room)
        if tally.total >= held.least:
            self._lacks_since = None
        elif self._lacks_since is None:
            self._lacks_since = now
        if total < held.least:
            return WarmTargets(minimum_ip=held.asked)
        return WarmTargets(minimum_ip=total if total <= held.most else held.back)

    @property
    def eni_lasts(self) -> float | None:
        """As any surplus, until the node is known."""
        return ENI_LASTS if self.held is not None else None

    def learned(self, now: float) -> bool:
        """Whether the node's own load is known."""
        known_for = now - self._began if self._began is not None else 0.0
        return self.arrivals >= ENOUGH_ARRIVALS or known_for >= QUIET

    def _wanted(self, state: NodeState, now: float, total: int, places: int) -> Held:
        """`total` is what there is and what is on its way, `places` what the ENIs that are there could have in all."""
        used, most_warm, band = self._in_use, self._most_warm(state), self._band
        rush = min(self._readiness.rush(max(places - used, 0)), most_warm)
        level = self._readiness.level
        needed = used + rush if level is None else max(min(used + rush, level), used + 1)
        least = max(needed, self.fixed.minimum_ip)
        band.passes(least, now, lacks=total < least)
        limit = max(least, used + most_warm)
        asked = min(least + band.ask, limit)
        if least <= places:
            asked = max(least, min(asked, places))  # no ENI for what is only convenient
        most, back = min(least + band.most, limit), min(least + band.back, limit)
        return Held(rush, level, least, asked, most, back)

    def _most_warm(self, state: NodeState) -> int:
        """Addresses that the fixed targets would keep ready at the most."""
        fixed = self.fixed
        if fixed.by_ip:
            return max(fixed.warm_ip, 1)
        if state.kind is BlockKind.PREFIX:
            return max(fixed.warm_prefix, 1) * state.kind.addresses
        return max(fixed.warm_eni, 1) * state.limits.slots_per_eni

    def next_event(self, now: float) -> float | None:
        """When an idle node looks again: only if it holds more than it must."""
        if self.held is None:
            return now + LOOK_AGAIN
        return self._band.rise_ends_at or (now + LOOK_AGAIN if self.held.most > self.held.least else None)

    # --- for those who watch --------------------------------------------------------------------------------

    @property
    def arrivals(self) -> int:
        """Pods that it has learned from."""
        return self._readiness.arrivals

    @property
    def delays(self) -> tuple[float, float]:
        """Seconds that EC2 is thought to need at most for more addresses, and for an ENI."""
        return self._readiness.delays

    @property
    def words(self) -> str:
        """For status and explain."""
        held = self.held
        if held is None:
            return (
                (
                    f"adaptive, learning ({self.arrivals} pods of {ENOUGH_ARRIVALS} seen): "
                    "the fixed targets are kept meanwhile"
                )
                if self._began is not None
                else ""
            )
        level = f" or the usual {held.level} in all" if held.level is not None else ""
        return (
            f"adaptive: {held.rush} ready for pods that come while EC2 brings more{level}, so that at most "
            f"{100 * self.wait_probability:.3g} % of them wait; {held.least} in all at least, {held.most} at most"
        )

    # --- over a restart -------------------------------------------------------------------------------------

    def remembered(self) -> dict[str, Any]:
        """What was learned, for a file."""
        return self._readiness.plain() | self._band.plain()

    def remember(self, said: Mapping[str, Any]) -> None:
        """Go on with what `remembered` gave. Raises ValueError, having changed nothing, for anything else."""
        try:
            readiness, band = Readiness.of(self.wait_probability, said), Band.of(said)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not what an adaptive target remembers: {error!r}") from None
        self._readiness, self._band = readiness, band
