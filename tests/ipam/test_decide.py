"""L-IPAM's decisions, by example and by a machine that does anything in any order."""

import itertools
from ipaddress import IPv4Address

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.ipam.builders import SUBNET, eni, ip, key, pod
from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    ReleaseAddresses,
    Released,
)
from vpccni.ipam.checkpoint import Checkpoint, Given, TakenBack, apply_journal, encode_entry, snapshot
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.restore import restore
from vpccni.ipam.targets import NodeLimits, WarmTargets, shortage
from vpccni.ipam.values import Assignment, AttachedEni, Block, BlockKind, Cooling, Eni, EniId, SubnetId

IP = BlockKind.SECONDARY_IP
BLOCKS = itertools.count(1)
LIMITS = NodeLimits(max_enis=3, slots_per_eni=5, max_pods=17)


def ipam(targets: WarmTargets | None = None, limits: NodeLimits = LIMITS) -> Ipam:
    made = Ipam(limits, targets or WarmTargets())
    made.add_attached(AttachedEni(eni(0)), 0.0)
    return made


def blocks(eni_number: int, count: int, start: int = 1) -> tuple[Block, ...]:
    return tuple(ip(f"10.0.{eni_number}.{start + n}") for n in range(count))


def fill(subject: Ipam, now: float = 0.0) -> list[Action]:
    """Answer everything it asks for until it rests."""
    asked: list[Action] = []
    while actions := subject.plan(now):
        for action in actions:
            asked.append(action)
            taken = next(BLOCKS)
            if isinstance(action, AssignAddresses):
                subject.apply(Assigned(action, blocks(taken, action.count)), now)
            elif isinstance(action, AttachEni):
                found = AttachedEni(eni(action.device_index), blocks(taken, action.count))
                subject.apply(Attached(action, found), now)
            elif isinstance(action, ReleaseAddresses):
                subject.apply(Released(action), now)
            else:
                subject.apply(Detached(action), now)
    return asked


def add(subject: Ipam, name: str, now: float = 0.0) -> Assignment | Refusal:
    return subject.assign(key(name), pod(name), now)


def test_a_new_node_fills_one_enis_worth_and_the_next_eni_with_the_first_pod() -> None:
    subject = ipam()
    assert fill(subject) == [AssignAddresses(eni(0).id, 5, IP)]
    assert isinstance(add(subject, "a"), Assignment)
    assert fill(subject) == [AttachEni(1, 5, IP)]


def test_nothing_is_asked_twice_while_it_is_under_way() -> None:
    subject = ipam()
    [action] = subject.plan(0.0)
    assert subject.plan(0.0) == ()
    assert subject.worth_waiting(0.0)
    assert subject.refusal(0.0).reason is Reason.POOL_REFILLING
    subject.apply(Assigned(AssignAddresses(eni(0).id, 5, IP), blocks(0, 5)), 0.1)
    assert action == AssignAddresses(eni(0).id, 5, IP)
    assert not subject.worth_waiting(0.1)


def test_t3_medium_takes_fifteen_pods_of_its_own_addresses_and_the_next_is_told_why() -> None:
    subject = ipam()
    for number in range(15):
        fill(subject)
        assert isinstance(add(subject, str(number)), Assignment)
    refused = add(subject, "one too many")
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.ENI_LIMIT
    assert "3 of 3 ENIs" in refused.detail


def test_ip_targets_hold_exactly_what_the_formulas_say() -> None:
    subject = ipam(WarmTargets(warm_ip=2, minimum_ip=10))
    fill(subject)
    assert subject.pool.total[IP] == 10
    for number in range(9):
        assert isinstance(add(subject, str(number)), Assignment)
        fill(subject)
    assert subject.pool.total[IP] == 11


def test_waiting_pods_are_a_want_even_where_the_targets_are_not() -> None:
    subject = ipam(WarmTargets(warm_ip=1))
    fill(subject)
    add(subject, "a")
    [action] = subject.plan(0.0, waiting=4)
    assert isinstance(action, AssignAddresses)
    assert action.count == 4


def test_a_full_subnet_is_named_and_asked_again_after_two_minutes() -> None:
    subject = ipam()
    [action] = subject.plan(0.0)
    subject.apply(Failed(action, Refusal(Reason.SUBNET_FULL, "subnet-1: full")), 0.0)
    [attach] = subject.plan(0.0)  # a new ENI is another way to more addresses
    assert isinstance(attach, AttachEni)
    subject.apply(Failed(attach, Refusal(Reason.SUBNET_FULL, "subnet-1: full")), 0.0)
    assert subject.plan(0.0) == ()
    assert subject.refusal(1.0) == Refusal(Reason.SUBNET_FULL, "subnet-1: full")
    assert subject.next_event(1.0) == 120.0
    assert subject.plan(119.0) == ()
    assert subject.plan(120.0) != ()


@pytest.mark.parametrize("reason", [Reason.THROTTLED, Reason.EC2_UNREACHABLE, Reason.EC2_ERROR])
def test_trouble_backs_off_longer_each_time_and_is_forgotten_when_it_is_over(reason: Reason) -> None:
    subject = ipam(limits=NodeLimits(1, 5, 17))
    now, pauses = 0.0, []
    for _ in range(8):
        [action] = subject.plan(now)
        subject.apply(Failed(action, Refusal(reason, "x")), now)
        assert subject.refusal(now).reason is reason
        at = subject.next_event(now)
        assert at is not None
        pauses.append(at - now)
        now = at
    assert 0.75 <= pauses[0] <= 1.25
    assert all(later > sooner for sooner, later in itertools.pairwise(pauses[:6]))
    assert max(pauses) <= 75.0
    fill(subject, now)
    assert subject.pool.free[IP] == 5


def test_surplus_goes_back_after_thirty_seconds_from_the_emptiest_eni_and_stays_gone() -> None:
    subject = ipam(WarmTargets(warm_ip=8))
    fill(subject)
    for number in range(8):
        add(subject, str(number))
    fill(subject)
    assert subject.pool.total[IP] == 15  # the type's limit; 16 were wanted
    for number in range(8):
        subject.release(key(str(number)), 0.0)
    assert subject.plan(0.0) == ()  # what cools is not surplus
    assert subject.plan(31.0) == ()  # 15 free now, 8 wanted: seen, not yet acted on
    actions = subject.plan(61.0)
    assert sum(len(a.blocks) for a in actions if isinstance(a, ReleaseAddresses)) == 7
    for action in actions:
        assert isinstance(action, ReleaseAddresses)
        subject.apply(Released(action), 61.0)
    assert subject.pool.total[IP] == 8
    assert fill(subject, 200.0) in ([], [DetachEni(eni(2).id)])
    assert subject.plan(1000.0) == ()


def test_an_eni_that_nobody_needs_goes_back_whole_but_not_young() -> None:
    subject = ipam()
    fill(subject)
    add(subject, "a")
    fill(subject)
    subject.release(key("a"), 0.0)
    assert fill(subject, 31.0) == []
    assert fill(subject, 59.0) == []
    assert fill(subject, 61.0) == [DetachEni(eni(1).id)]
    assert [view.eni.id for view in subject.pool.enis()] == [eni(0).id]
    assert fill(subject, 1000.0) == []


def test_what_ec2_would_not_take_back_is_used_again() -> None:
    subject = ipam(WarmTargets(warm_ip=1))
    subject.apply(Assigned(AssignAddresses(eni(0).id, 3, IP), blocks(0, 3)), 0.0)
    subject.plan(0.0)
    [release] = subject.plan(31.0)
    assert subject.pool.free[IP] == 1
    subject.apply(Failed(release, Refusal(Reason.THROTTLED)), 31.0)
    assert subject.pool.free[IP] == 3


def test_every_free_address_cooling_is_a_reason_of_its_own() -> None:
    subject = ipam(limits=NodeLimits(1, 1, 17))
    fill(subject)
    add(subject, "a")
    subject.release(key("a"), 10.0)
    refused = add(subject, "b", 11.0)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.ALL_COOLING
    assert subject.worth_waiting(11.0, 30.0)
    assert not subject.worth_waiting(11.0, 5.0)


def test_after_a_restart_a_live_pod_keeps_an_address_that_imds_does_not_show_yet() -> None:
    subject = Ipam(LIMITS, WarmTargets())
    seen, unseen, dead = (
        Assignment(key(n), pod(n), IPv4Address(a), EniId(""), 1.0)
        for n, a in (("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3"))
    )
    elsewhere = Assignment(key("d"), pod("d"), IPv4Address("172.16.0.1"), EniId(""), 1.0)
    found = AttachedEni(eni(0), (ip("10.0.0.1"), ip("10.0.0.3"), ip("10.0.0.4")))
    alive = {"a", "b", "d"}
    result = restore(
        subject, [found], Checkpoint((seen, unseen, dead, elsewhere)), lambda a: a.pod.name in alive, 100.0
    )
    assert [a.pod.name for a in result.kept] == ["a"]
    assert [a.pod.name for a in result.unheld] == ["b"]
    assert [a.pod.name for a in result.stale] == ["c"]
    assert [(a.pod.name, why) for a, why in result.lost] == [("d", "no attached ENI is in its subnet")]
    assert subject.find(key("b")) is not None
    assert [str(c.address) for c in subject.pool.cooling()] == ["10.0.0.3"]
    assert str(subject.assign(key("e"), pod("e"), 100.0).address) == "10.0.0.4"  # type: ignore[union-attr]


class AnyOrder(RuleBasedStateMachine):
    """Pods come and go, EC2 answers late, in any order, with errors; the agent dies and starts again."""

    sandboxes = Bundle("sandboxes")
    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.limits = NodeLimits(3, 4, 14)
        self.cooling_since: dict[IPv4Address, float] = {}
        self.owners: dict[str, IPv4Address] = {}
        self.ec2: dict[EniId, AttachedEni] = {}
        self.next_address = 0
        self.journal = b""
        self.open: list[Action] = []

    @initialize(
        warm=st.builds(
            WarmTargets, st.integers(0, 2), st.sampled_from([0, 0, 1, 3]), st.sampled_from([0, 0, 2, 6])
        )
    )
    def start(self, warm: WarmTargets) -> None:
        self.warm = warm
        self.ipam = Ipam(self.limits, warm)
        self.ec2[eni(0).id] = AttachedEni(eni(0))
        self.ipam.add_attached(self.ec2[eni(0).id], self.now)

    def fresh(self, count: int) -> tuple[Block, ...]:
        self.next_address += count
        first = self.next_address - count
        return tuple(Block.of_address(SUBNET.network_address + 16 + first + n) for n in range(count))

    @rule(target=sandboxes, name=st.integers(0, 30).map(str))
    def add(self, name: str) -> str:
        answer = self.ipam.assign(key(name), pod(name), self.now)
        if isinstance(answer, Assignment):
            if name in self.owners:
                assert self.owners[name] == answer.address, "ADD is not idempotent"
            else:
                assert answer.address not in self.owners.values(), "one address, two pods"
                since = self.cooling_since.get(answer.address)
                assert since is None or self.now >= since + 30.0, "given before it had cooled"
                self.owners[name] = answer.address
                self.journal += encode_entry(Given(answer))
        else:
            assert answer.reason.advice
            assert name not in self.owners
        return name

    @rule(name=sandboxes)
    def delete(self, name: str) -> None:
        released = self.ipam.release(key(name), self.now)
        assert (released is not None) == (name in self.owners)
        if released is not None:
            assert self.owners.pop(name) == released.address
            self.cooling_since[released.address] = self.now
            self.journal += encode_entry(TakenBack(key(name), Cooling(released.address, self.now + 30.0)))

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 31.0, 61.0, 121.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=under_way, waiting=st.integers(0, 3))
    def plan(self, waiting: int) -> object:
        if self.ipam.can_assign(self.now):
            waiting = 0  # nobody waits while there is something to have
        actions = self.ipam.plan(self.now, waiting=waiting)
        self.open.extend(actions)
        for action in actions:
            self.legal(action)
        assert self.ipam.plan(self.now, waiting=waiting) == (), "asked twice, or not at once"
        return multiple(*actions)

    def legal(self, action: Action) -> None:
        if isinstance(action, AssignAddresses):
            assert len(self.ec2[action.eni].blocks) + action.count <= self.limits.slots_per_eni
        elif isinstance(action, AttachEni):
            assert len(self.ec2) < self.limits.max_enis
            assert action.device_index not in {e.eni.device_index for e in self.ec2.values()}
        else:
            held = action.blocks if isinstance(action, ReleaseAddresses) else self.ec2[action.eni].blocks
            addresses = {address for block in held for address in block.network}
            assert not addresses & set(self.owners.values()), "took a live pod's address away"
            assert not any(self.now < self.cooling_since.get(a, -100.0) + 30.0 for a in addresses), (
                "took a cooling one"
            )

    @rule(action=consumes(under_way))
    def succeed(self, action: Action) -> None:
        if action not in self.open:
            return  # it was under way when the agent died: nobody waits for it any more
        self.open.remove(action)
        if isinstance(action, AssignAddresses):
            new = self.fresh(action.count)
            before = self.ec2[action.eni]
            self.ec2[action.eni] = AttachedEni(before.eni, (*before.blocks, *new))
            self.ipam.apply(Assigned(action, new), self.now)
        elif isinstance(action, AttachEni):
            made = self.new_eni(action.device_index)
            attached = AttachedEni(made, self.fresh(action.count))
            self.ec2[made.id] = attached
            self.ipam.apply(Attached(action, attached), self.now)
        elif isinstance(action, ReleaseAddresses):
            before = self.ec2[action.eni]
            left = tuple(b for b in before.blocks if b not in action.blocks)
            self.ec2[action.eni] = AttachedEni(before.eni, left)
            self.ipam.apply(Released(action), self.now)
        else:
            del self.ec2[action.eni]
            self.ipam.apply(Detached(action), self.now)

    def new_eni(self, device_index: int) -> Eni:
        self.next_address += 1
        made = eni(device_index)
        return Eni(EniId(f"eni-{self.next_address}x"), made.mac, device_index, SubnetId("subnet-1"), SUBNET,
                   made.primary_address)  # fmt: skip

    @rule(
        action=consumes(under_way),
        reason=st.sampled_from(
            [Reason.THROTTLED, Reason.SUBNET_FULL, Reason.NOT_AUTHORISED, Reason.EC2_ERROR]
        ),
    )
    def fail(self, action: Action, reason: Reason) -> None:
        if action in self.open:
            self.open.remove(action)
            self.ipam.apply(Failed(action, Refusal(reason, "as the test wants it")), self.now)

    @rule()
    def crash(self) -> None:
        checkpoint = apply_journal(Checkpoint(), self.journal)
        self.open.clear()
        self.ipam = Ipam(self.limits, self.warm)
        result = restore(self.ipam, self.ec2.values(), checkpoint, lambda _: True, self.now)
        assert not result.lost
        assert not result.stale
        assert {a.pod.name: a.address for a in self.ipam.pool.assignments()} == self.owners
        again = Ipam(self.limits, self.warm)
        restore(
            again,
            self.ec2.values(),
            snapshot(self.ipam.pool.assignments(), self.ipam.pool.cooling()),
            lambda _: True,
            self.now,
        )
        assert set(again.pool.cooling()) == set(self.ipam.pool.cooling())
        assert set(again.pool.assignments()) == set(self.ipam.pool.assignments())

    @invariant()
    def counts_are_true(self) -> None:
        if not hasattr(self, "ipam"):
            return
        pool = self.ipam.pool
        assert pool.assigned[IP] == len(self.owners) == len(list(pool.assignments()))
        held = {a for e in self.ec2.values() for b in e.blocks for a in b.network}
        assert set(self.owners.values()) <= held, "assigned, not held"
        assert sum(v.total for v in pool.enis()) == len(held)
        assert sum(v.assigned for v in pool.enis()) == pool.assigned[IP]
        assert all(v.free + v.assigned + v.cooling <= v.total for v in pool.enis())
        assert len(self.ec2) <= self.limits.max_enis
        assert all(v.blocks <= self.limits.slots_per_eni for v in pool.enis())

    def teardown(self) -> None:
        """With a willing EC2 and time it comes to rest, as warm as its targets ask or with a reason why not."""
        if not hasattr(self, "ipam"):
            return
        rested = 0
        for _ in range(100):
            self.now += 200.0
            self.open.extend(self.ipam.plan(self.now))
            rested = 0 if self.open else rested + 1
            if rested == 3:
                break
            while self.open:
                self.succeed(self.open[0])
        assert rested == 3, "it never rests"
        if shortage(self.warm, self.limits, self.ipam.holdings, IP) > 0:
            assert self.ipam.refusal(self.now).reason in {Reason.ENI_LIMIT, Reason.IP_LIMIT}
        RuleBasedStateMachine.teardown(self)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
