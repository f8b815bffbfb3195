"""Anything may happen in any order; what must hold, holds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ipam.model_ec2 import SUBNET_ID, Node, key, pod
from vpccni.ipam.actions import Action, Assigned, DetachEni, Failed, Outcome, ReleaseAddresses
from vpccni.ipam.checkpoint import (
    Given,
    JournalEntry,
    TakenBack,
    apply_journal,
    decode_checkpoint,
    encode_checkpoint,
    encode_entry,
    snapshot,
)
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.restore import CONNECTING_TAKES, restore
from vpccni.ipam.targets import WarmTargets, shortage
from vpccni.ipam.values import IPV4_KINDS, Address, Assignment, BlockKind, Cooling

PODS = st.integers(0, 25)
NUMBERS = st.integers(0, 7)
TARGETS = st.builds(
    WarmTargets,
    warm_eni=st.integers(0, 2),
    warm_ip=st.sampled_from([0, 0, 1, 3, 20]),
    minimum_ip=st.sampled_from([0, 0, 1, 7, 40]),
    warm_prefix=st.integers(0, 2),
)
BLOCKERS = {
    Reason.ENI_LIMIT, Reason.IP_LIMIT, Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX, Reason.MAX_PODS, Reason.ALL_COOLING,
}  # fmt: skip
FAILURES = [
    Reason.THROTTLED,
    Reason.EC2_UNREACHABLE,
    Reason.EC2_ERROR,
    Reason.NOT_AUTHORISED,
    Reason.SUBNET_FULL,
]


@dataclass
class Asked:
    """What EC2 was asked; it may have done it long before the agent hears of it."""

    action: Action
    outcome: Outcome | None = None

    @property
    def gives_back(self) -> bool:
        return self.outcome is None and isinstance(self.action, ReleaseAddresses | DetachEni)


class IpamMachine(RuleBasedStateMachine):
    node: Node

    @initialize(
        kind=st.sampled_from(IPV4_KINDS),
        warm=TARGETS,
        enis=st.integers(1, 3),
        slots=st.integers(1, 6),
        max_pods=st.sampled_from([1000, 1000, 5]),
        pods=st.sets(PODS),
        spare=st.sampled_from([None, None, None, None, 0, 3, 20, 50]),
        prefixes=st.sampled_from([None, None, 0, 1, 4]),
        cooldown=st.sampled_from([30.0, 30.0, 0.0, 200.0]),
    )
    def begin(
        self,
        *,
        kind: BlockKind,
        warm: WarmTargets,
        enis: int,
        slots: int,
        max_pods: int,
        pods: set[int],
        spare: int | None,
        prefixes: int | None,
        cooldown: float,
    ) -> None:
        self.node = Node(
            warm, enis=enis, slots=slots, max_pods=max_pods, kind=kind, cooldown=cooldown,
            spare=spare if spare is None else spare + 1,  # the primary ENI's own
        )  # fmt: skip
        self.node.ec2.spare_prefixes = prefixes
        self.asked: list[Asked] = []
        self.pods: dict[int, Assignment] = {}
        self.freed: dict[Address, float] = {}
        self.file = encode_checkpoint(snapshot((), ()))
        self.journal = b""
        for _ in range(2):
            self.ec2_is_quick(3)
            self.add_many(pods)

    @property
    def ipam(self) -> Ipam:
        return self.node.ipam

    def write(self, entry: JournalEntry) -> None:
        self.journal += encode_entry(entry)

    # --- what may happen --------------------------------------------------------------------------------------

    @rule(number=PODS)
    def add(self, number: int) -> None:
        answer = self.ipam.assign(key(number), pod(number), self.node.now)
        if isinstance(answer, Refusal):
            assert number not in self.pods
            assert not self.ipam.can_assign(self.node.now)
            self.ask(waiting=1)
            return
        if number in self.pods:
            assert answer == self.pods[number]
            return
        assert answer.address not in {a.address for a in self.pods.values()}
        assert self.node.now >= self.freed.get(answer.address, 0.0) + self.ipam.pool.cooldown
        self.pods[number] = answer
        self.write(Given(answer))

    @rule(numbers=st.sets(PODS, min_size=4))
    def add_many(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            self.add(number)

    @rule(but=st.sets(PODS, max_size=4))
    def delete_all(self, but: set[int]) -> None:
        for number in sorted(set(self.pods) - but):
            self.delete(number)

    @rule(number=PODS)
    def add_that_is_not_written_down(self, number: int) -> None:
        if number in self.pods:
            return
        before = self.ipam.numbers
        if isinstance(self.ipam.assign(key(number), pod(number), self.node.now), Assignment):
            self.ipam.undo(key(number))
            assert self.ipam.numbers.cooling <= before.cooling
            assert self.ipam.numbers.free >= before.free

    @rule(number=PODS)
    def delete(self, number: int) -> None:
        released = self.ipam.release(key(number), self.node.now)
        assert released == self.pods.pop(number, None)
        if released is not None:
            self.freed[released.address] = self.node.now
            until = self.node.now + self.ipam.pool.cooldown
            self.write(TakenBack(released.key, Cooling(released.address, until)))

    @rule(waiting=st.integers(0, 12))
    def ask(self, waiting: int) -> None:
        waiting = 0 if self.ipam.can_assign(self.node.now) else waiting
        self.asked += [Asked(action) for action in self.ipam.plan(self.node.now, waiting=waiting)]
        assert self.ipam.plan(self.node.now, waiting=waiting) == ()

    @precondition(lambda self: self.asked)
    @rule(which=NUMBERS)
    def ec2_does(self, which: int) -> None:
        one = self.asked[which % len(self.asked)]
        if one.outcome is None:
            one.outcome = self.node.ec2.perform(one.action)
            if isinstance(one.outcome, Failed):
                assert one.outcome.refusal.reason in {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX}

    @precondition(lambda self: any(one.outcome for one in self.asked))
    @rule(which=NUMBERS)
    def agent_hears(self, which: int) -> None:
        told = [one for one in self.asked if one.outcome]
        one = told[which % len(told)]
        self.asked.remove(one)
        assert one.outcome is not None
        self.ipam.apply(one.outcome, self.node.now)

    @rule(prefixes=st.sampled_from([None, 0, 1, 5]))
    def the_subnet_is_used_by_others_too(self, prefixes: int | None) -> None:
        self.node.ec2.spare_prefixes = prefixes

    @rule(excluded=st.booleans())
    def the_subnet_is_tagged(self, *, excluded: bool) -> None:
        """Tags of the ENIs' subnet change, as the agent's next look at them shows."""
        self.ipam.state.placement.excluded = frozenset({SUBNET_ID} if excluded else ())
        self.ipam.judge_enis()

    @rule(rounds=st.integers(1, 4))
    def ec2_is_quick(self, rounds: int) -> None:
        for _ in range(rounds):
            self.ask(waiting=0)
            while self.asked:
                self.ec2_does(0)
                self.agent_hears(0)

    @precondition(lambda self: any(not one.outcome for one in self.asked))
    @rule(which=NUMBERS, reason=st.sampled_from(FAILURES))
    def ec2_refuses(self, which: int, reason: Reason) -> None:
        untold = [one for one in self.asked if not one.outcome]
        one = untold[which % len(untold)]
        self.asked.remove(one)
        self.ipam.apply(Failed(one.action, Refusal(reason)), self.node.now)

    @precondition(lambda self: any(one.gives_back for one in self.asked))
    @rule(which=NUMBERS)
    def ec2_does_it_and_the_answer_is_lost(self, which: int) -> None:
        releases = [one for one in self.asked if one.gives_back]
        one = releases[which % len(releases)]
        self.asked.remove(one)
        self.node.ec2.perform(one.action)
        self.ipam.apply(Failed(one.action, Refusal(Reason.EC2_UNREACHABLE)), self.node.now)

    @rule(seconds=st.sampled_from([0.5, 5.0, 29.0, 31.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.node.now += seconds

    @rule()
    def time_passes_to_the_next_event(self) -> None:
        at = self.ipam.next_event(self.node.now)
        assert at is None or at > self.node.now
        self.node.now = at or self.node.now

    @rule(events=st.integers(1, 5), ec2_answers=st.booleans())
    def nothing_comes_or_goes(self, events: int, *, ec2_answers: bool) -> None:
        for _ in range(events):
            self.ask(waiting=0)
            if ec2_answers:
                self.ec2_is_quick(1)
            self.time_passes_to_the_next_event()
        self.ask(waiting=0)

    @rule()
    def compact(self) -> None:
        self.file = encode_checkpoint(snapshot(self.ipam.pool.assignments(), self.ipam.pool.cooling()))
        self.journal = b""

    @rule(
        torn=st.integers(0, 80), gone=st.sets(PODS, max_size=3), all_done=st.booleans(), toggle=st.booleans()
    )
    def restart(self, torn: int, gone: set[int], *, all_done: bool, toggle: bool) -> None:
        for one in self.asked:
            if one.outcome is None and all_done:
                self.node.ec2.perform(one.action)
        self.asked = []
        old, now = self.ipam, self.node.now
        old.pool.advance(now)
        kinds = {old.state.kind} ^ (set(IPV4_KINDS) if toggle else set())
        half_written = encode_entry(
            Given(Assignment(key(99), pod(99), IPv4Address("10.9.9.9"), next(iter(self.node.ec2.enis)), now))
        )
        checkpoint = apply_journal(decode_checkpoint(self.file), self.journal + half_written[:torn])
        self.node.ipam = Ipam(
            old.state.limits, old.state.targets, kind=kinds.pop(), cooldown=old.pool.cooldown
        )
        dead = {pod(number) for number in gone}
        restored = restore(self.ipam, self.node.ec2.attached(), checkpoint, lambda a: a.pod not in dead, now)
        assert not restored.lost
        assert not restored.unheld
        young = {n for n in gone & self.pods.keys() if now < self.pods[n].assigned_at + CONNECTING_TAKES}
        assert {a.key for a in restored.unwired} == {self.pods[n].key for n in young}
        gone -= young
        left = {n: a for n, a in self.pods.items() if n not in gone}
        assert {a.key: a for a in restored.kept} == {a.key: a for a in left.values()}
        stale = {a.address for n, a in self.pods.items() if n in gone}
        assert {a.address for a in restored.stale} == stale
        self.freed.update(dict.fromkeys(stale, now))
        self.pods = left
        cooling = {c.address: c.until for c in old.pool.cooling()}
        cooling |= {address: now + old.pool.cooldown for address in stale if old.pool.cooldown}
        assert {c.address: c.until for c in self.ipam.pool.cooling()} == cooling
        self.compact()

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def every_pod_has_its_own_address_on_an_eni_that_holds_it(self) -> None:
        have = list(self.ipam.pool.assignments())
        assert {a.key: a for a in have} == {a.key: a for a in self.pods.values()}
        assert len({a.address for a in have}) == len(have)
        for assignment in have:
            blocks = self.node.ec2.held[assignment.eni]
            assert any(assignment.address in block.network for block in blocks)
            assert self.ipam.owner(assignment.address) == assignment.key

    @invariant()
    def what_cools_stays_on_the_node(self) -> None:
        held = {block for blocks in self.node.ec2.held.values() for block in blocks}
        for cooling in self.ipam.pool.cooling():
            assert any(cooling.address in block.network for block in held)

    @invariant()
    def limits_are_kept(self) -> None:
        ec2 = self.node.ec2
        assert len(ec2.enis) <= ec2.max_enis
        assert all(len(blocks) <= ec2.slots for blocks in ec2.held.values())

    @invariant()
    def kept_counts_are_what_counting_gives(self) -> None:
        pool = self.ipam.pool
        cooling = [c.address for c in pool.cooling()]
        assigned = [a.address for a in pool.assignments()]
        for kind in BlockKind:
            slots = [
                s
                for h in pool._holders.values()
                for s in h.slots.values()
                if s.kind is kind and not s.leaving and h.usable
            ]
            blocks = [s.block.network for s in slots]
            given, cools = ([sum(a in block for a in of) for block in blocks] for of in (assigned, cooling))
            tally = pool.tally(kind)
            assert tally.blocks == len(blocks)
            assert tally.total == len(blocks) * kind.addresses
            assert tally.assigned == sum(given)
            assert tally.cooling == sum(cools)
            assert tally.empty_blocks == sum(not (g or c) for g, c in zip(given, cools, strict=True))
            assert all(s.fresh.bit_count() + len(s.released) == s.free for s in slots)
        idle = {
            h.eni.id
            for h in pool._holders.values()
            if not h.assigned and not any(s.cooling for s in h.slots.values())
        }
        assert set(pool._idle) == idle

    def teardown(self) -> None:
        """With a willing EC2 and time it comes to rest: targets met, or a reason why not; and stays there."""
        if not hasattr(self, "node"):
            return
        for one in self.asked:
            self.ipam.apply(one.outcome or self.node.ec2.perform(one.action), self.node.now)
        self.ipam.state.placement.excluded = frozenset()
        self.ipam.judge_enis()
        self.node.rest(1200.0)
        late = self.node.rest(2400.0)
        if self.ipam.state.falling_back:
            # asking for a prefix every two minutes takes a slot to ask with: one address is given back and got again
            assert len(late) <= 3 * (2400 // 120 + 1)
            assert all(o.action.count == 1 for o in late if isinstance(o, Assigned))
        else:
            assert [o for o in late if not isinstance(o, Failed)] == []
        assert all(o.refusal.reason in BLOCKERS for o in late if isinstance(o, Failed))
        state = self.ipam.state
        shortfall = self.ipam.shortfall(self.node.now)
        if shortage(state.targets, state.limits, self.ipam.holdings, state.kind):
            assert shortfall is not None
            assert shortfall.reason in BLOCKERS
        else:
            assert shortfall is None
        answer = self.ipam.assign(key(77), pod(77), self.node.now)
        if isinstance(answer, Refusal) and not self.ipam.worth_waiting(self.node.now):
            assert answer.reason in BLOCKERS
        self.ipam.undo(key(77))
        self.every_pod_has_its_own_address_on_an_eni_that_holds_it()
        self.kept_counts_are_what_counting_gives()


IpamMachine.TestCase.settings = settings(
    max_examples=250, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestIpamMachine = pytest.mark.timeout(300)(IpamMachine.TestCase)


@pytest.mark.parametrize("seed", range(12))
def test_long_walks(seed: int) -> None:
    """Hypothesis finds small stories; these are long ones, busy enough that ENIs come and go."""
    draw = random.Random(seed)  # noqa: S311 -- the same walk in every run
    machine = IpamMachine()
    machine.begin(
        kind=draw.choice(IPV4_KINDS),
        warm=WarmTargets(
            draw.randrange(3), draw.choice([0, 0, 2, 9]), draw.choice([0, 0, 5, 20]), draw.randrange(3)
        ),
        enis=draw.randint(2, 4),
        slots=draw.randint(2, 8),
        max_pods=1000,
        pods=set(),
        spare=draw.choice([None, None, 40]),
        prefixes=draw.choice([None, 3, 0]),
        cooldown=30.0,
    )

    def some(most: int) -> set[int]:
        return set(draw.sample(range(40), draw.randrange(most)))

    steps: list[tuple[int, Callable[[], None]]] = [
        (6, lambda: machine.add_many(some(30))),
        (2, lambda: machine.delete_all(some(12))),
        (3, lambda: machine.delete(draw.randrange(40))),
        (4, lambda: machine.ec2_is_quick(3)),
        (4, lambda: machine.ask(draw.randrange(8))),
        (6, lambda: machine.ec2_does(draw.randrange(8)) if machine.asked else None),
        (
            6,
            lambda: machine.agent_hears(draw.randrange(8)) if any(a.outcome for a in machine.asked) else None,
        ),
        (
            1,
            lambda: (
                machine.ec2_refuses(0, draw.choice(FAILURES))
                if any(not a.outcome for a in machine.asked)
                else None
            ),
        ),
        (
            2,
            lambda: (
                machine.ec2_does_it_and_the_answer_is_lost(0)
                if any(one.gives_back for one in machine.asked)
                else None
            ),
        ),
        (4, lambda: machine.time_passes(draw.choice([0.5, 5.0, 31.0, 70.0]))),
        (4, lambda: machine.nothing_comes_or_goes(draw.randrange(6), ec2_answers=draw.random() < 0.5)),
        (
            1,
            lambda: machine.restart(
                draw.randrange(80),
                some(4),
                all_done=draw.random() < 0.5,
                toggle=draw.random() < 0.3,
            ),
        ),
    ]
    for _ in range(600):
        draw.choices([step for _, step in steps], [weight for weight, _ in steps])[0]()
        machine.every_pod_has_its_own_address_on_an_eni_that_holds_it()
        machine.what_cools_stays_on_the_node()
        machine.limits_are_kept()
        machine.kept_counts_are_what_counting_gives()
    assert len(machine.freed) > 5, "pods came and went"
    machine.teardown()
