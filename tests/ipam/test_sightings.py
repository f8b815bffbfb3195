"""What EC2 and instance metadata see of the node's ENIs, and what may follow from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ipam.model_ec2 import Node, key, pod
from vpccni.ipam.actions import AssignAddresses, ReleaseAddresses
from vpccni.ipam.cards import Cards
from vpccni.ipam.sightings import GONE_AFTER, SETTLED, Compared, Sighting, Sightings, adopt, agrees, new_to
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Assignment, Block, EniId


@pytest.fixture
def node() -> Node:
    """Two ENIs with three addresses each, five pods."""
    it = Node(WarmTargets(warm_ip=1), enis=3, slots=3)
    it.settle()
    for number in range(5):
        it.add(number)
    it.now += SETTLED + 1
    assert len(it.ec2.enis) == 2
    return it


def cards(node: Node) -> Cards:
    return Cards([node.ipam])


def seen(node: Node) -> Sighting:
    return Sighting(node.ec2.attached())


def second(node: Node) -> EniId:
    return next(eni.id for eni in node.ec2.enis.values() if eni.device_index == 1)


def test_nothing_changes_when_ec2_says_what_we_think(node: Node) -> None:
    assert Sightings().compare(cards(node), seen(node), node.now) == Compared()
    assert agrees(cards(node), node.ec2.attached(), node.now)


def test_an_eni_that_is_not_seen_gives_no_address_and_goes_when_it_is_not_seen_again(node: Node) -> None:
    sightings, gone = Sightings(), second(node)
    pods = [a for a in node.ipam.pool.assignments() if a.eni == gone]
    assert pods
    sighting = Sighting(tuple(e for e in node.ec2.attached() if e.eni.id != gone))
    first = sightings.compare(cards(node), sighting, node.now)
    assert (first.missing, first.gone) == (frozenset({gone}), ())
    assert node.ipam.pool.assigned_count == 5, "no live pod's address is dropped for one look"
    new = node.ipam.assign(key(9), pod(9), node.now)
    assert not isinstance(new, Assignment) or new.eni != gone
    node.now += GONE_AFTER / 2
    assert sightings.compare(cards(node), sighting, node.now).gone == ()
    node.now += GONE_AFTER
    found = sightings.compare(cards(node), sighting, node.now)
    assert {eni: set(lost) for eni, lost in found.gone} == {gone: set(pods)}
    assert not node.ipam.pool.has_eni(gone)
    assert not sightings.anything_missing


def test_an_eni_that_comes_back_into_sight_is_used_again(node: Node) -> None:
    sightings, away = Sightings(), second(node)
    sightings.compare(cards(node), Sighting(node.ec2.attached()[:1]), node.now)
    assert not node.ipam.pool.eni(away).usable
    node.now += GONE_AFTER + 1
    assert sightings.compare(cards(node), seen(node), node.now) == Compared()
    assert node.ipam.pool.eni(away).usable


def test_a_device_that_the_kernel_lost_is_doubted_at_once(node: Node) -> None:
    sightings, gone = Sightings(), second(node)
    sightings.device_gone(cards(node), gone, node.now)
    assert not node.ipam.pool.eni(gone).usable
    assert sightings.anything_missing
    assert not any(isinstance(action, ReleaseAddresses) for action in node.ipam.plan(node.now))
    found = sightings.compare(cards(node), Sighting(node.ec2.attached()[:1]), node.now)
    assert [eni for eni, _ in found.gone] == [gone], "the kernel's word and EC2's are two"


def test_a_device_that_went_and_came_is_no_reason_to_give_the_eni_up(node: Node) -> None:
    sightings = Sightings()
    sightings.device_gone(cards(node), second(node), node.now)
    assert sightings.compare(cards(node), seen(node), node.now) == Compared()
    assert node.ipam.pool.eni(second(node)).usable


def test_the_primary_is_never_given_up(node: Node) -> None:
    sightings = Sightings()
    for _ in range(3):
        found = sightings.compare(cards(node), Sighting(()), node.now)
        node.now += GONE_AFTER
    assert [eni for eni, _ in found.gone] == []
    assert node.ipam.pool.eni_count == 1


def test_an_eni_whose_subnet_nobody_can_tell_is_not_missing(node: Node) -> None:
    there = Sighting(node.ec2.attached()[:1], unknown=(second(node),))
    assert Sightings().compare(cards(node), there, node.now) == Compared()


def test_what_is_being_attached_is_not_adopted(node: Node) -> None:
    stranger = node.ec2.attach(2, 2, node.ipam.state.kind)
    assert Sightings().compare(cards(node), seen(node), node.now).adopt == (stranger,)
    for number in range(5, 7):
        node.ipam.assign(key(number), pod(number), node.now)
    assert node.ipam.plan(node.now, waiting=4)
    assert node.ipam.state.under_way.attaching
    assert Sightings().compare(cards(node), seen(node), node.now).adopt == ()
    assert not new_to(cards(node), node.ec2.attached(), frozenset())


def test_an_address_kept_on_trust_moves_to_the_eni_that_holds_it(node: Node) -> None:
    away = second(node)
    entry = next(e for e in node.ec2.attached() if e.eni.id == away)
    pods = node.ipam.pool.remove_eni(away, force=True)
    primary = node.ec2.attached()[0].eni.id
    for assignment in pods:
        node.ipam.pool.add_block(primary, Block.of_address(assignment.address))
        node.ipam.pool.restore(assignment)
    moved = adopt(cards(node), entry, node.now)
    assert {(a.key, a.eni) for a in moved} == {(a.key, away) for a in pods}
    assert all(node.ipam.find(a.key) == a for a in moved)
    assert set(node.ipam.blocks(away)) == set(entry.blocks)


def test_metadata_is_believed_only_as_far_as_to_ask_ec2(node: Node) -> None:
    first, other = node.ec2.attached()
    old = (replace(first, blocks=first.blocks[:1]), other)
    assert not agrees(cards(node), old, node.now)
    assert not agrees(cards(node), (first,), node.now)
    assert node.ipam.pool.assigned_count == 5


def test_metadata_that_lags_behind_what_we_have_just_done_is_let_be(node: Node) -> None:
    old = node.ec2.attached()
    for number in (5, 6):
        node.add(number)
    changed = {a.eni for a in node.log[-1:] if isinstance(a, AssignAddresses | ReleaseAddresses)}
    young = {view.eni.id for view in node.ipam.pool.enis() if view.since == node.now}
    assert changed | young
    assert agrees(cards(node), old, node.now)
    node.now += SETTLED + 1
    assert not agrees(cards(node), old, node.now)


def test_a_new_eni_is_worth_asking_ec2_about_unless_it_is_known_not_to_be_ours(node: Node) -> None:
    stranger = node.ec2.attach(2, 2, node.ipam.state.kind)
    assert new_to(cards(node), node.ec2.attached(), frozenset())
    assert not new_to(cards(node), node.ec2.attached(), frozenset({stranger.eni.id}))
