"""From the pool to what people and programs are shown (vpccni.agent.view). Pure.

Called in the loop's thread, which owns the pool; the values may go anywhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from operator import itemgetter

from vpccni.agent.decisions import Decisions, Note
from vpccni.agent.readiness import Readiness, of_cards, of_pool
from vpccni.agent.telling import action_words, targets_words
from vpccni.agent.view import (
    PREFIX,
    SECONDARY_IP,
    Blocker,
    BudgetStatus,
    DecisionStatus,
    EniStatus,
    PodStatus,
    PoolNumbers,
    PoolStatus,
    ReadinessStatus,
    ReconcileStatus,
    SlotStatus,
    TargetsStatus,
    Upcoming,
    moment,
)
from vpccni.aws.budget import Level
from vpccni.ipam.actions import Action, DetachEni, ReleaseAddresses
from vpccni.ipam.decide import Ipam
from vpccni.ipam.growth import grow
from vpccni.ipam.pool import EniView
from vpccni.ipam.reasons import Refusal
from vpccni.ipam.targets import shortage, surplus
from vpccni.ipam.values import Address, Block, BlockKind, EniId


def pool_status(ipam: Ipam, now: float) -> PoolStatus:
    """One pool, as it is."""
    state = ipam.state
    growth = grow(state, now, 0)
    held = state.holdings()
    enis = eni_statuses(ipam)
    blocker = ipam.shortfall(now)
    if blocker is None and not ipam.can_assign(now):
        blocker = ipam.refusal(now)
    numbers = PoolNumbers(
        total=sum(e.total for e in enis),
        assigned=sum(e.assigned for e in enis),
        cooling=sum(e.cooling for e in enis),
        free=sum(ipam.pool.tally(kind).free for kind in state.kinds),
        leaving=sum(len(blocks) for blocks in leaving_blocks(ipam).values()),
        coming=state.under_way.blocks,
        enis=ipam.pool.eni_count,
        most_enis=state.most_enis,
        slots_per_eni=state.limits.slots_per_eni,
        max_pods=state.limits.max_pods,
        shortest_reuse=ipam.pool.shortest_reuse,
    )
    targets = TargetsStatus(
        mode=_kind_word(state.kind),
        warm_eni=state.targets.warm_eni,
        warm_ip=state.targets.warm_ip,
        minimum_ip=state.targets.minimum_ip,
        warm_prefix=state.targets.warm_prefix,
        in_force=targets_words(state),
        short=max(shortage(state.targets, state.limits, held, state.kind), 0),
        surplus=surplus(state.targets, state.limits, held, state.kind),
    )
    asked = under_way(ipam)
    return PoolStatus(
        network_card=state.card,
        numbers=numbers,
        targets=targets,
        under_way=tuple(action_words(action) for action in asked),
        next=upcoming(ipam, growth.actions, now),
        blocker=_blocker(blocker),
        enis=enis,
    )


def under_way(ipam: Ipam) -> tuple[Action, ...]:
    """What EC2 has not answered, and what must be begun again because nobody knows what became of it."""
    asked = ipam.state.under_way.asked
    return (*asked, *(a for a in ipam.state.under_way.in_doubt if a not in asked))


def upcoming(ipam: Ipam, wanted: list[Action], now: float) -> Upcoming | None:
    """What the pool will do, or what it waits for."""
    state = ipam.state
    if wanted:
        return Upcoming(action_words(wanted[0]), None)
    at = ipam.next_event(now)
    if at is None:
        return None
    named = (
        (ipam.pool.next_free_at(), "a cooling address becomes free"),
        (state.pauses.next_end(now), "EC2 may be asked again after a refusal"),
        (state.placement.due_at(), "EC2 is asked about the subnets"),
    )
    what = next(
        (words for time, words in named if time == at), "it is looked at what can be given back to EC2"
    )
    return Upcoming(what, moment(at))


def eni_statuses(ipam: Ipam) -> tuple[EniStatus, ...]:
    """Every ENI of the pool with its slots."""
    assigned, cooling = _by_block(ipam)
    leaving = leaving_blocks(ipam)
    return tuple(_eni(ipam, view, assigned, cooling, leaving[view.eni.id]) for view in ipam.pool.enis())


def leaving_blocks(ipam: Ipam) -> Mapping[EniId, frozenset[Block]]:
    """What is on its way back to EC2, by ENI."""
    leaving: dict[EniId, frozenset[Block]] = defaultdict(frozenset)
    for view in ipam.pool.enis():
        doing = ipam.state.under_way.on(view.eni.id)
        if isinstance(doing, ReleaseAddresses):
            leaving[view.eni.id] = frozenset(doing.blocks)
        elif isinstance(doing, DetachEni):
            leaving[view.eni.id] = frozenset(ipam.pool.blocks_of(view.eni.id))
    return leaving


def readiness(ipams: Iterable[Ipam], decisions: Decisions, now: float) -> Readiness:
    """The node's."""
    return of_cards([of_pool(ipam, decisions.failing(ipam.state.card), now) for ipam in ipams])


def readiness_status(readiness: Readiness) -> ReadinessStatus:
    """For people."""
    because = tuple(blocker for r in readiness.because if (blocker := _blocker(r)) is not None)
    return ReadinessStatus(readiness.condition.value, readiness.ready, readiness.phase, because)


def pods(ipams: Iterable[Ipam]) -> tuple[PodStatus, ...]:
    """Every pod with an address, the oldest first."""
    return tuple(
        PodStatus(a.pod.namespace, a.pod.name, a.key.network, str(a.address), a.eni, moment(a.assigned_at))
        for ipam in ipams
        for a in ipam.pool.assignments()
    )


def decision_statuses(decisions: Decisions) -> tuple[DecisionStatus, ...]:
    """What the ring holds, the oldest first."""
    return tuple(_decision(note) for note in decisions.notes())


def reconcile_statuses(decisions: Decisions) -> tuple[ReconcileStatus, ...]:
    """The last result for each ENI."""
    found = []
    for eni, result in sorted(decisions.reconciled.items()):
        seen = result.differences
        found.append(
            ReconcileStatus(
                eni=eni,
                at=moment(result.at),
                skipped=seen is None,
                added=tuple(map(str, seen.added)) if seen else (),
                removed=tuple(map(str, seen.removed)) if seen else (),
                held_elsewhere=tuple(map(str, seen.held_elsewhere)) if seen else (),
                pods_without_address=tuple(f"{a.pod} ({a.address})" for a in seen.still_used) if seen else (),
            )
        )
    return tuple(found)


def budget_statuses(levels: Mapping[str, Level]) -> tuple[BudgetStatus, ...]:
    """By action."""
    return tuple(
        BudgetStatus(action, round(level.tokens, 3), level.size, level.refill, level.pace)
        for action, level in sorted(levels.items())
    )


def _eni(
    ipam: Ipam,
    view: EniView,
    assigned: Mapping[int, int],
    cooling: Mapping[int, int],
    leaving: frozenset[Block],
) -> EniStatus:
    eni = view.eni
    doing = ipam.state.under_way.on(eni.id)
    return EniStatus(
        id=eni.id,
        mac=eni.mac,
        role=eni.role.value,
        primary=eni.is_primary,
        device_index=eni.device_index,
        network_card=eni.network_card,
        subnet=eni.subnet_id,
        subnet_cidr=str(eni.subnet_cidr),
        address=str(eni.primary_address),
        route_table=eni.route_table,
        since=moment(view.since),
        gives_addresses=view.usable,
        slots_used=view.blocks,
        slots=ipam.state.limits.slots_per_eni,
        total=view.total,
        assigned=view.assigned,
        cooling=view.cooling,
        free=view.free,
        under_way=action_words(doing) if doing is not None else None,
        called_full=_blocker(ipam.state.full_enis.get(eni.id)),
        content=tuple(
            _slot(block, assigned[first], cooling[first], leaving=block in leaving)
            for first, block in sorted(
                ((int(b.network.network_address), b) for b in ipam.pool.blocks_of(eni.id)), key=itemgetter(0)
            )
        ),
    )


def _slot(block: Block, assigned: int, cooling: int, *, leaving: bool) -> SlotStatus:
    free = 0 if leaving else block.kind.addresses - assigned - cooling
    return SlotStatus(str(block), _kind_word(block.kind), assigned, cooling, free, leaving)


def _by_block(ipam: Ipam) -> tuple[Counter[int], Counter[int]]:
    """How many addresses of each block are assigned, and how many cool, by the block's first address."""
    blocks = [block for view in ipam.pool.enis() for block in ipam.pool.blocks_of(view.eni.id)]
    singles = {int(b.network.network_address) for b in blocks if b.kind.addresses == 1}
    inside = {4: BlockKind.PREFIX.addresses - 1, 6: BlockKind.IPV6_PREFIX.addresses - 1}

    def count(addresses: Iterable[Address]) -> Counter[int]:
        return Counter(int(a) if int(a) in singles else int(a) & ~inside[a.version] for a in addresses)

    return count(a.address for a in ipam.pool.assignments()), count(c.address for c in ipam.pool.cooling())


def _decision(note: Note) -> DecisionStatus:
    last_at = None if note.last_at is None else moment(note.last_at)
    return DecisionStatus(moment(note.at), note.kind.value, note.what, note.why, note.times, last_at)


def _blocker(refusal: Refusal | None) -> Blocker | None:
    if refusal is None:
        return None
    return Blocker(refusal.reason.value, refusal.detail, refusal.reason.advice)


def _kind_word(kind: BlockKind) -> str:
    return PREFIX if kind in (BlockKind.PREFIX, BlockKind.IPV6_PREFIX) else SECONDARY_IP
