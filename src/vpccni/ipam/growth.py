"""Which ENI to ask for more, whether to attach another, and what stands in the way if neither."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vpccni.ipam.actions import Action, AssignAddresses, AttachEni, DetachEni, ReleaseAddresses
from vpccni.ipam.pauses import SUBNET_IS_FULL, Pause
from vpccni.ipam.pool import EniView
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.state import NodeState, by_fill
from vpccni.ipam.targets import Holdings, addresses_short, shortage
from vpccni.ipam.values import BlockKind, SubnetId, SubnetOffer

PASSING = frozenset({Reason.THROTTLED, Reason.EC2_UNREACHABLE})
"""Nothing is wrong with what was asked for: it is waited for, not asked for elsewhere."""
TRIED_AGAIN = PASSING | {Reason.EC2_ERROR, Reason.ENI_NOT_VISIBLE}
"""What may go well at the next try, within the time that an ADD waits (an internal error of EC2's, say)."""


@dataclass(slots=True)
class Growth:
    """What to begin now, and why not more."""

    actions: list[Action] = field(default_factory=list)
    paused: list[Refusal] = field(default_factory=list)
    """What EC2 has refused lately, the most specific first."""
    busy: list[str] = field(default_factory=list)
    """What must end before more can be asked for."""
    short: int = 0
    """Blocks still missing; while falling back from prefixes, single addresses."""
    lacked: bool = False
    """Whether any were missing before more were asked for. That a /28 is asked for to see if one is free, is no want."""
    wants_subnets: bool = False
    """EC2 must be asked for subnets before an ENI can be attached."""
    resumes: float | None = None
    """When EC2 is asked again after a refusal that says nothing but "later"."""


@dataclass(slots=True)
class _Want:
    """The missing blocks of one kind, as they become fewer."""

    state: NodeState
    kind: BlockKind
    held: Holdings
    """As it will be once all that is under way and asked for has come."""
    short: int = field(init=False)

    def __post_init__(self) -> None:
        self._measure()

    def count_in(self, blocks: int) -> None:
        self.held = self.held.with_blocks(blocks, self.kind)
        self._measure()

    def _measure(self) -> None:
        state = self.state
        if self.kind is state.kind:
            self.short = shortage(state.targets, state.limits, self.held, self.kind)
        else:
            self.short = addresses_short(state.targets, state.limits, self.held)


def grow(state: NodeState, now: float, waiting: int) -> Growth:
    """Cover the targets' shortage and the waiting pods: first existing ENIs, the fullest first, then another ENI.

    More than one action may be begun at a time: what has room for a part does not keep the rest from being asked for.
    """
    growth = Growth()
    coming = {kind: state.under_way.coming(kind) for kind in BlockKind}
    want = _Want(state, state.kind, state.holdings(waiting).with_blocks(coming[state.kind], state.kind))
    growth.short = want.short
    growth.lacked = growth.short > 0
    if growth.short > 0 and not _may_grow(state, growth):
        return growth
    if growth.short > 0 and state.placement.unknown:
        # the primary's own subnet may be tagged as one whose addresses are not for pods
        growth.wants_subnets = True
        growth.busy.append("EC2 is being asked for subnets")
        return growth
    _cover(want, growth, now)
    growth.short = want.short
    if state.falling_back:
        asked = sum(a.count for a in growth.actions if isinstance(a, AssignAddresses | AttachEni))
        prefixes = (coming[BlockKind.PREFIX] + asked) * BlockKind.PREFIX.addresses
        held = state.all_holdings(waiting).with_blocks(coming[BlockKind.SECONDARY_IP], BlockKind.SECONDARY_IP)
        singles = _Want(state, BlockKind.SECONDARY_IP, replace(held, total=held.total + prefixes))
        growth.lacked = singles.short > 0
        without_prefixes, growth.paused = growth.paused, []
        _cover(singles, growth, now)
        growth.paused += without_prefixes
        growth.short = max(singles.short, 0)
    return growth


def _may_grow(state: NodeState, growth: Growth) -> bool:
    if not state.provisioning:
        growth.paused.append(Refusal(Reason.PROVISIONING_OFF, "the agent may not ask EC2 for more"))
    elif state.no_growth is not None:
        growth.paused.append(state.no_growth)
    else:
        return True
    return False


def _cover(want: _Want, growth: Growth, now: float) -> None:
    if want.short <= 0:
        return
    for view in sorted(want.state.pool.enis(), key=by_fill):
        if want.short <= 0:
            return
        _ask_eni(want, view, growth, now)
    if want.short > 0:
        _attach(want, growth, now)


def _ask_eni(want: _Want, view: EniView, growth: Growth, now: float) -> None:
    state, kind = want.state, want.kind
    room = state.room(view)
    doing = state.under_way.on(view.eni.id)
    if isinstance(doing, ReleaseAddresses):
        # a matter of a moment, and then there is more room: no new ENI in its place
        growth.busy.append(f"{view.eni.id} is giving addresses back to EC2")
        want.count_in(min(room + len(doing.blocks), want.short))
        return
    if isinstance(doing, DetachEni):
        growth.busy.append(f"{view.eni.id} is being detached")
        return
    if isinstance(doing, AssignAddresses):
        # EC2 answers that in a moment, and then what is still missing can be asked of the same ENI
        if (left := min(room - doing.count, want.short)) > 0:
            growth.busy.append(f"{view.eni.id} is being given addresses")
            want.count_in(left)
        return
    count = min(room, want.short)
    if doing is not None or count <= 0 or any(_on(action, view) for action in growth.actions):
        return
    pause = state.pauses.on_taking(AssignAddresses, view.eni.subnet_id, kind, now)
    if pause is None:
        if _being_tried(state, view.eni.subnet_id, kind, growth):
            return
        growth.actions.append(AssignAddresses(view.eni.id, count, kind))
        want.count_in(count)
        return
    _note_pause(growth, pause, now)
    if pause.refusal.reason in PASSING:
        # this room will be filled in a moment: a new ENI in its place would have to be taken away again
        want.count_in(count)


def _being_tried(state: NodeState, subnet: SubnetId | None, kind: BlockKind, growth: Growth) -> bool:
    """Whether EC2 is being asked if a subnet that was full still is: nothing else is asked of it meanwhile."""
    if not state.pauses.unsure_of(subnet, kind):
        return False
    asked = [
        a for a in (*growth.actions, *state.under_way.asked) if isinstance(a, AssignAddresses | AttachEni)
    ]
    tried = any(subnet_of(state, action) == subnet for action in asked)
    if tried:
        growth.busy.append(f"EC2 is being asked whether {subnet} has free addresses again")
    return tried


def _on(action: Action, view: EniView) -> bool:
    return isinstance(action, AssignAddresses) and action.eni == view.eni.id


def _attach(want: _Want, growth: Growth, now: float) -> None:
    state = want.state
    if state.under_way.attaching or any(isinstance(action, AttachEni) for action in growth.actions):
        growth.busy.append("an ENI is being attached")
        return
    if state.pool.eni_count >= state.most_enis:
        return
    known = [offer.id for offer in state.placement.offers]
    # of subnets that were full, the question itself tells whether they still are
    news = not known or not all(state.pauses.unsure_of(subnet, want.kind) for subnet in known)
    if state.placement.stale(now) and news:
        growth.wants_subnets = True
        growth.busy.append("EC2 is being asked for subnets")
        return
    if state.placement.awaited:
        growth.busy.append("the node's ENIConfig is being read")
        return
    if state.placement.refusal is not None:
        growth.paused.append(state.placement.refusal)
        return
    for offer in _offers(state):
        subnet = offer.id if offer else None
        pause = state.pauses.on_taking(AttachEni, subnet, want.kind, now)
        if pause is not None:
            _note_pause(growth, pause, now)
            continue
        if _being_tried(state, subnet, want.kind, growth):
            continue
        count = _fitting(offer, min(want.short, state.limits.slots_per_eni), want.kind)
        index = _free_device_index(state)
        growth.actions.append(AttachEni(index, count, want.kind, network_card=state.card, subnet=subnet))
        want.count_in(count)
        return


def _offers(state: NodeState) -> tuple[SubnetOffer | None, ...]:
    if state.placement.offers:
        return state.placement.offers
    primary = next((view.eni for view in state.pool.enis() if view.eni.is_primary), None)
    return (SubnetOffer(primary.subnet_id, primary.subnet_cidr) if primary else None,)


def _fitting(offer: SubnetOffer | None, count: int, kind: BlockKind) -> int:
    """No more than the subnet was said to have beside the ENI's own address: EC2 gives all of it or nothing."""
    if offer is None or offer.free is None:
        return count
    return min(count, max((offer.free - 1) // kind.addresses, 1))


def _free_device_index(state: NodeState) -> int:
    used = {view.eni.device_index for view in state.pool.enis()} | state.limits.unmanaged_device_indexes
    return next(index for index in range(len(used) + 1) if index not in used)


def _note_pause(growth: Growth, pause: Pause, now: float) -> None:
    """Keep the refusal, with what a person needs to know of it."""
    reason, detail = pause.refusal.reason, pause.refusal.detail
    if reason in SUBNET_IS_FULL and pause.subnet is not None:
        what = "free address" if reason is Reason.SUBNET_FULL else "free /28"
        detail = f"{pause.subnet} has no {what}" + (f" ({detail})" if detail else "")
    again = f"EC2 is asked again in {pause.until - now:.0f} s"
    refusal = Refusal(reason, f"{detail}; {again}" if detail else again)
    if refusal not in growth.paused:
        growth.paused.append(refusal)
    if reason in TRIED_AGAIN:
        growth.resumes = min(pause.until, growth.resumes or pause.until)


def obstacle(state: NodeState, growth: Growth) -> Refusal:
    """What keeps one more address from being had; the most specific reason first."""
    if growth.actions:
        return Refusal(Reason.POOL_REFILLING, "EC2 is about to be asked")
    if growth.paused:
        return growth.paused[0]
    if growth.busy:
        return Refusal(Reason.POOL_REFILLING, f"{growth.busy[0]}; then more can be asked for")
    if state.falling_back is not None:
        return state.falling_back
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


def subnet_of(state: NodeState, action: AssignAddresses | AttachEni) -> SubnetId | None:
    """Whose addresses the action takes."""
    if isinstance(action, AttachEni):
        return action.subnet
    return state.pool.eni(action.eni).eni.subnet_id if state.pool.has_eni(action.eni) else None
