"""What is true after a restart: the checkpoint, the ENIs that are attached, and the pods that are there, put together.

Never on the absence of evidence (design, idea 5): a pod whose veth is there keeps its address even if no ENI seems to
hold it, for IMDS may lag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vpccni.ipam.checkpoint import Checkpoint
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import PoolError
from vpccni.ipam.values import Assignment, AttachedEni, Block, Cooling


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the checkpoint's entries."""

    kept: tuple[Assignment, ...]
    stale: tuple[Assignment, ...]
    """Their veth is gone: the address cools."""
    unheld: tuple[Assignment, ...]
    """Alive, on an address that no ENI was seen to hold; kept on the ENI of its subnet."""
    lost: tuple[tuple[Assignment, str], ...]
    """Could not be kept, and why."""


def restore(
    ipam: Ipam,
    attached: Iterable[AttachedEni],
    checkpoint: Checkpoint,
    alive: Callable[[Assignment], bool],
    now: float,
) -> Restored:
    """Fill a new `Ipam` with the ENIs and with every assignment whose pod is alive."""
    for entry in attached:
        ipam.add_attached(entry, now)
    kept: list[Assignment] = []
    stale: list[Assignment] = []
    unheld: list[Assignment] = []
    lost: list[tuple[Assignment, str]] = []
    for assignment in checkpoint.allocations:
        if not alive(assignment):
            stale.append(assignment)
            continue
        seen = ipam.pool.holds(assignment.address)
        if not seen and not _take_for_held(ipam, assignment):
            lost.append((assignment, "no attached ENI is in its subnet"))
            continue
        try:
            ipam.pool.restore(assignment)
        except PoolError as error:
            lost.append((assignment, str(error)))
            continue
        held = ipam.find(assignment.key)
        if held is not None:
            (kept if seen else unheld).append(held)
    for cooling in checkpoint.cooling:
        ipam.pool.cool(cooling, now)
    for assignment in stale:
        ipam.pool.cool(Cooling(assignment.address, now + ipam.pool.cooldown), now)
    return Restored(tuple(kept), tuple(stale), tuple(unheld), tuple(lost))


def _take_for_held(ipam: Ipam, assignment: Assignment) -> bool:
    for view in ipam.pool.enis():
        if assignment.address in view.eni.subnet_cidr and assignment.address != view.eni.primary_address:
            ipam.pool.add_block(view.eni.id, Block.of_address(assignment.address))
            return True
    return False
