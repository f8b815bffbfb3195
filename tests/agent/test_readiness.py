"""What probes are told in each case that spec 11.6 number 50 names, and the cases beside."""

from collections.abc import Callable

import pytest

from tests.ipam.builders import eni, ip, key, pod
from vpccni.agent.decisions import Decisions
from vpccni.agent.readiness import Condition, Readiness, before_start, of_cards, of_pool
from vpccni.ipam.actions import Action, AssignAddresses, Assigned, Failed
from vpccni.ipam.decide import Ipam
from vpccni.ipam.placement import Placement
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import AttachedEni


class Node:
    """A pool with its decisions, in which EC2 answers as told."""

    def __init__(self, addresses: int = 0, *, placement: Placement | None = None, max_enis: int = 1) -> None:
        limits = NodeLimits(max_enis=max_enis, slots_per_eni=2, max_pods=20)
        self.now = 0.0
        self.ipam = Ipam(limits, WarmTargets(warm_ip=1), placement=placement)
        blocks = tuple(ip(f"10.0.1.{n}") for n in range(addresses))
        self.ipam.add_attached(AttachedEni(eni(0), blocks), 0.0)
        self.decisions = Decisions()
        for n in range(addresses):
            self.ipam.assign(key(str(n)), pod(str(n)), 0.0)

    def plan(self) -> tuple[Action, ...]:
        return self.ipam.plan(self.now)

    def refuse(self, reason: Reason) -> None:
        for action in self.plan():
            outcome = Failed(action, Refusal(reason, "as told"))
            self.decisions.ended(outcome, self.now)
            self.ipam.apply(outcome, self.now)

    def judged(self) -> Readiness:
        return of_pool(self.ipam, self.decisions.failing(), self.now)


def reasons(readiness: Readiness) -> set[Reason]:
    return {refusal.reason for refusal in readiness.because}


def test_a_node_that_has_not_asked_yet_or_is_asking_can_get_some() -> None:
    node = Node()
    assert node.judged() == Readiness(Condition.SERVING, ready=True, phase="serving")
    node.plan()
    assert node.judged().ready


def test_an_exhausted_pool_is_ready_and_says_why_it_takes_no_more() -> None:
    node = Node(addresses=2)
    judged = node.judged()
    assert judged.ready
    assert judged.condition is Condition.DEGRADED
    assert reasons(judged) == {Reason.ENI_LIMIT}


@pytest.mark.parametrize(
    "reason",
    [
        Reason.EC2_UNREACHABLE,
        Reason.NOT_AUTHORISED,
        Reason.THROTTLED,
        Reason.SUBNET_FULL,
        Reason.ENI_NOT_VISIBLE,
    ],
)
def test_what_ec2_refuses_makes_a_node_unready_that_has_nothing(reason: Reason) -> None:
    empty = Node()
    empty.refuse(reason)
    judged = empty.judged()
    assert not judged.ready
    assert judged.condition is Condition.DEGRADED
    assert reason in reasons(judged)
    some = Node(addresses=1)
    some.refuse(reason)
    assert some.judged().ready
    assert some.judged().condition is Condition.DEGRADED


def test_it_does_not_flap_with_the_back_off() -> None:
    node = Node()
    node.refuse(Reason.EC2_UNREACHABLE)
    node.now += 3600.0
    assert not node.judged().ready
    (action,) = node.plan()
    assert not node.judged().ready, "asking again is not having"
    assert isinstance(action, AssignAddresses)
    done = Assigned(action, (ip("10.0.1.9"),))
    node.decisions.ended(done, node.now)
    node.ipam.apply(done, node.now)
    assert node.judged() == Readiness(Condition.SERVING, ready=True, phase="serving")


def test_a_failure_that_nobody_wants_repeated_is_in_nobodys_way() -> None:
    node = Node(addresses=2)
    node.refuse(Reason.THROTTLED)
    node.ipam.release(key("0"), 0.0)
    node.now = 31.0
    assert node.judged().condition is Condition.SERVING


def test_custom_networking_without_an_eniconfig() -> None:
    def placement() -> Placement:
        refusal = Refusal(Reason.NO_USABLE_SUBNET, "no ENIConfig named default")
        return Placement(primary_for_pods=False, refusal=refusal)

    without = Node(placement=placement(), max_enis=2)
    assert not without.judged().ready
    assert reasons(without.judged()) == {Reason.NO_USABLE_SUBNET}
    before = Node(placement=placement(), max_enis=3)
    before.ipam.add_attached(AttachedEni(eni(1), (ip("10.0.2.1"), ip("10.0.2.2"))), 0.0)
    for name in "xy":
        before.ipam.assign(key(name), pod(name), 0.0)
    assert before.judged().ready
    assert reasons(before.judged()) == {Reason.NO_USABLE_SUBNET}


def test_a_cordoned_node_and_one_without_provisioning() -> None:
    def cordoned(node: Node) -> None:
        node.ipam.state.no_growth = Refusal(Reason.NODE_UNSCHEDULABLE, "cordoned")

    def alone(node: Node) -> None:
        node.ipam.state.provisioning = False

    changes: tuple[Callable[[Node], None], ...] = (cordoned, alone)
    for change in changes:
        empty, some = Node(), Node(addresses=1)
        change(empty)
        change(some)
        assert not empty.judged().ready
        assert some.judged().ready


def test_all_cooling_passes_by_itself() -> None:
    node = Node(addresses=2)
    for n in range(2):
        node.ipam.release(key(str(n)), 0.0)
    judged = node.judged()
    assert judged.ready
    assert Reason.ALL_COOLING not in reasons(judged)


def test_one_card_with_addresses_is_enough() -> None:
    empty, some = Node(), Node(addresses=1)
    empty.refuse(Reason.SUBNET_FULL)
    both = of_cards([empty.judged(), some.judged()])
    assert both.ready
    assert both.condition is Condition.DEGRADED
    assert Reason.SUBNET_FULL in reasons(both)
    assert not of_cards([empty.judged(), empty.judged()]).ready


def test_before_and_after() -> None:
    starting = before_start("listing ENIs")
    assert (starting.condition, starting.ready, reasons(starting)) == (
        Condition.STARTING,
        False,
        {Reason.AGENT_STARTING},
    )
    assert before_start("stopping").condition is Condition.STOPPING
