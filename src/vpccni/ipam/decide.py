"""L-IPAM's decisions: what a pod gets, what to ask EC2 for, what to give back, and why not.

The very object that runs in the daemon, in the tests and in the planner (design, idea 1). It asks by actions, is told
outcomes, and keeps count of what is under way so that nothing is asked twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from vpccni.ipam import targets as formulas
from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    Outcome,
    ReleaseAddresses,
    Released,
)
from vpccni.ipam.pool import EniView, Pool
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, Block, BlockKind, EniId, Pod, SandboxKey

SHRINK_EVERY = 30.0
"""Seconds between two releases (spec 6.7)."""
ENI_MINIMUM_LIFE = 60.0
"""Seconds before an ENI may be given back (spec 6.7)."""
FULL_SUBNET_PAUSE = 120.0
"""Seconds for which a full subnet is not asked again (spec 6.7)."""
NOT_AUTHORISED_PAUSE = 60.0
BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0
FULL = frozenset({Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX})
AT_LIMIT = frozenset({Reason.IP_LIMIT, Reason.ENI_LIMIT})


@dataclass(slots=True)
class _Pause:
    """Why and until when a kind of call is not made."""

    until: float
    refusal: Refusal
    failures: int = 1


@dataclass(slots=True)
class _UnderWay:
    """Actions that were given out and not yet reported."""

    by_eni: dict[EniId, Action] = field(default_factory=dict)
    attach: AttachEni | None = None

    @property
    def growing(self) -> bool:
        """Whether one of them brings addresses."""
        return self.attach is not None or any(isinstance(a, AssignAddresses) for a in self.by_eni.values())

    @property
    def blocks(self) -> int:
        """Blocks that are on their way."""
        coming = sum(a.count for a in self.by_eni.values() if isinstance(a, AssignAddresses))
        return coming + (self.attach.count if self.attach else 0)


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
    ) -> None:
        self.limits = limits
        self.targets = targets
        self.kind = kind
        self.pool = Pool(cooldown)
        self._under_way = _UnderWay()
        self._pauses: dict[str, _Pause] = {}
        self._full_enis: dict[EniId, Refusal] = {}
        self._shrank_at = float("-inf")
        self._over_since: float | None = None
        self._seed = seed

    # --- pods -----------------------------------------------------------------------------------------------

    def assign(self, key: SandboxKey, pod: Pod, now: float) -> Assignment | Refusal:
        """The sandbox's address, or why it has none."""
        return self.pool.assign(key, pod, now, self.kind) or self.refusal(now)

    def release(self, key: SandboxKey, now: float) -> Assignment | None:
        """The address is the sandbox's no more and cools; None if it had none."""
        return self.pool.release(key, now)

    def undo(self, key: SandboxKey) -> None:
        """Take back an assignment that was never handed out."""
        self.pool.undo(key)

    def can_assign(self, now: float) -> bool:
        """Whether an ADD would get an address at once."""
        self.pool.advance(now)
        return self.pool.free[self.kind] > 0

    def worth_waiting(self, now: float, patience: float = 0.0) -> bool:
        """Whether an address is on its way: EC2 is being asked for some, or one cools for at most `patience` more."""
        soon = self.pool.next_free_at
        return self._under_way.growing or (soon is not None and soon <= now + patience)

    def refusal(self, now: float) -> Refusal:
        """Why an ADD cannot be served now, the most specific reason first."""
        if self._under_way.growing:
            return Refusal(Reason.POOL_REFILLING, f"{self._under_way.blocks} more from EC2 are on their way")
        cause = self._blocker(now)
        if self.pool.cooling_count and cause.reason in {*AT_LIMIT, Reason.TARGET_ZERO, Reason.MAX_PODS}:
            soon = (self.pool.next_free_at or now) - now
            return Refusal(
                Reason.ALL_COOLING,
                f"{self.pool.cooling_count} addresses cool, the next is free in {soon:.0f} s",
            )
        return cause

    # --- EC2 ------------------------------------------------------------------------------------------------

    def plan(self, now: float, *, waiting: int = 0) -> tuple[Action, ...]:
        """Actions to begin now. `waiting` is how many ADDs found the pool empty. They count as under way at once."""
        self.pool.advance(now)
        wanted = self._wanted(waiting)
        if wanted > 0:
            self._over_since = None
            return self._grow(wanted, now)
        return self._shrink(now)

    def apply(self, outcome: Outcome, now: float) -> None:
        """What came of an action."""
        match outcome:
            case Assigned(action, blocks):
                self._settle(action)
                self._pauses.pop(_subject(action, self._subnet(action)), None)
                for block in blocks:
                    self.pool.add_block(action.eni, block)
            case Attached(action, attached):
                self._settle(action)
                self._pauses.pop("attach", None)
                self.add_attached(attached, now)
            case Released(action):
                self._settle(action)
                for block in action.blocks:
                    self.pool.remove_block(action.eni, block)
            case Detached(action):
                self._settle(action)
                self.pool.remove_eni(action.eni)
                self._full_enis.pop(action.eni, None)
            case Failed(action, refusal):
                self._settle(action)
                self._failed(action, refusal, now)

    def add_attached(self, attached: AttachedEni, now: float) -> None:
        """An ENI that is attached and set up, with what it holds. Raises PoolError if it is known."""
        self.pool.add_eni(attached.eni, now)
        for block in attached.blocks:
            self.pool.add_block(attached.eni.id, block)

    def next_event(self, now: float) -> float | None:
        """When something changes by itself: a cooldown, a pause, a hysteresis or an ENI's minimum life ends."""
        times = [pause.until for pause in self._pauses.values() if pause.until > now]
        if (free_at := self.pool.next_free_at) is not None:
            times.append(free_at)
        if self._over_since is not None:
            times.append(max(self._over_since, self._shrank_at) + SHRINK_EVERY)
        if formulas.eni_is_extra(self.targets, self.limits, self.holdings, self.kind):
            times.extend(
                view.since + ENI_MINIMUM_LIFE
                for view in self.pool.enis()
                if not view.eni.is_primary and not view.assigned and view.since + ENI_MINIMUM_LIFE > now
            )
        return min((t for t in times if t > now), default=None)

    @property
    def holdings(self) -> Holdings:
        """What the pool holds in the active mode."""
        pool, kind = self.pool, self.kind
        prefixes = pool.blocks[BlockKind.PREFIX]
        return Holdings(
            pool.total[kind],
            pool.assigned[kind],
            pool.cooling_count,
            prefixes,
            pool.empty_blocks[BlockKind.PREFIX],
        )

    # --- more -----------------------------------------------------------------------------------------------

    def _wanted(self, waiting: int) -> int:
        """Blocks to ask for beyond those under way: what the targets miss, or what waiting pods need."""
        held = self.holdings
        short = formulas.shortage(self.targets, self.limits, held, self.kind)
        if waiting > held.available and held.total < self.limits.max_pods:
            short = max(short, -(-(waiting - held.available) // self.kind.addresses))
        return max(short - self._under_way.blocks, 0)

    def _grow(self, wanted: int, now: float) -> tuple[Action, ...]:
        actions: list[Action] = []
        for view in self._enis_by_fill():
            room = min(self._room(view), wanted)
            if room <= 0 or view.eni.id in self._under_way.by_eni:
                continue
            if self._paused(f"assign {view.eni.subnet_id}", now):
                continue
            assign = AssignAddresses(view.eni.id, room, self.kind)
            self._under_way.by_eni[view.eni.id] = assign
            actions.append(assign)
            wanted -= room
            if wanted <= 0 or not self.targets.by_ip:
                # without IP targets the want is "an ENI's worth": what one ENI has room for answers it (spec 6.7 a)
                return tuple(actions)
        if self._under_way.attach is None and self._can_attach() and not self._paused("attach", now):
            attach = AttachEni(self._free_device_index(), min(wanted, self.limits.slots_per_eni), self.kind)
            self._under_way.attach = attach
            actions.append(attach)
        return tuple(actions)

    def _shrink(self, now: float) -> tuple[Action, ...]:
        if self._under_way.growing:
            return ()
        over = formulas.surplus(self.targets, self.holdings, self.kind)
        actions: list[Action] = []
        if over <= 0:
            self._over_since = None
        else:
            self._over_since = now if self._over_since is None else self._over_since
            if now >= max(self._over_since, self._shrank_at) + SHRINK_EVERY:
                actions.extend(self._release(over))
                self._shrank_at = now
                self._over_since = None
        if not actions and (detach := self._detachable(now)) is not None:
            for block in self.pool.blocks_of(detach.eni):
                self.pool.set_leaving(detach.eni, block, leaving=True)
            self._under_way.by_eni[detach.eni] = detach
            actions.append(detach)
        return tuple(actions)

    def _release(self, over: int) -> list[Action]:
        """The emptiest ENI gives first, so that it may become empty as a whole."""
        actions: list[Action] = []
        for view in reversed(self._enis_by_fill()):
            if over <= 0:
                break
            if view.eni.id in self._under_way.by_eni:
                continue
            blocks = tuple(self.pool.empty_blocks_of(view.eni.id, self.kind))[-over:]
            if not blocks:
                continue
            for block in blocks:
                self.pool.set_leaving(view.eni.id, block, leaving=True)
            action = ReleaseAddresses(view.eni.id, blocks)
            self._under_way.by_eni[view.eni.id] = action
            actions.append(action)
            over -= len(blocks)
        return actions

    def _detachable(self, now: float) -> DetachEni | None:
        """The first ENI without pods that the targets do not need (spec 6.7)."""
        held = self.holdings
        if not formulas.eni_is_extra(self.targets, self.limits, held, self.kind):
            return None
        for view in reversed(self._enis_by_fill()):
            if view.eni.is_primary or view.assigned or view.cooling or view.eni.id in self._under_way.by_eni:
                continue
            if now < view.since + ENI_MINIMUM_LIFE:
                continue
            prefixes = sum(1 for block in self.pool.blocks_of(view.eni.id) if block.kind is BlockKind.PREFIX)
            without = Holdings(
                held.total - view.free,
                held.assigned,
                held.cooling,
                held.prefixes - prefixes,
                held.free_prefixes - prefixes,
            )
            if formulas.shortage(self.targets, self.limits, without, self.kind) == 0:
                return DetachEni(view.eni.id)
        return None

    # --- what stands in the way -----------------------------------------------------------------------------

    def _blocker(self, now: float) -> Refusal:
        for pause in self._pauses.values():
            if pause.until > now:
                return pause.refusal
        held = self.holdings
        if held.total >= self.limits.max_pods:
            return Refusal(
                Reason.MAX_PODS,
                f"the pool holds {held.total} addresses for at most {self.limits.max_pods} pods",
            )
        enis = self.pool.enis()
        if not self._can_attach() and all(self._room(view) <= 0 for view in enis):
            slots = self.limits.slots_per_eni
            most = self.limits.max_enis - self.limits.unmanaged_enis
            reason = Reason.IP_LIMIT if self._full_enis else Reason.ENI_LIMIT
            return Refusal(reason, f"{len(enis)} of {most} ENIs, all of their {slots} addresses each in use")
        if formulas.shortage(self.targets, self.limits, held, self.kind) == 0:
            return Refusal(
                Reason.TARGET_ZERO, f"nothing is free and the targets ask for no more: {self.targets}"
            )
        return Refusal(Reason.POOL_REFILLING, "EC2 is about to be asked")

    def _failed(self, action: Action, refusal: Refusal, now: float) -> None:
        if isinstance(action, ReleaseAddresses | DetachEni):
            blocks = (
                action.blocks if isinstance(action, ReleaseAddresses) else self.pool.blocks_of(action.eni)
            )
            for block in blocks:
                self.pool.set_leaving(action.eni, block, leaving=False)
            self._shrank_at = now  # tried again as late as another release would be
            return
        if isinstance(action, AssignAddresses) and refusal.reason is Reason.IP_LIMIT:
            # EC2 says that the ENI is full: our count is wrong, and asking again would not change its mind
            self._full_enis[action.eni] = refusal
            return
        subject = _subject(action, self._subnet(action))
        failures = self._pauses[subject].failures + 1 if subject in self._pauses else 1
        if refusal.reason in FULL or refusal.reason in AT_LIMIT:
            length = FULL_SUBNET_PAUSE
        elif refusal.reason is Reason.NOT_AUTHORISED:
            length = NOT_AUTHORISED_PAUSE
        else:
            length = min(BACKOFF_FIRST * 2 ** (failures - 1), BACKOFF_MOST) * self._jitter(subject, failures)
        self._pauses[subject] = _Pause(now + length, refusal, failures)

    def _jitter(self, subject: str, failures: int) -> float:
        """0.75 to 1.25, the same for the same node, call and try: a thousand nodes must not come back together."""
        spread = hash((self._seed, failures, len(subject))) % 1000
        return 0.75 + spread / 2000

    def _paused(self, subject: str, now: float) -> bool:
        pause = self._pauses.get(subject)
        return pause is not None and now < pause.until

    # --- ENIs -----------------------------------------------------------------------------------------------

    def _enis_by_fill(self) -> list[EniView]:
        """The fullest first, the primary among equals."""
        return sorted(self.pool.enis(), key=lambda v: (-v.assigned, not v.eni.is_primary, v.eni.device_index))

    def _room(self, view: EniView) -> int:
        if not view.usable or view.eni.id in self._full_enis:
            return 0
        return self.limits.slots_per_eni - view.blocks

    def _can_attach(self) -> bool:
        pending = 1 if self._under_way.attach else 0
        return len(self.pool.enis()) + pending + self.limits.unmanaged_enis < self.limits.max_enis

    def _free_device_index(self) -> int:
        used = {view.eni.device_index for view in self.pool.enis()}
        return next(index for index in range(len(used) + 1) if index not in used)

    def _settle(self, action: Action) -> None:
        if isinstance(action, AttachEni):
            self._under_way.attach = None
        else:
            self._under_way.by_eni.pop(action.eni, None)

    def _subnet(self, action: Action) -> str:
        if isinstance(action, AttachEni) or not self.pool.has_eni(action.eni):
            return ""
        return self.pool.eni(action.eni).eni.subnet_id

    # --- for the agent --------------------------------------------------------------------------------------

    def find(self, key: SandboxKey) -> Assignment | None:
        """What the sandbox has."""
        return self.pool.find(key)

    def owner(self, address: IPv4Address) -> SandboxKey | None:
        """Whose the address is."""
        return self.pool.owner(address)

    def blocks(self, eni: EniId) -> tuple[Block, ...]:
        """What the ENI holds."""
        return self.pool.blocks_of(eni)


def _subject(action: Action, subnet: str) -> str:
    """What a pause is about: attaching, or assigning in one subnet."""
    return f"assign {subnet}" if isinstance(action, AssignAddresses) else "attach"
