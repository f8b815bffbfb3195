from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from tests.ipam.model_ec2 import Node, key, pod
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
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import AddressHeldError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.shrinking import SURPLUS_LASTS
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.under_way import NotUnderWayError
from vpccni.ipam.values import AttachedEni, Block, BlockKind, Eni, EniId, SubnetId, SubnetOffer

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX
SUBNET_1 = SubnetId("subnet-1")


def plan(node: Node, waiting: int = 0) -> tuple[Action, ...]:
    actions = node.ipam.plan(node.now, waiting=waiting)
    assert node.ipam.plan(node.now, waiting=waiting) == (), "asked twice"
    return actions


def fail(node: Node, action: Action, reason: Reason, detail: str = "") -> None:
    node.ipam.apply(Failed(action, Refusal(reason, detail)), node.now)


def do(node: Node, *actions: Action) -> None:
    for action in actions:
        node.ipam.apply(node.ec2.perform(action), node.now)


def filled(targets: WarmTargets, pods: int, *, enis: int = 3, slots: int = 5, kind: BlockKind = SIP) -> Node:
    node = Node(targets, enis=enis, slots=slots, kind=kind)
    node.settle()
    for number in range(pods):
        node.add(number)
    return node


# --- growing ----------------------------------------------------------------------------------------------------


def test_a_new_node_fills_its_primary_eni() -> None:
    node = Node(WarmTargets(warm_eni=1))
    (action,) = plan(node)
    assert action == AssignAddresses(node.ec2.attached()[0].eni.id, 5, SIP)
    assert node.ipam.worth_waiting(node.now)
    assert node.ipam.refusal(node.now) == Refusal(Reason.POOL_REFILLING, "5 more from EC2 are on their way")
    do(node, action)
    assert plan(node) == ()
    assert not node.ipam.worth_waiting(node.now) or node.ipam.can_assign(node.now)


def test_what_an_eni_with_room_will_have_in_a_moment_needs_no_other_eni() -> None:
    node = filled(WarmTargets(warm_ip=1), 0)
    node.ipam.assign(key(0), pod(0), node.now)
    (first,) = plan(node)
    assert isinstance(first, AssignAddresses)
    assert plan(node, waiting=2) == (), "the primary ENI has room for these two as well"
    assert node.ipam.worth_waiting(node.now)
    do(node, first)
    (second,) = plan(node, waiting=2)
    assert second == AssignAddresses(first.eni, 2, SIP)
    (third,) = plan(node, waiting=9)
    assert isinstance(third, AttachEni), "it has no room for so many"


@pytest.mark.parametrize(
    ("targets", "kind", "count"),
    [  # spec 9.3: AllocENI(14) by default, (3) with WARM_IP_TARGET=3, (1) with prefixes
        (WarmTargets(), SIP, 14),
        (WarmTargets(warm_ip=3), SIP, 3),
        (WarmTargets(warm_prefix=1), PD, 1),
    ],
)
def test_an_eni_without_room_makes_another_be_attached(
    targets: WarmTargets, kind: BlockKind, count: int
) -> None:
    ipam = Ipam(NodeLimits(4, 14, 500), targets, kind=kind)
    assert ipam.plan(0.0) == (AttachEni(0, count, kind),)


def test_what_one_eni_cannot_give_another_is_attached_for_at_the_same_time() -> None:
    node = filled(WarmTargets(warm_ip=1), 3)
    first = node.ec2.attached()[0].eni.id
    assert plan(node, waiting=0) == ()
    assert node.ipam.assign(key(10), pod(10), node.now)
    actions = plan(node, waiting=6)
    assert actions == (AssignAddresses(first, 1, SIP), AttachEni(1, 5, SIP, subnet=SUBNET_1))
    do(node, *actions)
    assert plan(node, waiting=0) == ()


def test_at_most_one_eni_is_attached_at_a_time() -> None:
    node = filled(WarmTargets(warm_eni=1), 1)
    attaching = AttachEni(2, 5, SIP, subnet=SUBNET_1)
    assert len(node.ec2.enis) == 2
    for number in range(1, 10):
        node.ipam.assign(key(number), pod(number), node.now)
    assert plan(node) == (attaching,)
    assert plan(node, waiting=20) == ()
    do(node, attaching)
    assert plan(node, waiting=20) == ()
    assert node.ipam.refusal(node.now).reason is Reason.POOL_REFILLING, "there are free ones"


def test_waiting_pods_are_served_though_no_target_asks_for_more() -> None:
    node = filled(WarmTargets(minimum_ip=2), 2)
    assert plan(node) == ()
    assert node.ipam.worth_waiting(node.now)
    assert len(node.ipam.pool.blocks_of(node.ec2.attached()[0].eni.id)) == 2
    (action,) = plan(node, waiting=3)
    assert action.count == 3  # type: ignore[union-attr]


def test_with_all_targets_at_zero_an_empty_pool_still_takes_some() -> None:
    node = Node(WarmTargets(warm_eni=0))
    assert [type(a) for a in plan(node)] == [AssignAddresses]


def test_the_lowest_free_device_index_is_taken_and_others_enis_have_theirs() -> None:
    limits = NodeLimits(5, 2, 500, unmanaged_enis=1, unmanaged_device_indexes=frozenset({1}))
    ipam = Ipam(limits, WarmTargets(warm_eni=9))
    indexes = []
    for number in range(6):
        for action in ipam.plan(0.0):
            assert isinstance(action, AttachEni)
            indexes.append(action.device_index)
            node = Node(WarmTargets())
            template = node.ec2.attached()[0].eni
            eni = Eni(
                EniId(f"eni-{number}"), template.mac, action.device_index, template.subnet_id,
                template.subnet_cidr, template.primary_address,
            )  # fmt: skip
            first = int(template.subnet_cidr[0]) + 4 * number
            blocks = tuple(
                Block.of_address(template.subnet_cidr[first + i - int(template.subnet_cidr[0])])
                for i in (1, 2)
            )
            ipam.apply(Attached(action, AttachedEni(eni, blocks)), 0.0)
    assert indexes == [0, 2, 3, 4]


def test_no_growth_while_the_agent_says_so() -> None:
    node = Node(WarmTargets())
    node.ipam.state.no_growth = Refusal(Reason.NODE_UNSCHEDULABLE, "node a is cordoned")
    assert plan(node, waiting=1) == ()
    assert not node.ipam.worth_waiting(node.now)
    assert node.ipam.assign(key(1), pod(1), node.now) == Refusal(
        Reason.NODE_UNSCHEDULABLE, "node a is cordoned"
    )
    node.ipam.state.no_growth = None
    assert plan(node)


def test_an_eni_that_pods_may_not_use_is_not_asked() -> None:
    node = Node(WarmTargets())
    entry = node.ec2.attached()[0]
    ipam = Ipam(NodeLimits(3, 5, 500), WarmTargets())
    ipam.state.placement.primary_for_pods = False
    ipam.add_attached(entry, 0.0)
    assert ipam.plan(0.0) == (AttachEni(1, 5, SIP, subnet=SUBNET_1),)


# --- outcomes ---------------------------------------------------------------------------------------------------


def test_an_outcome_is_told_once() -> None:
    node = Node(WarmTargets())
    (action,) = plan(node)
    outcome = node.ec2.perform(action)
    node.ipam.apply(outcome, node.now)
    with pytest.raises(NotUnderWayError):
        node.ipam.apply(outcome, node.now)
    with pytest.raises(NotUnderWayError):
        fail(node, AttachEni(1, 1, SIP), Reason.EC2_ERROR)


def test_what_ec2_gives_twice_is_reported_and_the_rest_is_taken() -> None:
    node = Node(WarmTargets(warm_ip=2))
    (first,) = plan(node)
    do(node, first)
    held = node.ipam.pool.blocks_of(first.eni)  # type: ignore[union-attr]
    for number in range(2):
        node.ipam.assign(key(number), pod(number), node.now)
    (second,) = plan(node)
    assert isinstance(second, AssignAddresses)
    fresh = Block.of_address(held[0].network[0] + 99)
    with pytest.raises(AddressHeldError):
        node.ipam.apply(Assigned(second, (held[0], fresh)), node.now)
    assert fresh in node.ipam.pool.blocks_of(second.eni)
    assert plan(node), "it is not taken for under way any more"


# --- refusals and back-off ----------------------------------------------------------------------------------------


def test_throttling_backs_off_doubling_to_a_minute_and_a_success_ends_it() -> None:
    node = Node(WarmTargets())
    pauses = []
    for _ in range(9):
        (action,) = plan(node)
        fail(node, action, Reason.THROTTLED, "RequestLimitExceeded")
        assert plan(node) == ()
        at = node.ipam.next_event(node.now)
        assert at is not None
        pauses.append(at - node.now)
        node.now = at
    for pause, base in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert base <= pause <= 1.25 * base
    (action,) = plan(node)
    do(node, action)
    assert node.ipam.next_event(node.now) is None


def test_back_off_differs_between_nodes_and_not_between_runs() -> None:
    def pause(seed: int) -> float | None:
        ipam = Ipam(NodeLimits(1, 5, 500), WarmTargets(), seed=seed)
        ipam.apply(Failed(ipam.plan(0.0)[0], Refusal(Reason.THROTTLED)), 0.0)
        return ipam.next_event(0.0)

    assert pause(1) == pause(1)
    assert len({pause(seed) for seed in range(20)}) == 20


def test_an_add_waits_for_a_back_off_that_ends_in_time() -> None:
    node = Node(WarmTargets(warm_ip=1))
    (action,) = plan(node)
    fail(node, action, Reason.THROTTLED, "eni-1: slow down")
    assert not node.ipam.worth_waiting(node.now)
    assert node.ipam.worth_waiting(node.now, 20.0)
    refusal = node.ipam.refusal(node.now)
    assert refusal.reason is Reason.THROTTLED
    assert refusal.detail == "eni-1: slow down; EC2 is asked again in 1 s"


def test_throttled_room_is_waited_for_and_no_eni_attached_instead() -> None:
    node = filled(WarmTargets(warm_ip=1), 1)
    node.ipam.assign(key(2), pod(2), node.now)
    (action,) = plan(node)
    fail(node, action, Reason.THROTTLED)
    assert plan(node) == ()
    assert [type(a) for a in plan(node, waiting=9)] == [AttachEni], "more than that room is wanted"


def test_a_full_subnet_is_left_alone_for_two_minutes_and_another_is_asked() -> None:
    node = Node(WarmTargets(warm_ip=1))
    second = SubnetOffer(SubnetId("subnet-2"), IPv4Network("10.1.0.0/16"))
    node.ipam.state.placement.offers = (SubnetOffer(SUBNET_1, IPv4Network("10.0.0.0/16")), second)
    (action,) = plan(node)
    fail(node, action, Reason.SUBNET_FULL)
    (other,) = plan(node)
    assert other == AttachEni(1, 1, SIP, subnet=second.id)
    fail(node, other, Reason.SUBNET_FULL)
    refusal = node.ipam.refusal(node.now)
    assert refusal == Refusal(Reason.SUBNET_FULL, "subnet-1 has no free address; EC2 is asked again in 120 s")
    assert not node.ipam.worth_waiting(node.now, 100.0)
    node.now += 119.0
    assert plan(node) == ()
    node.now += 1.0
    assert plan(node) == (action,)


def test_not_authorised_is_tried_again_after_a_minute() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=1)
    (action,) = plan(node)
    fail(node, action, Reason.NOT_AUTHORISED)
    assert node.ipam.next_event(node.now) == node.now + 60.0
    assert node.ipam.refusal(node.now).reason is Reason.NOT_AUTHORISED


def test_an_eni_that_ec2_calls_full_is_not_asked_again() -> None:
    node = filled(WarmTargets(warm_ip=1), 2, enis=1)
    node.ipam.assign(key(2), pod(2), node.now)
    (action,) = plan(node)
    fail(node, action, Reason.IP_LIMIT, "PrivateIpAddressLimitExceeded")
    node.now += 10_000.0
    assert plan(node, waiting=1) == ()
    refusal = node.ipam.refusal(node.now)
    assert refusal.reason is Reason.IP_LIMIT
    assert "1 of 1 ENIs hold 3 of 5 addresses; EC2 calls eni-0 full: PrivateIpAddressLimitExceeded" in str(
        refusal
    )


def test_the_node_is_full() -> None:
    node = filled(WarmTargets(warm_ip=1), 15)
    answer = node.ipam.assign(key(99), pod(99), node.now)
    assert answer == Refusal(Reason.ENI_LIMIT, "3 of 3 ENIs hold 5 of 5 addresses")
    assert not node.ipam.worth_waiting(node.now)
    node.ipam.release(key(3), node.now)
    answer = node.ipam.refusal(node.now)
    assert answer == Refusal(Reason.ALL_COOLING, "1 of 15 addresses cool, the next is free in 30 s")
    assert not node.ipam.worth_waiting(node.now, 20.0)
    assert node.ipam.worth_waiting(node.now + 10.0, 20.0)


def test_as_many_addresses_as_the_node_may_have_pods() -> None:
    node = Node(WarmTargets(warm_ip=1), max_pods=2)
    node.settle()
    for number in range(2):
        node.add(number)
    assert node.ipam.assign(key(9), pod(9), node.now) == Refusal(
        Reason.MAX_PODS, "the pool holds 2 addresses for at most 2 pods"
    )


# --- giving back --------------------------------------------------------------------------------------------------


def test_a_surplus_is_given_back_after_it_lasted_two_minutes() -> None:
    node = filled(WarmTargets(warm_ip=2), 4, slots=10)
    start = node.now
    for number in range(1, 4):
        node.ipam.release(key(number), node.now)
    node.now += 30.0  # now they have cooled
    assert plan(node) == ()
    assert node.ipam.next_event(node.now) == start + 30.0 + SURPLUS_LASTS
    node.now += SURPLUS_LASTS - 0.1
    assert plan(node) == ()
    node.now = start + 30.0 + SURPLUS_LASTS
    (action,) = plan(node)
    assert isinstance(action, ReleaseAddresses)
    assert len(action.blocks) == 3
    assert node.ipam.numbers.free == 2, "what is on its way back is not assignable"
    for number in (11, 12):
        assert not isinstance(node.ipam.assign(key(number), pod(number), node.now), Refusal)
    assert isinstance(node.ipam.assign(key(13), pod(13), node.now), Refusal)
    assert plan(node, waiting=1) == (), "that ENI is giving back"
    assert node.ipam.worth_waiting(node.now)
    assert "giving addresses back" in node.ipam.refusal(node.now).detail
    do(node, action)
    assert [type(a) for a in plan(node, waiting=1)] == [AssignAddresses]


def test_an_eni_that_pods_may_not_use_does_not_pay_for_the_others() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    excluded = node.ec2.attach(1, 3, SIP, SubnetId("subnet-2"))
    node.ipam.state.placement.excluded = frozenset({SubnetId("subnet-2")})
    node.ipam.add_attached(excluded, node.now)
    node.settle()
    node.add(1)
    node.delete(1)
    outcomes = node.rest(31.0 + SURPLUS_LASTS)
    assert [type(o) for o in outcomes] == [Detached, Released], "nobody is on it, so it goes as a whole"
    assert len(node.ec2.held[node.ec2.attached()[0].eni.id]) == 1


def test_a_short_peak_of_free_addresses_is_no_surplus() -> None:
    node = filled(WarmTargets(warm_ip=1), 3)
    for _ in range(10):
        node.ipam.release(key(2), node.now)
        node.now += 45.0
        assert plan(node) == ()
        node.add(2)
        node.now += 10.0
        assert plan(node) == ()


def with_a_surplus(now_idle: float) -> tuple[Node, ReleaseAddresses]:
    node = filled(WarmTargets(warm_ip=1), 3)
    for number in range(3):
        node.ipam.release(key(number), node.now)
    node.now += 30.0
    assert plan(node) == ()
    node.now += now_idle
    (action,) = plan(node)
    assert isinstance(action, ReleaseAddresses)
    assert len(action.blocks) == 3
    return node, action


def test_a_release_that_ec2_refused_leaves_all_as_it_was_and_is_tried_later() -> None:
    node, action = with_a_surplus(SURPLUS_LASTS)
    fail(node, action, Reason.THROTTLED)
    assert (node.ipam.numbers.total, node.ipam.numbers.free) == (4, 4)
    assert plan(node) == ()
    assert [type(o) for o in node.rest()] == [Released]
    assert node.shape == (1, 1, 1)


def test_what_ec2_may_have_taken_back_is_no_pods_until_that_is_known() -> None:
    node, action = with_a_surplus(SURPLUS_LASTS)
    node.ec2.perform(action)
    fail(node, action, Reason.EC2_UNREACHABLE, "timed out")
    assert (node.ipam.numbers.total, node.ipam.numbers.free) == (1, 1)
    assert plan(node, waiting=0) == ()
    at = node.ipam.next_event(node.now)
    assert at is not None
    node.now = at
    assert plan(node) == (action,), "the same again"
    do(node, action)
    assert node.ipam.blocks(action.eni) == node.ec2.attached()[0].blocks
    assert [type(o) for o in node.rest()] == []


def test_what_was_on_its_way_back_and_comes_again_elsewhere_has_got_there() -> None:
    node, action = with_a_surplus(SURPLUS_LASTS)
    other = replace(node.ec2.attached()[0].eni, id=EniId("eni-other"), device_index=1, is_primary=False)
    outcome = node.ec2.perform(action)
    node.ipam.add_attached(AttachedEni(other, action.blocks[:2]), node.now)
    assert node.ipam.blocks(other.id) == action.blocks[:2]
    node.ipam.apply(outcome, node.now)
    assert len(node.ipam.blocks(action.eni)) == 1
    assert node.ipam.numbers.total == 3


def test_an_eni_goes_when_it_was_not_needed_for_two_minutes() -> None:
    node = filled(WarmTargets(warm_eni=1), 6)
    assert len(node.ec2.enis) == 3
    for number in range(6):
        node.ipam.release(key(number), node.now)
    node.now += 30.0
    assert plan(node) == ()
    assert node.ipam.next_event(node.now) == node.now + SURPLUS_LASTS
    node.now += SURPLUS_LASTS
    (action,) = plan(node)
    assert action == DetachEni(list(node.ec2.enis)[2])
    assert node.ipam.numbers.free == 10
    fail(node, action, Reason.THROTTLED)
    assert plan(node) == ()
    assert node.ipam.numbers.free == 10, "it may be detached, and only its deletion refused"
    outcomes = node.rest()
    assert [type(o) for o in outcomes] == [Detached, Detached]
    assert node.shape == (1, 5, 5)


def test_an_eni_that_may_be_gone_is_not_used_and_its_place_is_waited_for() -> None:
    node = filled(WarmTargets(warm_eni=1), 6)
    for number in range(6):
        node.ipam.release(key(number), node.now)
    node.now += 30.0
    assert plan(node) == ()
    node.now += SURPLUS_LASTS
    (action,) = plan(node)
    fail(node, action, Reason.EC2_ERROR, "detached, not deleted")
    assert node.ipam.numbers.free == 10
    for number in range(20, 30):
        node.ipam.assign(key(number), pod(number), node.now)
    assert plan(node, waiting=1) == ()
    assert node.ipam.worth_waiting(node.now)
    assert "is being detached" in node.ipam.refusal(node.now).detail
    node.now += 2.0
    assert plan(node, waiting=1) == (action,)
    do(node, action)
    assert [type(a) for a in plan(node, waiting=1)] == [AttachEni]


def test_an_eni_with_a_cooling_address_stays() -> None:
    node = filled(WarmTargets(warm_eni=0), 6)
    node.now += 100.0
    for number in range(6):
        node.ipam.release(key(number), node.now)
    node.now += 29.0
    assert plan(node) == ()
    node.now += 1.0
    assert plan(node) == ()
    node.now += SURPLUS_LASTS
    assert [type(a) for a in plan(node)] == [DetachEni]


def test_an_eni_that_goes_takes_its_addresses_along_in_one_call() -> None:
    node = filled(WarmTargets(warm_ip=2), 8)
    for number in range(8):
        node.ipam.release(key(number), node.now)
    node.now += 30.0
    assert plan(node) == ()
    node.now += SURPLUS_LASTS
    detach, release = plan(node)
    assert isinstance(detach, DetachEni)
    assert isinstance(release, ReleaseAddresses)
    assert release.eni != detach.eni, "what goes with its ENI is not given back before"
    do(node, detach, release)
    node.rest()
    assert node.shape == (1, 2, 2)


def test_prefixes_left_from_another_mode_go_and_make_room() -> None:
    node = filled(WarmTargets(warm_prefix=1), 1, enis=1, slots=2, kind=PD)
    node.add(2)
    assert node.shape == (1, 2, 30)
    node.ipam.state.kind = SIP
    node.ipam.state.targets = WarmTargets(warm_ip=1)
    actions = plan(node)
    assert [type(a) for a in actions] == [ReleaseAddresses]
    do(node, *actions)
    assert [type(a) for a in plan(node)] == [AssignAddresses]
    assert node.ipam.find(key(0)) is not None


def test_an_address_of_the_other_mode_goes_when_its_pod_has_gone() -> None:
    node = filled(WarmTargets(warm_ip=1), 1)
    node.ipam.state.kind = PD
    node.ipam.state.targets = WarmTargets(warm_prefix=1)
    node.rest()
    assert node.ipam.pool.total == {SIP: 1, PD: 16}
    node.delete(0)
    node.rest()
    assert node.ipam.pool.total == {SIP: 0, PD: 16}


def test_the_numbers_add_up() -> None:
    node = filled(WarmTargets(warm_ip=1), 3)
    node.ipam.release(key(0), node.now)
    node.ipam.assign(key(7), pod(7), node.now)
    (action,) = plan(node)
    numbers = node.ipam.numbers
    assert (numbers.enis, numbers.most_enis, numbers.blocks) == (1, 3, 4)
    assert (numbers.total, numbers.assigned, numbers.cooling, numbers.free) == (4, 3, 1, 0)
    assert (numbers.under_way, numbers.blocks_coming) == (1, 1)
    assert node.ipam.blocks(action.eni) == node.ipam.pool.blocks_of(action.eni)  # type: ignore[union-attr]


def test_a_burst_takes_no_more_prefixes_than_the_node_may_have_pods() -> None:
    node = Node(WarmTargets(warm_prefix=1), enis=3, slots=5, max_pods=110, kind=PD)
    actions = plan(node, waiting=110)
    assert sum(action.count for action in actions if isinstance(action, AssignAddresses | AttachEni)) == 7


@pytest.mark.parametrize("reason", [Reason.EC2_ERROR, Reason.ENI_NOT_VISIBLE, Reason.EC2_UNREACHABLE])
def test_an_add_waits_out_an_internal_error_of_ec2s(reason: Reason) -> None:
    node = Node(WarmTargets(warm_ip=1), enis=1)
    (action,) = plan(node)
    fail(node, action, reason)
    assert node.ipam.worth_waiting(node.now, 20.0)
    for _ in range(6):
        node.now += 61.0
        fail(node, plan(node)[0], reason)
    assert not node.ipam.worth_waiting(node.now, 20.0), "not for ever"
