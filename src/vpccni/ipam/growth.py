"""Which ENI to ask for more, whether to attach another, and what stands in the way if neither."""

from __future__ import annotations

from dataclasses import dataclass, field

from vpccni.ipam.actions import Action, AssignAddresses, AttachEni, DetachEni, ReleaseAddresses
from vpccni.ipam.pauses import SUBNET_IS_FULL, Pause
from vpccni.ipam.pool import EniView
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.state import NodeState, by_fill
from vpccni.ipam.targets import Holdings, shortage
from vpccni.ipam.values import BlockKind, SubnetId

PASSING = frozenset({Reason.THROTTLED, Reason.EC2_UNREACHABLE})
"""Nothing is wrong with what was asked for: it is waited for, not asked for elsewhere."""


@dataclass(slots=True)
class Growth:
    """What to begin now, and why not more."""

    held: Holdings
    """As it will be once all that is under way and in `actions` has come."""
    actions: list[Action] = field(default_factory=list)
    paused: list[Refusal] = field(default_factory=list)
    """What EC2 has refused lately, the most specific first."""
    busy: list[str] = field(default_factory=list)
    """What must end before more can be asked for."""
    short: int = 0
    """Blocks still missing."""
    resumes: float | None = None
    """When EC2 is asked again after a refusal that says nothing but "later"."""


def grow(state: NodeState, now: float, waiting: int) -> Growth:
    """Cover the targets' shortage and the waiting pods: first existing ENIs, the fullest first, then another ENI.

    More than one action may be begun at a time: what has room for a part does not keep the rest from being asked for.
    """
    growth = Growth(state.holdings(waiting).with_blocks(state.under_way.blocks, state.kind))
    growth.short = _short(state, growth.held)
    if growth.short <= 0:
        return growth
    if state.no_growth is not None:
        growth.paused.append(state.no_growth)
        return growth
    for view in sorted(state.pool.enis(), key=by_fill):
        if growth.short > 0:
            _ask_eni(state, view, growth, now)
    if growth.short > 0:
        _attach(state, growth, now)
    return growth


def _short(state: NodeState, held: Holdings) -> int:
    return shortage(state.targets, state.limits, held, state.kind)


def _count_in(state: NodeState, growth: Growth, blocks: int) -> None:
    growth.held = growth.held.with_blocks(blocks, state.kind)
    growth.short = _short(state, growth.held)


def _ask_eni(state: NodeState, view: EniView, growth: Growth, now: float) -> None:
    room = state.room(view)
    doing = state.under_way.on(view.eni.id)
    if isinstance(doing, ReleaseAddresses):
        # a matter of a moment, and then there is more room: no new ENI in its place
        growth.busy.append(f"{view.eni.id} is giving addresses back to EC2")
        _count_in(state, growth, min(room + len(doing.blocks), growth.short))
        return
    if isinstance(doing, DetachEni):
        growth.busy.append(f"{view.eni.id} is being detached")
        return
    count = min(room, growth.short)
    if doing is not None or count <= 0:
        return
    subnet = view.eni.subnet_id
    pause = state.pauses.on(AssignAddresses, now, subnet)
    if pause is None:
        growth.actions.append(AssignAddresses(view.eni.id, count, state.kind))
        _count_in(state, growth, count)
        return
    _note_pause(growth, pause, now, subnet)
    if pause.refusal.reason in PASSING:
        # this room will be filled in a moment: a new ENI in its place would have to be taken away again
        _count_in(state, growth, count)


def _attach(state: NodeState, growth: Growth, now: float) -> None:
    if state.under_way.attaching:
        growth.busy.append("an ENI is being attached")
        return
    if state.pool.eni_count >= state.most_enis:
        return
    pause = state.pauses.on(AttachEni, now)
    if pause is not None:
        _note_pause(growth, pause, now, None)
        return
    count = min(growth.short, state.limits.slots_per_eni)
    growth.actions.append(AttachEni(_free_device_index(state), count, state.kind))
    _count_in(state, growth, count)


def _free_device_index(state: NodeState) -> int:
    used = {view.eni.device_index for view in state.pool.enis()} | state.limits.unmanaged_device_indexes
    return next(index for index in range(len(used) + 1) if index not in used)


def _note_pause(growth: Growth, pause: Pause, now: float, subnet: SubnetId | None) -> None:
    """Keep the refusal, with what a person needs to know of it."""
    reason, detail = pause.refusal.reason, pause.refusal.detail
    if reason in SUBNET_IS_FULL and subnet is not None:
        what = "free address" if reason is Reason.SUBNET_FULL else "free /28"
        detail = f"{subnet} has no {what}" + (f" ({detail})" if detail else "")
    again = f"EC2 is asked again in {pause.until - now:.0f} s"
    growth.paused.append(Refusal(reason, f"{detail}; {again}" if detail else again))
    if reason in PASSING:
        growth.resumes = min(pause.until, growth.resumes or pause.until)


def obstacle(state: NodeState, growth: Growth) -> Refusal:
    """What keeps one more address from being had; the most specific reason first."""
    if growth.actions:
        return Refusal(Reason.POOL_REFILLING, "EC2 is about to be asked")
    if growth.paused:
        return growth.paused[0]
    if growth.busy:
        return Refusal(Reason.POOL_REFILLING, f"{growth.busy[0]}; then more can be asked for")
    held = state.holdings()
    if held.total >= state.limits.max_pods:
        most = state.limits.max_pods
        return Refusal(Reason.MAX_PODS, f"the pool holds {held.total} addresses for at most {most} pods")
    return _at_limit(state)


def _at_limit(state: NodeState) -> Refusal:
    unit = "addresses" if state.kind is BlockKind.SECONDARY_IP else "prefixes"
    slots = state.limits.slots_per_eni
    usable = [view for view in state.pool.enis() if view.usable]
    used = ", ".join(str(blocks) for blocks in sorted({view.blocks for view in usable})) or "no"
    detail = f"{state.pool.eni_count} of {state.most_enis} ENIs hold {used} of {slots} {unit}"
    if state.full_enis:
        eni, refusal = next(iter(state.full_enis.items()))
        return Refusal(Reason.IP_LIMIT, f"{detail}; EC2 calls {eni} full: {refusal.detail}")
    return Refusal(Reason.ENI_LIMIT, detail)
