"""What EC2 says an ENI holds, taken into the pool (spec 6.8).

EC2's word, not instance metadata's, which lags behind it by tens of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import AddressHeldError
from vpccni.ipam.values import Assignment, AttachedEni, Block, EniId


@dataclass(frozen=True, slots=True)
class Differences:
    """Where the pool and EC2 did not agree about one ENI."""

    added: tuple[Block, ...] = ()
    removed: tuple[Block, ...] = ()
    still_used: tuple[Assignment, ...] = ()
    """Pods on addresses that EC2 says the ENI does not hold: kept, for they run, but nothing reaches them."""
    held_elsewhere: tuple[Block, ...] = ()
    """EC2 says this ENI holds them, the pool has them (or a part) on another."""


def reconcile(ipam: Ipam, seen: AttachedEni) -> Differences | None:
    """Make the pool hold what EC2 says; None, and nothing done, while EC2 is changing the ENI on our behalf.

    After this an ENI that was taken for full is asked again, unless we still count more room on it than there is, and it is known what EC2 made of a release that failed.
    `seen` must be younger than the last outcome of this ENI. Raises UnknownEniError.
    """
    eni, pool = seen.eni.id, ipam.pool
    known = pool.blocks_of(eni)
    if not ipam.state.under_way.told(eni):
        return None
    ipam.state.under_way.settle(eni)
    for block in known:
        if block in seen.blocks:
            pool.set_leaving(eni, block, leaving=False)
            pool.confirm(block)
    added: list[Block] = []
    elsewhere: list[Block] = []
    for block in seen.blocks:
        if block not in known:
            (added if _take_in(ipam, eni, block, seen.blocks) else elsewhere).append(block)
    if not elsewhere:
        # else we still count more room on it than there is: to ask would only be refused again
        ipam.state.full_enis.pop(eni, None)
    removed: list[Block] = []
    used: list[Assignment] = []
    for block in pool.blocks_of(eni):
        if block in seen.blocks:
            continue
        pods = [a for a in pool.assignments() if a.eni == eni and a.address in block.network]
        used += pods
        if not pods:
            pool.remove_block(eni, block, force=True)  # what cools in it goes on cooling, should it come back
            removed.append(block)
        else:
            _keep_only(ipam, eni, block, pods)
    return Differences(tuple(added), tuple(removed), tuple(used), tuple(elsewhere))


def _keep_only(ipam: Ipam, eni: EniId, block: Block, pods: list[Assignment]) -> None:
    """Of what EC2 does not hold only what pods have, and for these pods: others on it would not be reached either."""
    if block.kind.addresses > 1:
        ipam.pool.remove_block(eni, block, force=True)
        for assignment in pods:
            ipam.pool.add_block(eni, Block.of_address(assignment.address))
            ipam.pool.restore(assignment)
    for assignment in pods:
        ipam.pool.trust(assignment.address)


def _take_in(ipam: Ipam, eni: EniId, block: Block, seen: tuple[Block, ...]) -> bool:
    """Add the block. Single addresses of it that a restart kept on trust become part of it."""
    on_trust = [
        held
        for held in ipam.pool.blocks_of(eni)
        if held.kind.addresses == 1 and held not in seen and block.contains(held)
    ]
    pods = [a for held in on_trust for a in ipam.pool.remove_block(eni, held, force=True)]
    try:
        ipam.pool.add_block(eni, block)
    except AddressHeldError:
        taken_in = False
        for held in on_trust:
            ipam.pool.add_block(eni, held)
    else:
        taken_in = True
    for assignment in pods:
        ipam.pool.restore(assignment)
    return taken_in
