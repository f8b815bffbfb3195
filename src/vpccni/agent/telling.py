"""Actions, outcomes and targets in sentences, for status, the decisions' ring and the log. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    DetachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    Outcome,
    ReleaseAddresses,
)
from vpccni.ipam.state import NodeState
from vpccni.ipam.values import Block, BlockKind

SHOWN = 4
"""Blocks that are named; the rest is counted: an ENI may hold fifty."""


def action_words(action: Action) -> str:
    """What is to be done."""
    match action:
        case AssignAddresses(eni, count, kind):
            return f"ask EC2 for {_count(count, kind)} more on {eni}"
        case AttachEni(device_index, count, kind, network_card, subnet):
            where = f" in {subnet}" if subnet else ""
            card = f" of network card {network_card}" if network_card else ""
            return f"attach an ENI with {_count(count, kind)} at device index {device_index}{card}{where}"
        case ReleaseAddresses(eni, blocks):
            return f"give {block_words(blocks)} of {eni} back to EC2"
        case DetachEni(eni):
            return f"detach and delete {eni}"
        case FindSubnets():
            return "ask EC2 which subnets ENIs may be put into"


def outcome_words(outcome: Outcome) -> str:
    """What came of it, beyond that it was done."""
    match outcome:
        case Assigned(_, blocks):
            return f"EC2 gave {block_words(blocks)}"
        case Attached(_, attached):
            return f"{attached.eni.id} came with {block_words(attached.blocks)}"
        case FoundSubnets(_, offers, excluded):
            kept_out = f"; without pods: {', '.join(sorted(excluded))}" if excluded else ""
            return f"usable: {', '.join(offer.id for offer in offers) or 'none'}{kept_out}"
        case Failed(_, refusal):
            return str(refusal)
        case _:
            return "done"


def why_words(state: NodeState, action: Action, waiting: int) -> str:
    """What made the pool want it."""
    held = state.all_holdings(waiting) if state.falling_back else state.holdings(waiting)
    free = held.total - held.assigned - held.cooling
    has = f"{free} of {held.total} addresses are free, {held.cooling} cool"
    waits = f", {waiting} pods wait" if waiting else ""
    match action:
        case AssignAddresses() | AttachEni():
            return f"{has}{waits}; {targets_words(state)}"
        case ReleaseAddresses(eni) | DetachEni(eni):
            if state.pool.has_eni(eni) and not state.pool.eni(eni).usable:
                return f"pods get no addresses of {eni}"
            return f"{has}; {targets_words(state)}"
        case FindSubnets():
            return "what EC2 said of the subnets is old, or was never asked for"


def targets_words(state: NodeState) -> str:
    """What the settings that are in force ask for."""
    targets = state.targets
    if state.targets_because:
        return state.targets_because
    if targets.by_ip:
        wanted = [f"WARM_IP_TARGET={targets.warm_ip} for {targets.warm_ip} free"] if targets.warm_ip else []
        if targets.minimum_ip:
            wanted.append(f"MINIMUM_IP_TARGET={targets.minimum_ip} for {targets.minimum_ip} in all")
        return f"{' and '.join(wanted)}"
    if state.kind is BlockKind.PREFIX:
        wanted_free = targets.warm_prefix * BlockKind.PREFIX.addresses or 1
        return f"WARM_PREFIX_TARGET={targets.warm_prefix} for {wanted_free} free"
    wanted_free = targets.warm_eni * state.limits.slots_per_eni or 1
    return f"WARM_ENI_TARGET={targets.warm_eni} for {wanted_free} free"


def block_words(blocks: Sequence[Block]) -> str:
    """A few of them by name."""
    if not blocks:
        return "nothing"
    names = ", ".join(str(block) for block in blocks[:SHOWN])
    more = len(blocks) - SHOWN
    return f"{names} and {more} more" if more > 0 else names


def _count(count: int, kind: BlockKind) -> str:
    if kind is BlockKind.PREFIX:
        return "1 prefix" if count == 1 else f"{count} prefixes"
    return "1 address" if count == 1 else f"{count} addresses"
