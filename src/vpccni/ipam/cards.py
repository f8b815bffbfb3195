"""The pools of a node's network cards, as one: each managed card has a pool of its own (spec 6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vpccni.ipam.actions import Action, AttachEni, FindSubnets, Outcome
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Assignment, EniId, Interface, Pod, SandboxKey

OTHER_CARDS = WarmTargets(warm_ip=1, minimum_ip=1)
"""What every card but the default one keeps warm, whatever is set (spec 6.7)."""


class Cards:
    """By card number, the default card's first."""

    def __init__(self, pools: Iterable[Ipam]) -> None:
        self.pools = tuple(sorted(pools, key=lambda pool: pool.state.card))

    @property
    def default(self) -> Ipam:
        """The default card's."""
        return self.pools[0]

    def interfaces(self, *, every_card: bool) -> tuple[tuple[Interface, tuple[Ipam, ...]], ...]:
        """The interfaces of a pod, each with the pools that may give it an address, the preferred one first.

        A pod of one address gets it from the first card that has one; a pod that asks for every card, one from each.
        """
        if not every_card or len(self.pools) == 1:
            return ((Interface(), self.pools),)
        count = len(self.pools)
        return tuple((Interface(index, count), (pool,)) for index, pool in enumerate(self.pools))

    def find(self, key: SandboxKey) -> tuple[Assignment, ...]:
        """What the sandbox has, its first interface's first."""
        found = [a for pool in self.pools if (a := pool.find(key)) is not None]
        return tuple(sorted(found, key=lambda a: a.interface.index))

    def of_eni(self, eni: EniId) -> Ipam:
        """The pool that has the ENI; the default card's, if none has."""
        return next((pool for pool in self.pools if pool.pool.has_eni(eni)), self.default)

    def holder(self, assignment: Assignment) -> Ipam:
        """The pool that the assignment is of."""
        return next(
            (p for p in self.pools if p.find(assignment.key) == assignment), self.of_eni(assignment.eni)
        )

    def of_action(self, action: Action) -> Ipam:
        """Whose action it is. A look for subnets is the default card's."""
        if isinstance(action, AttachEni):
            return next(pool for pool in self.pools if pool.state.card == action.network_card)
        if isinstance(action, FindSubnets):
            return self.default
        return self.of_eni(action.eni)

    def apply(self, outcome: Outcome, now: float) -> None:
        """What came of an action; what it says of subnets is for every card. Raises as `Ipam.apply`."""
        self.of_action(outcome.action).apply(outcome, now)
        if isinstance(outcome.action, FindSubnets):
            first = self.default.state.placement
            for other in self.pools[1:]:
                mine = other.state.placement
                mine.offers, mine.excluded, mine.refusal = first.offers, first.excluded, first.refusal
                other.judge_enis()

    def assignments(self) -> Iterator[Assignment]:
        """Every assignment, card by card."""
        return (a for pool in self.pools for a in pool.pool.assignments())

    def next_event(self, now: float) -> float | None:
        """When something changes by itself on any card."""
        return min((at for pool in self.pools if (at := pool.next_event(now)) is not None), default=None)


def assign_on(
    pools: Iterable[Ipam], key: SandboxKey, pod: Pod, now: float, interface: Interface
) -> Assignment | Refusal:
    """An address of the first pool that has one, or why the first pool has none."""
    why: Refusal | None = None
    for pool in pools:
        answer = pool.assign(key, pod, now, interface)
        if isinstance(answer, Assignment):
            return answer
        why = why or answer
    return why or Refusal(Reason.ENI_LIMIT, "no network card is managed")
