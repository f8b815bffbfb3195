"""All that decisions are made from: the pool, its rules, and what EC2 was asked and answered."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpccni.ipam.pauses import Pauses
from vpccni.ipam.pool import EniView, Pool
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets
from vpccni.ipam.under_way import UnderWay
from vpccni.ipam.values import BlockKind, EniId


@dataclass(slots=True)
class NodeState:
    """One node's. `limits`, `targets` and `no_growth` may be changed at any time."""

    limits: NodeLimits
    targets: WarmTargets
    kind: BlockKind
    pool: Pool
    pauses: Pauses
    under_way: UnderWay = field(default_factory=UnderWay)
    full_enis: dict[EniId, Refusal] = field(default_factory=dict)
    """ENIs that EC2 called full though we count room on them."""
    no_growth: Refusal | None = None
    """Why the agent asks EC2 for nothing more (the node is cordoned, or being terminated)."""

    def holdings(self, waiting: int = 0) -> Holdings:
        """What the pool holds in the active mode."""
        tally = self.pool.tally(self.kind)
        return Holdings(tally.total, tally.assigned, tally.cooling, tally.blocks, tally.empty_blocks, waiting)

    def room(self, view: EniView) -> int:
        """Blocks that the ENI could take."""
        if not view.usable or view.eni.id in self.full_enis:
            return 0
        return self.limits.slots_per_eni - view.blocks

    @property
    def most_enis(self) -> int:
        """ENIs that the pool may have."""
        return max(self.limits.max_enis - self.limits.unmanaged_enis, 0)


def by_fill(view: EniView) -> tuple[int, bool, int]:
    """Sorts the fullest ENI first, the primary among equals."""
    return (-view.assigned, not view.eni.is_primary, view.eni.device_index)
