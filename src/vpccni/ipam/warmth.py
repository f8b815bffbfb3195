"""What sets the warm targets anew at each look at the pool, where they are not fixed."""

from __future__ import annotations

from typing import Protocol

from vpccni.ipam.actions import Outcome
from vpccni.ipam.state import NodeState
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Pod


class Warmth(Protocol):
    """One node's. Times are seconds, never going back."""

    @property
    def eni_lasts(self) -> float | None:
        """Seconds for which an ENI without pods is kept; None: as long as any surplus."""

    @property
    def words(self) -> str:
        """What the last targets came from; empty if they are the settings' own."""

    def targets(self, state: NodeState, now: float, waiting: int) -> WarmTargets:
        """What the pool is to hold now, with so many pods waiting."""

    def asked(self, pod: Pod, now: float, *, waits: bool) -> None:
        """A pod asked for an address, and has one or waits for it; told again while it waits, and when it has it."""

    def took(self, outcome: Outcome, seconds: float) -> None:
        """EC2 did, or did not do, an action in so many seconds."""

    def next_event(self, now: float) -> float | None:
        """When the targets may be others with nothing else happening."""
