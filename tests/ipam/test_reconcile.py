from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ipam.model_ec2 import Node, key, pod
from vpccni.ipam.actions import AssignAddresses, Failed, ReleaseAddresses
from vpccni.ipam.pool import UnknownEniError
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.reconcile import Differences, reconcile
from vpccni.ipam.shrinking import SURPLUS_LASTS
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Assignment, AttachedEni, Block, BlockKind, EniId

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def warm(count: int, pods: int = 0, kind: BlockKind = SIP) -> tuple[Node, AttachedEni]:
    node = Node(WarmTargets(warm_ip=count), enis=1, slots=6, kind=kind)
    node.settle()
    for number in range(pods):
        assert isinstance(node.ipam.assign(key(number), pod(number), node.now), Assignment)
    return node, node.ec2.attached()[0]


def test_nothing_differs() -> None:
    node, seen = warm(3)
    assert reconcile(node.ipam, seen) == Differences()


def test_what_ec2_does_not_hold_goes_and_what_it_holds_comes() -> None:
    node, seen = warm(3)
    gone, stranger = seen.blocks[0], Block.of_address(seen.blocks[0].network[0] + 50)
    found = reconcile(node.ipam, replace(seen, blocks=(*seen.blocks[1:], stranger)))
    assert found == Differences(added=(stranger,), removed=(gone,))
    assert set(node.ipam.pool.blocks_of(seen.eni.id)) == {*seen.blocks[1:], stranger}


def test_a_running_pod_is_not_forgotten() -> None:
    node, seen = warm(3, pods=1)
    found = reconcile(node.ipam, replace(seen, blocks=()))
    assert found is not None
    assert [a.key for a in found.still_used] == [key(0)]
    assert len(found.removed) == 2
    assert node.ipam.find(key(0)) is not None


def test_a_cooldown_survives_a_block_that_was_away() -> None:
    node, seen = warm(1, pods=1)
    node.ipam.release(key(0), node.now)
    reconcile(node.ipam, replace(seen, blocks=()))
    assert node.ipam.numbers.total == 0
    reconcile(node.ipam, seen)
    assert (node.ipam.numbers.total, node.ipam.numbers.free) == (1, 0)


def test_an_address_kept_on_trust_becomes_part_of_its_prefix() -> None:
    node, seen = warm(1, kind=PD)
    prefix = Block(type(seen.blocks[0].network)((int(seen.blocks[0].network[0]) + 256, 28)))
    address = prefix.network[5]
    node.ipam.pool.add_block(seen.eni.id, Block.of_address(address))
    node.ipam.pool.restore(Assignment(key(7), pod(7), address, EniId(""), 1.0))
    found = reconcile(node.ipam, replace(seen, blocks=(*seen.blocks, prefix)))
    assert found == Differences(added=(prefix,))
    kept = node.ipam.find(key(7))
    assert kept is not None
    assert kept.address == address
    assert node.ipam.pool.total == {SIP: 0, PD: 32}
    assert node.ipam.pool.assigned == {SIP: 0, PD: 1}


def test_two_enis_cannot_hold_one_address() -> None:
    node, seen = warm(2, pods=1)
    other = replace(seen.eni, id=EniId("eni-other"), device_index=1)
    node.ipam.add_attached(AttachedEni(other), node.now)
    found = reconcile(node.ipam, AttachedEni(other, seen.blocks))
    assert found == Differences(held_elsewhere=seen.blocks)
    assert node.ipam.pool.blocks_of(other.id) == ()


def test_an_eni_taken_for_full_is_asked_again() -> None:
    node, seen = warm(1, pods=1)
    (action,) = node.ipam.plan(node.now)
    assert reconcile(node.ipam, replace(seen, blocks=())) is None, "EC2 is changing it"
    node.ipam.apply(Failed(action, Refusal(Reason.IP_LIMIT)), node.now)
    assert node.ipam.plan(node.now) == ()
    assert reconcile(node.ipam, seen) == Differences()
    assert [type(a) for a in node.ipam.plan(node.now)] == [AssignAddresses]


def test_an_unknown_eni_is_not_made_up() -> None:
    node, seen = warm(1)
    with pytest.raises(UnknownEniError):
        reconcile(node.ipam, replace(seen, eni=replace(seen.eni, id=EniId("eni-9"))))


def test_ec2s_word_settles_what_became_of_a_release() -> None:
    node, _ = warm(3)
    node.ipam.state.targets = WarmTargets(warm_ip=1)
    node.ipam.plan(node.now)
    node.now += SURPLUS_LASTS
    (action,) = node.ipam.plan(node.now)
    assert isinstance(action, ReleaseAddresses)
    node.ipam.apply(Failed(action, Refusal(Reason.EC2_ERROR)), node.now)
    assert node.ipam.numbers.free == 1
    seen = node.ec2.attached()[0]
    found = reconcile(node.ipam, replace(seen, blocks=tuple(b for b in seen.blocks if b != action.blocks[0])))
    assert found == Differences(removed=action.blocks[:1])
    assert node.ipam.numbers.free == 2, "the other one is ours still"
    assert node.ipam.state.under_way.in_doubt == ()
