"""A warm target that follows the node's own arrivals and EC2's observed delay (docs/warm-targets.md).

A pod waits if more pods come than addresses are ready while EC2 brings more. From what it has seen the node estimates two things
at each pod's arrival: how many came within the time that EC2 needs ("the rush"), and how many addresses were in use then ("the
level"). Holding the rush's quantile beyond what is in use, or the level's quantile in all, both keep the chance of a wait below
the bound; whichever holds less is held. Beyond that, what is there is given back only when it is more than what the node was seen
to need again within `HORIZON`: an address given back too early costs two calls.

Until enough was seen, and always within it, the fixed targets rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpccni.ipam.actions import AssignAddresses, Attached, AttachEni, Failed, Outcome
from vpccni.ipam.quantiles import Counts, Delay
from vpccni.ipam.state import NodeState
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind, SandboxKey

ENOUGH_ARRIVALS = 30
"""Pods after which the node knows its own load."""
QUIET = 3600.0
"""Seconds after which it knows as much though fewer came."""
HORIZON = 900.0
"""Seconds for which what will be needed again is kept."""
STEP = 60.0
"""Seconds of which the highest use is one sample."""
FORGET_ARRIVALS = 1000
"""Pods after which half of what was learned from a pod is forgotten."""
FORGET_STEPS = 360
"""The same for samples of use: six hours."""
ASSIGN_TAKES, ATTACH_TAKES = 1.0, 6.0
"""Seconds that EC2 is thought to need before it was seen to."""
IN_TURN = 2.0
"""A call waits for the one before it on the same ENI: so many times its duration is the longest that a pod waits."""
NOT_WORTH_IT = 3
"""Addresses for which two calls are too many: so few below the level are not given back."""
KEPT_PART = 0.9
"""The part of quarter hours whose rise is covered by what is not given back."""
ASKED_PART = 0.5
"""The same for what is asked for when something must be."""
ENI_LASTS = 3600.0
"""Seconds for which an ENI without pods is kept: it holds one address, and taking and giving it costs nine calls."""
LOOK_AGAIN = 600.0
"""Seconds after which an idle node looks whether it has too much."""
UNHEARD = 2048
"""Sandboxes that wait, of which it is known that they were counted."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the node is to hold now, in addresses, and why."""

    learned: bool
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


class Adaptive:
    """One pool's. `fixed` are the settings' targets, which are limits here; `wait_probability` between 0 and 1."""

    def __init__(self, fixed: WarmTargets, wait_probability: float = 0.01) -> None:
        self.fixed = fixed
        self.wait_probability = wait_probability
        self.eni_lasts: float | None = None
        self.held: Held | None = None
        """What was decided last."""
        self.arrivals = 0
        self._began: float | None = None
        self._recent: deque[float] = deque()
        self._waiting: dict[SandboxKey, None] = {}
        self._rush = {False: Counts(FORGET_ARRIVALS), True: Counts(FORGET_ARRIVALS)}
        """By whether an ENI must be attached."""
        self._level = Counts(FORGET_ARRIVALS)
        self._misses = 0.0
        """Of the level's, of late."""
        self._rises = Counts(FORGET_STEPS)
        self._steps: deque[tuple[int, int, int]] = deque()
        """(number, lowest use, highest use) of the last `HORIZON`."""
        self._in_use = 0
        self._last_use = 0
        self._takes = {False: Delay(ASSIGN_TAKES), True: Delay(ATTACH_TAKES)}

    # --- what happens ---------------------------------------------------------------------------------------

    def asked(self, key: SandboxKey, now: float) -> None:
        """A pod came; once for each sandbox."""
        if key in self._waiting:
            return
        self._waiting[key] = None
        if len(self._waiting) > UNHEARD:
            del self._waiting[next(iter(self._waiting))]
        self.arrivals += 1
        self._recent.append(now)
        longest = IN_TURN * self._takes[True].high
        while self._recent[0] < now - longest:
            self._recent.popleft()
        shorter = now - IN_TURN * self._takes[False].high
        self._rush[True].add(len(self._recent))
        self._rush[False].add(sum(1 for at in self._recent if at >= shorter))
        level = self._in_use + 1
        self._misses *= 1 - self.wait_probability
        if self._level.weight and level > self._level.quantile(1 - self.wait_probability / 2):
            self._misses += 1
        self._level.add(level)

    def took(self, outcome: Outcome, seconds: float) -> None:
        """EC2's delay, of what it did."""
        if not isinstance(outcome, Failed) and isinstance(outcome.action, AssignAddresses | AttachEni):
            self._takes[isinstance(outcome, Attached)].add(seconds)

    # --- what to hold ---------------------------------------------------------------------------------------

    def targets(self, state: NodeState, now: float, waiting: int) -> WarmTargets:
        """The fixed ones until the node is known; then what it needs, within them."""
        tally = state.pool.tally(state.kind)
        self._in_use = tally.assigned + tally.cooling + waiting
        self._note_use(now)
        if not self.learned(now):
            self.held = self.eni_lasts = None
            return self.fixed
        self.eni_lasts = ENI_LASTS
        coming = state.under_way.coming(state.kind) * state.kind.addresses
        self.held = held = self._wanted(state)
        total = tally.total + coming
        if total < held.least:
            return WarmTargets(minimum_ip=max(held.asked, 1))
        return WarmTargets(minimum_ip=max(min(total, held.most), 1))

    def learned(self, now: float) -> bool:
        """Whether the node's own load is known."""
        known_for = now - self._began if self._began is not None else 0.0
        return self.arrivals >= ENOUGH_ARRIVALS or known_for >= QUIET

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
            f"{self.wait_probability:.3g} of them wait; {held.least} in all at least, {held.most} at most"
        )

    def next_event(self, now: float) -> float | None:
        """When an idle node looks again: only if it holds more than it must."""
        return now + LOOK_AGAIN if self.held is None or self.held.most > self.held.least else None

    def _wanted(self, state: NodeState) -> Held:
        part = 1 - self.wait_probability / 2
        slots = sum(state.room(view) for view in state.pool.enis())
        room = slots * state.kind.addresses
        # a new ENI's delay counts only for what has no room on those that are there
        rush = max(self._rush[False].quantile(part), self._rush[True].quantile(part) - room, 1)
        most_warm = self._most_warm(state)
        rush = min(rush, most_warm)
        used = self._in_use
        trusted = self._misses < 0.3 and self._level.weight >= ENOUGH_ARRIVALS
        level = self._level.quantile(part) if trusted else None
        least = used + rush if level is None else max(used, min(used + rush, level))
        reach = max(level or 0, used + rush)
        asked = max(
            least, min(used + rush + self._rises.quantile(ASKED_PART), reach if level else used + most_warm)
        )
        most = max(asked, min(used + rush + self._rises.quantile(KEPT_PART), used + most_warm))
        if level is not None and most < level <= most + NOT_WORTH_IT:
            most = level
        floor = self.fixed.minimum_ip
        return Held(True, rush, level, max(least, floor), max(asked, floor), max(most, floor))

    def _most_warm(self, state: NodeState) -> int:
        """Addresses that the fixed targets would keep ready at the most."""
        fixed = self.fixed
        if fixed.by_ip:
            return max(fixed.warm_ip, 1)
        if state.kind is BlockKind.PREFIX:
            return max(fixed.warm_prefix, 1) * state.kind.addresses
        return max(fixed.warm_eni, 1) * state.limits.slots_per_eni

    def _note_use(self, now: float) -> None:
        """Keep the use of each step, and count by how much it rose within the horizon after a step that has passed out of it."""
        if self._began is None:
            self._began = now
        number = int(now // STEP)
        steps = self._steps
        if steps and number > steps[-1][0]:
            last = self._last_use
            for missed in range(max(steps[-1][0] + 1, number - int(HORIZON // STEP) - 1), number):
                steps.append((missed, last, last))
                self._pass_out()
        self._last_use = self._in_use
        if steps and steps[-1][0] == number:
            _, low, high = steps[-1]
            steps[-1] = (number, min(low, self._in_use), max(high, self._in_use))
        else:
            steps.append((number, self._in_use, self._in_use))
            self._pass_out()

    def _pass_out(self) -> None:
        while len(self._steps) > HORIZON // STEP:
            _, low, _ = self._steps.popleft()
            self._rises.add(max(high for _, _, high in self._steps) - low)

    # --- over a restart -------------------------------------------------------------------------------------

    def remembered(self) -> dict[str, Any]:
        """What was learned, for a file."""
        return {
            "arrivals": self.arrivals,
            "rush": [self._rush[attach].plain() for attach in (False, True)],
            "level": self._level.plain(),
            "rises": self._rises.plain(),
            "takes": [self._takes[attach].plain() for attach in (False, True)],
        }

    def remember(self, said: Mapping[str, Any]) -> None:
        """Go on with what `remembered` gave. Raises ValueError, having changed nothing, for anything else."""
        try:
            arrivals = int(said["arrivals"])
            rush = [Counts.of(FORGET_ARRIVALS, one) for one in said["rush"]]
            level = Counts.of(FORGET_ARRIVALS, said["level"])
            rises = Counts.of(FORGET_STEPS, said["rises"])
            takes = [Delay.of(one) for one in said["takes"]]
            if len(rush) != 2 or len(takes) != 2 or arrivals < 0:
                raise ValueError("two of each were expected")
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not what an adaptive target remembers: {error!r}") from None
        self.arrivals, self._level, self._rises = arrivals, level, rises
        self._rush = dict(zip((False, True), rush, strict=True))
        self._takes = dict(zip((False, True), takes, strict=True))

    @property
    def delays(self) -> tuple[float, float]:
        """Seconds that EC2 is thought to need at most for more addresses, and for an ENI."""
        return self._takes[False].high, self._takes[True].high
