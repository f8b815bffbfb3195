"""What the random walks found in the decisions, each as its smallest story. Each was a fault."""

from __future__ import annotations

from ipaddress import IPv4Address

from tests.sim.story import Story
from vpccni.ipam.targets import WarmTargets
from vpclab.region.values import EniStatus
from vpclab.sim.node import Setup

WARM_ONE = Setup(WarmTargets(warm_ip=1), looks_for_leaked=False, subnet_discovery=False)


def story_of_one(setup: Setup = WARM_ONE, *, subnet: str = "10.0.0.0/24", pods: int = 0) -> Story:
    story = Story(setups=[setup], subnets=(subnet,))
    for number in range(pods):
        story.add(number)
    story.time_passes(120.0)
    return story


def calls_in_an_hour(story: Story, action: str) -> int:
    before = story.world.endpoint.calls.by_action()[action]
    story.time_passes(3600.0)
    return story.world.endpoint.calls.by_action()[action] - before


def test_an_eni_that_was_detached_and_not_deleted_gives_no_addresses() -> None:
    story = story_of_one(pods=8)
    story.world.region.fault("DeleteNetworkInterface", "UnauthorizedOperation", status=403, count=100)
    for number in range(8):
        story.delete(number)
    story.time_passes(36.0)  # they have cooled, and the ENI is not needed
    for number in range(20, 28):
        story.add(number)
    story.time_passes(5.0)
    node = story.nodes[0]
    for assignment in node.live.values():
        assert story.world.region.enis[assignment.eni].status is EniStatus.IN_USE


def test_what_was_taken_from_a_pod_is_given_to_no_other() -> None:
    story = story_of_one(pods=3)
    node = story.nodes[0]
    address = next(a.address for a in node.live.values() if a.pod == story.pods[0][1].pod)
    assert isinstance(address, IPv4Address)
    eni = story.world.region.eni_with(story.world.subnets[0].id, address)
    assert eni is not None
    story.world.region.unassign_private_ip_addresses(eni.id, addresses=(address,))
    story.taken_from_us.add(address)
    node.touched()
    story.time_passes(130.0)
    story.delete(0)
    # the next look comes within a minute of the last one, the address is free in half of that
    story.time_passes(35.0)
    for number in range(20, 23):
        story.add(number)
    story.time_passes(1.0)
    for assignment in node.live.values():
        held = story.world.region.eni_with(story.world.subnets[0].id, assignment.address)
        assert held is not None, "EC2 may have given it to us again"
        assert held.id == assignment.eni


def test_a_lost_address_does_not_make_ec2_be_asked_every_minute() -> None:
    story = story_of_one(pods=3)
    story.somebody_unassigns(0, 0)
    story.time_passes(600.0)
    assert calls_in_an_hour(story, "DescribeNetworkInterfaces") <= 6


def test_a_full_subnet_is_not_described_every_minute() -> None:
    story = story_of_one(Setup(WarmTargets(warm_eni=1), looks_for_leaked=False), subnet="10.0.0.0/28")
    story.somebody_takes_addresses(0, 16)
    story.add(1)
    story.time_passes(600.0)
    assert calls_in_an_hour(story, "DescribeSubnets") <= 7


def test_pods_kept_on_trust_do_not_make_enis_come_and_go() -> None:
    story = story_of_one(Setup(WarmTargets(minimum_ip=3), looks_for_leaked=False), pods=15)
    story.crash(0)
    story.somebody_detaches(0, 0)
    story.somebody_detaches(0, 0)
    story.time_passes(5.0)
    story.start(0)
    story.add(20)
    story.time_passes(600.0)
    assert calls_in_an_hour(story, "CreateNetworkInterface") <= 3
