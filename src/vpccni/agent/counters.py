"""What the agent counts as it goes; the metrics endpoint renders it (spec 8.2)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from vpccni.ipam.reasons import Reason


@dataclass(slots=True)
class Counters:
    """Plain numbers, written by the agent's loop alone."""

    adds: int = 0
    deletions: Counter[str] = field(default_factory=Counter)
    """By the original's reasons: PodDeleted, SetupNSFailed."""
    refused: Counter[Reason] = field(default_factory=Counter)
    """ADDs that got no address, by reason."""
    lost_enis: int = 0
    """ENIs that were taken away behind our back."""
    lost_addresses: int = 0
    """Pods' addresses that went with them."""
    failed_actions: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    """Pool actions that came to nothing: by kind and reason."""
