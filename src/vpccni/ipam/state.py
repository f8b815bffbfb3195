"""All that decisions are made from: the pool, its rules, and what EC2 was asked and answered."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpccni.ipam.pauses import Pauses
from vpccni.ipam.placement import Placement
from vpccni.ipam.pool import EniView, Pool
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets
from vpccni.ipam.under_way import UnderWay
from vpccni.ipam.values import BlockKind, EniId, EniRole


@dataclass(slots=True)
class NodeState:
    """One node's. `limits`, `targets`, `no_growth` and `provisioning` may be changed at any time."""

    limits: NodeLimits
    targets: WarmTargets
    kind: BlockKind
    pool: Pool
    pauses: Pauses
    placement: Placement = field(default_factory=Placement)
    under_way: UnderWay = field(default_factory=UnderWay)
    full_enis: dict[EniId, Refusal] = field(default_factory=dict)
    """ENIs that EC2 called full though we count room on them."""
    falling_back: Refusal | None = None
    """In prefix mode: which subnet had no free /28, and none was got since; so pods get single addresses too."""
    no_growth: Refusal | None = None
    """Why nothing comes and nothing goes (the node is cordoned, or being terminated)."""
    card: int = 0
    """The network card that the pool's ENIs are on: each managed card has a pool of its own (spec 6.1)."""
    targets_because: str = ""
    """Where the targets are not fixed: what they come from, in words."""
    provisioning: bool = True
    """False: EC2 is asked for nothing; what others give the node is used."""

    @property
    def kinds(self) -> tuple[BlockKind, ...]:
        """What pods get addresses of, the preferred kind first."""
        return (BlockKind.PREFIX, BlockKind.SECONDARY_IP) if self.falling_back else (self.kind,)

    def holdings(self, waiting: int = 0) -> Holdings:
        """What the pool holds in the active mode."""
        tally = self.pool.tally(self.kind)
        return Holdings(tally.total, tally.assigned, tally.cooling, tally.blocks, tally.empty_blocks, waiting)

    def all_holdings(self, waiting: int = 0) -> Holdings:
        """What the pool holds of both kinds, single addresses counted as blocks."""
        tallies = [self.pool.tally(kind) for kind in BlockKind]
        single = self.pool.tally(BlockKind.SECONDARY_IP)
        return Holdings(
            sum(t.total for t in tallies),
            sum(t.assigned for t in tallies),
            sum(t.cooling for t in tallies),
            single.blocks,
            single.empty_blocks,
            waiting,
        )

    def room(self, view: EniView) -> int:
        """Blocks that the ENI could take."""
        if not view.usable or view.eni.id in self.full_enis:
            return 0
        return self.limits.slots_per_eni - view.blocks

    @property
    def most_enis(self) -> int:
        """ENIs that the pool may have."""
        return max(self.limits.max_enis - self.limits.unmanaged_enis - self._kept_for_trunk, 0)

    @property
    def _kept_for_trunk(self) -> int:
        """The place that the trunk ENI will need; none once it is among the node's."""
        awaited = self.limits.trunk_place and all(
            view.eni.role is not EniRole.TRUNK for view in self.pool.enis()
        )
        return 1 if awaited else 0


def by_fill(view: EniView) -> tuple[int, bool, int]:
    """Sorts the fullest ENI first, the primary among equals."""
    return (-view.assigned, not view.eni.is_primary, view.eni.device_index)
