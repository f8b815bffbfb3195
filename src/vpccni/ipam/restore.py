"""What is true after a restart: the checkpoint, the ENIs that are attached, and the pods that are there, put together.

Never on the absence of evidence (design, idea 5): a pod whose veth is there keeps its address even if no ENI seems to
hold it, for IMDS may lag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from vpccni.ipam.checkpoint import Checkpoint
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import EniView, NotAssignableError, PoolError
from vpccni.ipam.values import Assignment, AttachedEni, Block, Cooling

CONNECTING_TAKES = 60.0
"""Seconds from an assignment in which whoever asked for it may still be connecting the pod; the CNI's callers give up before."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the checkpoint's allocations: each is in one of these."""

    kept: tuple[Assignment, ...]
    stale: tuple[Assignment, ...]
    """Their veth is gone: the address cools."""
    unheld: tuple[Assignment, ...]
    """Alive, on an address that no ENI was seen to hold; kept on the ENI it was on, else on one of its subnet."""
    lost: tuple[tuple[Assignment, str], ...]
    """Could not be kept, and why."""
    unwired: tuple[Assignment, ...] = ()
    """Of those that were kept: without a veth, and so young that it may be on its way."""


def restore(
    ipam: Ipam,
    attached: Iterable[AttachedEni],
    checkpoint: Checkpoint,
    alive: Callable[[Assignment], bool],
    now: float,
    *,
    position: int = 0,
) -> Restored:
    """Fill a new `Ipam` with the ENIs and with every assignment whose pod is alive.

    `position` is the pool's among those of the managed network cards: a file of the original's does not say which of a pod's
    interfaces an address is on. One that names no pod (another runtime made it) cannot be looked for and is kept (spec 6.4). Raises PoolError if
    two of the ENIs are the same or hold the same address.
    """
    for entry in attached:
        ipam.add_attached(entry, now)
    kept: list[Assignment] = []
    stale: list[Assignment] = []
    unheld: list[Assignment] = []
    lost: list[tuple[Assignment, str]] = []
    unwired: list[Assignment] = []
    for written in checkpoint.allocations:
        assignment = _numbered(written, position)
        seen = ipam.pool.holds(assignment.address)
        wired = not assignment.pod.name or alive(assignment)
        if not wired and not (seen and now < assignment.assigned_at + CONNECTING_TAKES):
            stale.append(assignment)
            continue
        try:
            if not seen:
                _take_for_held(ipam, assignment)
            held = ipam.pool.restore(assignment)
            (kept if seen else unheld).append(held)
            if not wired:
                unwired.append(held)
        except PoolError as error:
            lost.append((assignment, str(error)))
    # after the assignments: an address that somebody has does not cool
    for cooling in checkpoint.cooling:
        ipam.pool.cool(cooling, now)
    for assignment in stale:
        ipam.pool.cool(Cooling(assignment.address, now + ipam.pool.cooldown), now)
    return Restored(tuple(kept), tuple(stale), tuple(unheld), tuple(lost), tuple(unwired))


def _numbered(assignment: Assignment, position: int) -> Assignment:
    interface = assignment.interface
    if interface.of == 1 or interface.index:
        return assignment
    return replace(assignment, interface=replace(interface, index=position))


def _take_for_held(ipam: Ipam, assignment: Assignment) -> None:
    if ipam.find(assignment.key) is not None:
        raise NotAssignableError(f"{assignment.key} has another address already")
    address = assignment.address

    def fits(view: EniView) -> bool:
        if isinstance(
            address, IPv6Address
        ):  # an ENI's subnet is known of IPv4 only; the pods' ENI is the primary
            return view.eni.is_primary
        return address in view.eni.subnet_cidr and address != view.eni.primary_address

    candidates = [view for view in ipam.pool.enis() if fits(view)]
    if not candidates:
        raise NotAssignableError(f"no attached ENI is in the subnet of {address}")
    # routes and rules of the pod lead to the ENI it was on; its subnet alone does not tell which that is
    best = min(candidates, key=lambda view: view.eni.id != assignment.eni)
    ipam.pool.add_block(best.eni.id, Block.of_address(address))
    ipam.pool.trust(address)
