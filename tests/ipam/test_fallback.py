"""Prefix mode in a subnet that has free addresses but no free /28."""

from __future__ import annotations

from ipaddress import IPv4Network

from tests.ipam.model_ec2 import Node, key, pod
from vpccni.ipam.actions import AssignAddresses, Attached, AttachEni, Failed, ReleaseAddresses
from vpccni.ipam.reasons import Reason
from vpccni.ipam.targets import FALLBACK_WARM, WarmTargets
from vpccni.ipam.values import Assignment, BlockKind, SubnetId, SubnetOffer

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def broken(targets: WarmTargets, *, enis: int = 3, slots: int = 5, prefixes: int = 0) -> Node:
    node = Node(targets, enis=enis, slots=slots, kind=PD)
    node.ec2.spare_prefixes = prefixes
    node.settle()
    return node


def kinds(node: Node) -> dict[BlockKind, int]:
    held = [block.kind for blocks in node.ec2.held.values() for block in blocks]
    return {kind: held.count(kind) for kind in BlockKind if kind.version == 4}


def test_pods_get_single_addresses_and_the_reason_is_told() -> None:
    node = broken(WarmTargets(warm_prefix=1))
    assert kinds(node) == {SIP: FALLBACK_WARM, PD: 0}
    assert node.ipam.can_assign(node.now)
    shortfall = node.ipam.shortfall(node.now)
    assert shortfall is not None
    assert shortfall.reason is Reason.NO_FREE_PREFIX
    assert shortfall.detail == "subnet-1 has no free /28 (the model); pods get single addresses"
    for number in range(10):
        assert isinstance(node.add(number), Assignment)
    assert kinds(node) == {SIP: 10 + FALLBACK_WARM, PD: 0}


def test_the_targets_for_addresses_hold_for_single_ones_too() -> None:
    node = broken(WarmTargets(warm_ip=3, minimum_ip=6))
    assert kinds(node) == {SIP: 6, PD: 0}
    for number in range(5):
        node.add(number)
    assert kinds(node) == {SIP: 8, PD: 0}


def test_it_returns_to_prefixes_when_one_is_free_and_gives_the_single_ones_back() -> None:
    node = broken(WarmTargets(warm_prefix=1))
    addresses = [node.add(number).address for number in range(3)]
    node.ec2.spare_prefixes = 10
    node.rest(119.0)
    assert kinds(node)[PD] == 0, "a full subnet is left alone for two minutes"
    node.rest(60.0)
    assert kinds(node) == {SIP: 3, PD: 1}, "the pods keep theirs, what nobody has goes"
    assert node.ipam.shortfall(node.now) is None
    assert node.add(9).address not in addresses
    assert kinds(node) == {SIP: 3, PD: 2}, "WARM_PREFIX_TARGET=1 is one more than the pod's"
    for number in range(3):
        node.delete(number)
    node.rest(90.0)
    assert kinds(node)[SIP] == 0


def test_prefixes_that_are_there_are_used_first() -> None:
    node = broken(WarmTargets(warm_prefix=1), prefixes=1)
    assert kinds(node) == {SIP: 0, PD: 1}
    pods = [node.add(number) for number in range(17)]
    prefix = next(b for blocks in node.ec2.held.values() for b in blocks if b.kind is PD)
    assert [a.address in prefix.network for a in pods] == [True] * 16 + [False]


def test_a_slot_is_made_free_to_ask_for_a_prefix_with() -> None:
    node = broken(WarmTargets(warm_prefix=1), enis=1, slots=3)
    node.add(1)
    assert kinds(node) == {SIP: 3, PD: 0}
    node.ec2.spare_prefixes = 5
    outcomes = node.rest(300.0)
    assert kinds(node)[PD] >= 1
    asked = [o.action for o in outcomes if not isinstance(o, Attached)]
    assert isinstance(asked[0], ReleaseAddresses)
    assert len(asked[0].blocks) == 1


def test_a_subnet_that_stays_broken_costs_few_calls() -> None:
    node = broken(WarmTargets(warm_prefix=1), enis=1, slots=3)
    node.add(1)
    outcomes = node.rest(3600.0)
    assert len(outcomes) <= 3 * 31, "at most three calls every two minutes"
    roomy = broken(WarmTargets(warm_prefix=1))
    roomy.add(1)
    assert len(roomy.rest(3600.0)) <= 31


def test_another_subnet_with_prefixes_is_better_than_single_addresses() -> None:
    node = Node(WarmTargets(warm_prefix=1), kind=PD)
    first = SubnetOffer(SubnetId("subnet-1"), IPv4Network("10.0.0.0/16"))
    second = SubnetOffer(SubnetId("subnet-2"), IPv4Network("10.1.0.0/16"))
    node.ipam.state.placement.offers = (first, second)
    (action,) = node.ipam.plan(node.now)
    assert isinstance(action, AssignAddresses)
    node.ec2.spare_prefixes = 0
    outcome = node.ec2.perform(action)
    assert isinstance(outcome, Failed)
    node.ipam.apply(outcome, node.now)
    (attach,) = node.ipam.plan(node.now)
    assert attach == AttachEni(1, 1, PD, subnet=second.id)


def test_when_single_addresses_are_gone_too_that_is_the_reason() -> None:
    node = broken(WarmTargets(warm_prefix=1))
    node.ec2.spare = 0
    for number in range(FALLBACK_WARM):
        assert node.ipam.assign(key(number), pod(number), node.now)
    node.settle(waiting=1)
    assert node.ipam.refusal(node.now).reason is Reason.SUBNET_FULL


def test_an_eni_that_held_only_single_addresses_goes_when_nobody_needs_it() -> None:
    node = broken(WarmTargets(warm_prefix=1), slots=3)
    for number in range(6):
        node.add(number)
    assert len(node.ec2.enis) == 3
    for number in range(6):
        node.delete(number)
    node.rest(600.0)
    assert len(node.ec2.enis) == 1
    assert kinds(node) == {SIP: FALLBACK_WARM, PD: 0}


def test_max_pods_bounds_single_addresses() -> None:
    node = Node(WarmTargets(warm_prefix=1), kind=PD, max_pods=3, enis=3)
    node.ec2.spare_prefixes = 0
    node.settle()
    for number in range(3):
        node.add(number)
    assert kinds(node) == {SIP: 3, PD: 0}
