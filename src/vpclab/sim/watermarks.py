"""Other projects' rules for how much a pool holds, to be compared with ours on the same pool, ENIs and calls.

What differs is the target alone: where they would place calls, and when they would detach ENIs, is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vpccni.ipam.actions import Outcome
from vpccni.ipam.state import NodeState
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Pod


class Stateless:
    """Learns nothing."""

    @property
    def eni_lasts(self) -> float | None:
        """As any surplus."""
        return None

    @property
    def words(self) -> str:
        """None."""
        return ""

    def asked(self, pod: Pod, now: float, *, waits: bool) -> None:
        """Of no interest."""

    def took(self, outcome: Outcome, seconds: float) -> None:
        """Of no interest."""

    def next_event(self, now: float) -> float | None:  # noqa: ARG002 -- the protocol's
        """Never."""
        return None


@dataclass(frozen=True, slots=True)
class Azure(Stateless):
    """Azure CNS, v2 of its pool: B * ceil(mf + U / B) addresses, U of them in use."""

    batch: int = 16
    minimum_free: float = 0.5

    def targets(self, state: NodeState, now: float, waiting: int) -> WarmTargets:  # noqa: ARG002 -- the protocol's
        """Whole batches."""
        used = state.pool.assigned_count + waiting
        return WarmTargets(minimum_ip=self.batch * math.ceil(self.minimum_free + used / self.batch))


@dataclass(frozen=True, slots=True)
class Cilium(Stateless):
    """Cilium's pre-allocate watermark, with the release of what is above it switched on (by default it keeps all)."""

    pre_allocate: int = 8

    def targets(self, state: NodeState, now: float, waiting: int) -> WarmTargets:  # noqa: ARG002 -- the protocol's
        """So many beyond those in use."""
        return WarmTargets(warm_ip=self.pre_allocate)
