"""L-IPAM's decisions: what a pod gets, what to ask EC2 for, what to give back, and why not.

The very object that runs in the daemon, in the tests and in the planner (design, idea 1). It asks by actions, is told
outcomes, and keeps count of what is under way so that nothing is asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    Outcome,
    ReleaseAddresses,
    Released,
)
from vpccni.ipam.growth import grow, obstacle, subnet_of
from vpccni.ipam.pauses import SUBNET_IS_FULL, Pauses
from vpccni.ipam.placement import Placement
from vpccni.ipam.pool import ONLY, AddressHeldError, Pool
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.shrinking import SURPLUS_LASTS, Shrinking
from vpccni.ipam.state import NodeState
from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets, shortage
from vpccni.ipam.values import (
    Address,
    Assignment,
    AttachedEni,
    Block,
    BlockKind,
    EniId,
    Interface,
    Pod,
    SandboxKey,
)
from vpccni.ipam.warmth import Warmth

REFUSED_FOR_SURE = frozenset({Reason.THROTTLED, Reason.NOT_AUTHORISED})
"""EC2 said no before it did anything."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The pool at a glance, both kinds of blocks together, ENIs that pods may not use left out."""

    enis: int
    most_enis: int
    blocks: int
    total: int
    assigned: int
    cooling: int
    free: int
    under_way: int
    """Actions that EC2 has not answered."""
    blocks_coming: int


class Ipam:
    """The node's pool, its targets, and what it wants of EC2. Times are seconds, never going back."""

    def __init__(
        self,
        limits: NodeLimits,
        targets: WarmTargets,
        *,
        kind: BlockKind = BlockKind.SECONDARY_IP,
        cooldown: float = 30.0,
        seed: int = 0,
        placement: Placement | None = None,
        card: int = 0,
        surplus_lasts: float = SURPLUS_LASTS,
        warmth: Warmth | None = None,
    ) -> None:
        """`kind` is the active mode; `seed` differs from node to node; new ENIs go to the primary's subnet by default.

        What was too much for `surplus_lasts` seconds is given back. With `warmth` the targets are not fixed.
        """
        self.pool = Pool(cooldown)
        self.state = NodeState(
            limits, targets, kind, self.pool, Pauses(seed), placement or Placement(seed=seed), card=card
        )
        self.warmth = warmth
        self._shrinking = Shrinking(self.state, surplus_lasts)
        self._begun_at: dict[Action, float] = {}
        """Only where EC2's delay is of interest."""
        self._changed_at: dict[EniId, float] = {}
        self.moved: list[Assignment] = []
        """Assignments that turned out to be on another ENI: their rules must follow. The agent takes them out."""

    # --- pods -----------------------------------------------------------------------------------------------

    def assign(
        self, key: SandboxKey, pod: Pod, now: float, interface: Interface = ONLY
    ) -> Assignment | Refusal:
        """The sandbox's address, or why it has none."""
        told = self.warmth if self.warmth is not None and self.pool.find(key) is None else None
        tried = (self.pool.assign(key, pod, now, kind, interface) for kind in self.state.kinds)
        assignment = next((found for found in tried if found is not None), None)
        if told is not None:
            told.asked(pod, now, waits=assignment is None)
        return self.refusal(now) if assignment is None else assignment

    def release(self, key: SandboxKey, now: float) -> Assignment | None:
        """The address is the sandbox's no more and cools; None if it had none."""
        return self.pool.release(key, now)

    def undo(self, key: SandboxKey) -> None:
        """Take back an assignment that was never handed out."""
        self.pool.undo(key)

    def can_assign(self, now: float) -> bool:
        """Whether an ADD would get an address at once."""
        self.pool.advance(now)
        return any(self.pool.tally(kind).free > 0 for kind in self.state.kinds)

    def worth_waiting(self, now: float, patience: float = 0.0) -> bool:
        """Whether an address is on its way.

        EC2 is being asked for some, or would be at once, or will be, or one cools, for at most `patience` more.
        """
        self.pool.advance(now)
        if self.state.under_way.growing or self.state.under_way.finding_subnets:
            return True
        growth = grow(self.state, now, 1)
        if growth.actions or growth.busy:
            return True
        soon = (*map(self.pool.next_free_at, self.state.kinds), growth.resumes)
        return any(at is not None and at <= now + patience for at in soon)

    def refusal(self, now: float) -> Refusal:
        """Why an ADD cannot be served now, the most specific reason first."""
        if self.can_assign(now):
            free = sum(self.pool.tally(kind).free for kind in self.state.kinds)
            return Refusal(Reason.POOL_REFILLING, f"{free} addresses have just become free")
        if self.state.under_way.growing:
            return Refusal(
                Reason.POOL_REFILLING, f"{self.state.under_way.blocks} more from EC2 are on their way"
            )
        cause = obstacle(self.state, grow(self.state, now, 1))
        times = [at for kind in self.state.kinds if (at := self.pool.next_free_at(kind)) is not None]
        if times and cause.reason in {Reason.IP_LIMIT, Reason.ENI_LIMIT, Reason.MAX_PODS}:
            free_at = min(times)
            held = self.state.all_holdings() if self.state.falling_back else self.state.holdings()
            return Refusal(
                Reason.ALL_COOLING,
                f"{held.cooling} of {held.total} addresses cool, the next is free in {free_at - now:.0f} s",
            )
        return cause

    def shortfall(self, now: float) -> Refusal | None:
        """Why the pool holds less than the targets ask for; None if it does not, or if the rest is on its way."""
        self.pool.advance(now)
        growth = grow(self.state, now, 0)
        if growth.short > 0 or growth.actions:
            return obstacle(self.state, growth)
        return self.state.falling_back

    # --- EC2 ------------------------------------------------------------------------------------------------

    def plan(self, now: float, *, waiting: int = 0) -> tuple[Action, ...]:
        """Actions to begin now, each to be reported by one `apply`. They count as under way at once.

        `waiting` is how many ADDs found the pool empty: they are covered whatever the targets say.
        """
        self.pool.advance(now)
        if not self.state.provisioning:
            return ()
        if self.warmth is not None:
            self.state.targets = self.warmth.targets(self.state, now, waiting)
            self.state.targets_because = self.warmth.words
            self._shrinking.eni_lasts = self.warmth.eni_lasts
        begun = self._plan(now, waiting)
        if self.warmth is not None:
            self._begun_at.update(dict.fromkeys(begun, now))
        return begun

    def _plan(self, now: float, waiting: int) -> tuple[Action, ...]:
        self._shrinking.note_idle(now)
        actions = self._begin(self._shrinking.again(now))
        self._stop_falling_back(waiting)
        held_still = self.state.no_growth is not None
        if not held_still:
            actions += self._begin(self._shrinking.leftovers(now))
        growth = grow(self.state, now, waiting)
        actions += self._begin(growth.actions)
        actions += self._begin(self._look_for_subnets(now, wanted=growth.wants_subnets))
        if held_still:
            return tuple(actions)
        if growth.lacked:
            self._shrinking.not_over()
        elif not self.state.under_way.growing:
            # one after the other, for a detached ENI's blocks are no surplus any more
            while more := self._begin(self._shrinking.superfluous(now)):
                actions += more
        return tuple(actions)

    def apply(self, outcome: Outcome, now: float) -> None:
        """What came of an action.

        Raises NotUnderWayError if it is not under way, AddressHeldError if EC2 gave what the pool has (the rest of
        it is taken in).
        """
        self.pool.advance(now)
        self.state.under_way.end(outcome.action)
        if self.warmth is not None and (began := self._begun_at.pop(outcome.action, None)) is not None:
            self.warmth.took(outcome, now - began)
        if isinstance(outcome.action, AssignAddresses | ReleaseAddresses):
            self._changed_at[outcome.action.eni] = now
        match outcome:
            case Assigned(action, blocks):
                self._gave(action, blocks)
                self._add_blocks(action.eni, blocks)
            case Attached(action, attached):
                self._gave(action, attached.blocks)
                self.add_attached(attached, now)
            case FoundSubnets(_, offers, excluded):
                self.state.pauses.succeeded(FindSubnets)
                self.state.placement.found(offers, excluded, now)
                self.judge_enis()
            case Released(action):
                self.state.pauses.succeeded(ReleaseAddresses)
                self.state.under_way.settle(action.eni)
                self.state.full_enis.pop(action.eni, None)
                for block in self._still_held(action):
                    self.pool.remove_block(action.eni, block)
            case Detached(action):
                self.state.pauses.succeeded(DetachEni)
                self.state.under_way.settle(action.eni)
                self.state.full_enis.pop(action.eni, None)
                self._changed_at.pop(action.eni, None)
                self.pool.remove_eni(action.eni)
            case Failed(action, refusal):
                self._failed(action, refusal, now)

    def add_attached(self, attached: AttachedEni, now: float) -> None:
        """An ENI that is attached and set up, with what it holds. Raises DuplicateEniError, AddressHeldError."""
        usable = self.state.placement.gives_addresses(attached.eni)
        self.pool.add_eni(attached.eni, now, usable=usable)
        self._add_blocks(attached.eni.id, attached.blocks)

    def judge_enis(self) -> None:
        """After a change of `state.placement`: which ENIs give pods addresses from now on."""
        for view in self.pool.enis():
            self.pool.set_usable(view.eni.id, usable=self.state.placement.gives_addresses(view.eni))

    def next_event(self, now: float) -> float | None:
        """When something changes by itself: a cooldown, a pause, a hysteresis or an ENI's minimum life ends."""
        self.pool.advance(now)
        times = (
            self.pool.next_free_at(),
            self.state.pauses.next_end(now),
            self._shrinking.next_event(now),
            self._subnets_due_at(now),
            self.warmth.next_event(now) if self.warmth is not None else None,
        )
        return min((at for at in times if at is not None), default=None)

    # --- inside ---------------------------------------------------------------------------------------------

    def _begin(self, actions: list[Action]) -> list[Action]:
        for action in actions:
            self.state.under_way.begin(action)
            self._set_leaving(action, leaving=True)
        return actions

    def _stop_falling_back(self, waiting: int) -> None:
        """The prefixes that are there are enough again: no new pod needs a single address."""
        state = self.state
        if state.falling_back and not shortage(
            state.targets, state.limits, state.holdings(waiting), state.kind
        ):
            state.falling_back = None

    def _look_for_subnets(self, now: float, *, wanted: bool) -> list[Action]:
        if self.state.under_way.finding_subnets or self.state.pauses.on(FindSubnets, now):
            return []
        due_at = self.state.placement.due_at()
        return [FindSubnets()] if wanted or (due_at is not None and now >= due_at) else []

    def _subnets_due_at(self, now: float) -> float | None:
        due_at = self.state.placement.due_at()
        return due_at if due_at is not None and due_at > now and self.state.provisioning else None

    def _gave(self, action: AssignAddresses | AttachEni, blocks: tuple[Block, ...]) -> None:
        """EC2 did what takes addresses from a subnet."""
        self.state.pauses.succeeded(type(action))
        subnet = subnet_of(self.state, action)
        if subnet is not None:
            for kind in {block.kind for block in blocks}:
                self.state.pauses.subnet_gave(subnet, kind)
        if any(block.kind is BlockKind.PREFIX for block in blocks):
            self.state.falling_back = None

    def _set_leaving(self, action: Action, *, leaving: bool) -> None:
        """What is being given back is not assigned, and is again if EC2 did not take it."""
        if isinstance(action, ReleaseAddresses | DetachEni):
            for block in self._still_held(action):
                self.pool.set_leaving(action.eni, block, leaving=leaving)

    def _still_held(self, action: ReleaseAddresses | DetachEni) -> tuple[Block, ...]:
        """Its blocks that have not come again elsewhere while it was under way."""
        if isinstance(action, DetachEni):
            return self.pool.blocks_of(action.eni)
        return tuple(block for block in action.blocks if self.pool.has_block(action.eni, block))

    def _add_blocks(self, eni: EniId, blocks: tuple[Block, ...]) -> None:
        refused: AddressHeldError | None = None
        for block in blocks:
            self._forget_on_missing(eni, block)
            if self._move_trusted(eni, block):
                continue
            try:
                self.pool.add_block(eni, block)
            except AddressHeldError as error:
                refused = error
        if refused is not None:
            raise refused

    def _move_trusted(self, eni: EniId, block: Block) -> bool:
        """EC2 gives an address that a pod has, on trust, on another ENI: the pod's it stays, on the ENI that holds it."""
        moved: list[Assignment] = []
        for view in self.pool.enis():
            for old in self.pool.trusted(view.eni.id):
                if block.contains(old) and view.eni.id != eni:
                    moved += self.pool.remove_block(view.eni.id, old, force=True)
        if not moved:
            return False
        self.pool.add_block(eni, block)
        self.moved += [self.pool.restore(assignment) for assignment in moved]
        return True

    def _forget_on_missing(self, eni: EniId, block: Block) -> None:
        """EC2 gives what an ENI had that is gone to another at once; what no pod has of it is no more on the old one."""
        for missing in self.state.placement.missing - {eni}:
            if not self.pool.has_eni(missing):
                continue
            for old in self.pool.blocks_of(missing):
                if (block.contains(old) or old.contains(block)) and old in self.pool.empty_blocks_of(
                    missing, old.kind
                ):
                    self.pool.remove_block(missing, old)

    def _failed(self, action: Action, refusal: Refusal, now: float) -> None:
        if isinstance(action, ReleaseAddresses | DetachEni):
            # a detachment is several calls: what was refused may be the last of them
            one_call = isinstance(action, ReleaseAddresses)
            for_sure = refusal.reason in REFUSED_FOR_SURE and one_call
            if for_sure and not self.state.under_way.doubted(action.eni):
                self._set_leaving(action, leaving=False)
            else:
                # EC2 may have done it. To a pod its addresses must not go before that is known: they may be another
                # node's by now
                self.state.under_way.doubt(action)
        elif isinstance(action, FindSubnets):
            self.state.placement.not_found(now)
        elif isinstance(action, AssignAddresses) and refusal.reason is Reason.IP_LIMIT:
            # EC2 says that the ENI is full: our count is wrong, and asking again would not change its mind
            self.state.full_enis[action.eni] = refusal
            return
        elif refusal.reason in SUBNET_IS_FULL and (subnet := subnet_of(self.state, action)) is not None:
            self.state.pauses.subnet_is_full(subnet, action.kind, refusal, now)
            if action.kind is BlockKind.PREFIX and self.state.kind is BlockKind.PREFIX:
                detail = f"{subnet} has no free /28 ({refusal.detail or refusal.reason.value}); pods get single addresses"
                self.state.falling_back = Refusal(Reason.NO_FREE_PREFIX, detail)
            return
        self.state.pauses.failed(type(action), refusal, now)

    def changed_at(self, eni: EniId) -> float:
        """When EC2 last answered a change of ours to the ENI's addresses; long ago if never."""
        return self._changed_at.get(eni, float("-inf"))

    # --- for the agent --------------------------------------------------------------------------------------

    def find(self, key: SandboxKey) -> Assignment | None:
        """What the sandbox has."""
        return self.pool.find(key)

    def owner(self, address: Address) -> SandboxKey | None:
        """Whose the address is."""
        return self.pool.owner(address)

    def blocks(self, eni: EniId) -> tuple[Block, ...]:
        """What the ENI holds."""
        return self.pool.blocks_of(eni)

    @property
    def holdings(self) -> Holdings:
        """What the pool holds in the active mode."""
        return self.state.holdings()

    @property
    def numbers(self) -> Numbers:
        """For status and metrics."""
        tallies = [self.pool.tally(kind) for kind in BlockKind]
        return Numbers(
            enis=self.pool.eni_count,
            most_enis=self.state.most_enis,
            blocks=sum(t.blocks for t in tallies),
            total=sum(t.total for t in tallies),
            assigned=sum(t.assigned for t in tallies),
            cooling=sum(t.cooling for t in tallies),
            free=sum(t.free for t in tallies),
            under_way=len(self.state.under_way),
            blocks_coming=self.state.under_way.blocks,
        )
