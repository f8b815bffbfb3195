"""Where new ENIs go, and which ENIs give pods addresses."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from tests.ipam.model_ec2 import Node, key, pod
from vpccni.ipam.actions import (
    AssignAddresses,
    AttachEni,
    Detached,
    Failed,
    FindSubnets,
    FoundSubnets,
    ReleaseAddresses,
)
from vpccni.ipam.decide import Ipam
from vpccni.ipam.placement import LOOK_EVERY, Placement
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import Assignment, BlockKind, EniRole, SubnetId, SubnetOffer

SIP = BlockKind.SECONDARY_IP
ONE = SubnetOffer(SubnetId("subnet-1"), IPv4Network("10.0.0.0/16"), free=5000)
TWO = SubnetOffer(SubnetId("subnet-2"), IPv4Network("10.1.0.0/16"), free=9000)


def discovering(warm: WarmTargets | None = None, *, excluded: frozenset[SubnetId] = frozenset()) -> Node:
    node = Node(warm or WarmTargets(warm_ip=1))
    node.ipam.state.placement.discovery = True
    node.ec2.offers, node.ec2.excluded = (TWO, ONE), excluded
    return node


def test_subnets_are_asked_for_once_and_then_every_hour() -> None:
    node = discovering()
    assert FindSubnets() in node.ipam.plan(node.now)
    assert FindSubnets() not in node.ipam.plan(node.now), "asked twice"
    node.ipam.apply(FoundSubnets(FindSubnets(), (TWO, ONE)), node.now)
    began, times = node.now, list[float]()
    while node.now < began + 4 * LOOK_EVERY:
        node.now = node.ipam.next_event(node.now) or pytest.fail("it never looks again")
        for action in node.ipam.plan(node.now):
            times += [node.now - began] if isinstance(action, FindSubnets) else []
            node.ipam.apply(node.ec2.perform(action), node.now)
    gaps = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    assert gaps
    assert all(LOOK_EVERY <= gap <= LOOK_EVERY * 1.25 for gap in gaps)


def test_an_eni_goes_into_the_first_subnet_and_waits_until_that_is_known() -> None:
    node = discovering()
    assert node.ipam.plan(node.now, waiting=8) == (FindSubnets(),)
    assert node.ipam.worth_waiting(node.now)
    node.ipam.apply(FoundSubnets(FindSubnets(), (TWO, ONE)), node.now)
    primary = node.ec2.attached()[0].eni.id
    assert node.ipam.plan(node.now, waiting=8) == (
        AssignAddresses(primary, 5, SIP),
        AttachEni(1, 4, SIP, subnet=TWO.id),
    )


def test_old_news_is_renewed_before_an_eni_is_made() -> None:
    node = discovering()
    node.settle()
    node.now += 61.0
    for number in range(5):
        node.ipam.assign(key(number), pod(number), node.now)
        node.settle()
    assert node.log.count(FindSubnets()) == 2
    assert isinstance(node.log[-1], AttachEni)


def test_ec2_that_will_not_say_leaves_the_primarys_subnet() -> None:
    node = discovering(WarmTargets(warm_ip=8))
    (look,) = node.ipam.plan(node.now)
    node.ipam.apply(Failed(look, Refusal(Reason.NOT_AUTHORISED, "ec2:DescribeSubnets")), node.now)
    assert node.ipam.plan(node.now)[1] == AttachEni(1, 3, SIP, subnet=ONE.id)


def test_no_usable_subnet_is_a_reason() -> None:
    node = discovering(WarmTargets(warm_ip=8))
    node.ec2.offers = ()
    node.settle()
    assert node.ipam.shortfall(node.now) == Refusal(
        Reason.NO_USABLE_SUBNET, "none of the zone's subnets may be used for pods"
    )


def test_no_more_is_asked_of_a_subnet_than_it_was_said_to_have() -> None:
    node = discovering(WarmTargets(warm_ip=9))
    node.ec2.offers = (replace(TWO, free=3),)
    node.settle()
    attaching = [action for action in node.log if isinstance(action, AttachEni)]
    assert attaching[0].count == 2, "one is the ENI's own"


def test_an_excluded_eni_keeps_its_pods_gives_no_new_ones_and_returns_what_is_free() -> None:
    node = Node(WarmTargets(warm_ip=2), enis=3)
    node.settle()
    old = node.add(1)
    primary = node.ec2.attached()[0].eni
    node.ipam.state.placement.discovery = True
    node.ec2.offers, node.ec2.excluded = (TWO,), frozenset({primary.subnet_id})
    node.settle()
    assert node.ipam.find(key(1)) == old
    new = node.add(2)
    assert new.eni != primary.id
    node.rest(120.0)
    assert [block.network for block in node.ec2.held[primary.id]] == [IPv4Network(f"{old.address}/32")]
    node.ec2.excluded = frozenset()
    node.now += LOOK_EVERY * 1.25
    node.settle()
    assert node.ipam.pool.eni(primary.id).usable, "an exclusion ends without a restart"


def test_an_excluded_eni_without_pods_goes_as_a_whole() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    node.ipam.add_attached(node.ec2.attach(1, 3, SIP, TWO.id), node.now)
    node.ipam.state.placement.excluded = frozenset({TWO.id})
    node.ipam.judge_enis()
    assert [type(o) for o in node.rest(61.0) if not isinstance(o, Failed)][-1] is Detached
    assert len(node.ec2.enis) == 1


def test_with_custom_networking_the_primary_gives_pods_nothing() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    placement = node.ipam.state.placement
    placement.primary_for_pods, placement.offers = False, (replace(TWO, groups=("sg-pods",)),)
    node.ipam.judge_enis()
    got = node.add(1)
    assert node.ec2.enis[got.eni].subnet_id == TWO.id
    assert not node.ec2.held[node.ec2.attached()[0].eni.id]


def test_without_its_eni_config_a_node_says_so() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    why = Refusal(Reason.EC2_ERROR, "there is no ENIConfig default")
    node.ipam.state.placement.primary_for_pods, node.ipam.state.placement.refusal = False, why
    node.ipam.judge_enis()
    assert node.ipam.plan(node.now, waiting=1) == ()
    assert node.ipam.refusal(node.now) == why


@pytest.mark.parametrize("role", [EniRole.TRUNK, EniRole.EFA])
def test_a_trunk_and_an_efa_are_left_alone(role: EniRole) -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    made = node.ec2.attach(1, 2, SIP)
    node.ipam.add_attached(replace(made, eni=replace(made.eni, role=role)), node.now)
    got = node.add(1)
    node.rest(600.0)
    assert got.eni != made.eni.id
    assert node.ec2.held[made.eni.id] == set(made.blocks)


def test_with_provisioning_off_ec2_is_asked_for_nothing() -> None:
    node = Node(WarmTargets(), enis=3)
    node.ipam.state.provisioning = False
    node.ipam.state.placement.discovery = True
    assert node.ipam.plan(node.now, waiting=3) == ()
    refusal = node.ipam.assign(key(1), pod(1), node.now)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.PROVISIONING_OFF
    assert node.ipam.next_event(node.now) is None


def test_on_a_cordoned_node_nothing_comes_and_nothing_goes() -> None:
    node = Node(WarmTargets(warm_ip=1), enis=3)
    node.settle()
    for number in range(4):
        node.add(number)
    node.ipam.state.no_growth = Refusal(Reason.NODE_UNSCHEDULABLE, "node a is cordoned")
    node.log.clear()
    for number in range(4):
        node.delete(number)
    node.rest(600.0)
    assert node.log == []
    assert isinstance(node.ipam.assign(key(9), pod(9), node.now), Assignment), "what is there is given"
    node.ipam.state.no_growth = None
    node.rest(600.0)
    assert any(isinstance(action, ReleaseAddresses) for action in node.log)


def test_the_look_is_different_on_each_node() -> None:
    def due(seed: int) -> float | None:
        placement = Placement(discovery=True, seed=seed)
        placement.found((ONE,), frozenset(), 1000.0)
        return placement.due_at()

    assert len({due(seed) for seed in range(20)}) > 10


def test_an_ipam_without_discovery_never_looks() -> None:
    ipam = Ipam(NodeLimits(3, 5, 100), WarmTargets())
    assert FindSubnets() not in ipam.plan(0.0)
