from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from tests.region.conftest import World, make_world, refused

from vpclab.region import AttachmentStatus, Delays, EniStatus, Resource, Wanted

SLOW = Delays(attach=(1.0, 3.0), detach=(1.0, 2.0))


def test_a_new_eni_is_available_with_the_lowest_address_and_the_default_group(world: World) -> None:
    eni = world.region.create_network_interface(
        world.subnet, wanted=Wanted(count=2), description="d", tags={"k": "v"}
    )
    assert (eni.status, eni.attachment, eni.description, dict(eni.tags)) == (
        EniStatus.AVAILABLE,
        None,
        "d",
        {"k": "v"},
    )
    assert (str(eni.primary), [str(a) for a in eni.secondary]) == ("10.0.1.4", ["10.0.1.5", "10.0.1.6"])
    assert [world.region.security_group(g).name for g in eni.groups] == ["default"]


def test_prefixes_are_chosen_before_the_primary_so_that_it_spoils_none(world: World) -> None:
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(prefix_count=14))
    assert (eni.primary, len(eni.prefixes)) == (IPv4Address("10.0.1.4"), 14)


def test_a_primary_from_the_last_room_left_spoils_no_prefix_either(world: World) -> None:
    world.region.create_network_interface(world.subnet, wanted=Wanted(count=11))  # the first sixteen are gone
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(prefix_count=14))
    assert (eni.primary, len(eni.prefixes)) == (IPv4Address("10.0.1.240"), 14)


def test_unknown_things_are_named(world: World) -> None:
    with refused("InvalidSubnetID.NotFound", "The subnet ID 'subnet-x' does not exist"):
        world.region.create_network_interface("subnet-x")
    with refused("InvalidGroup.NotFound", "'sg-x'"):
        world.region.create_network_interface(world.subnet, groups=("sg-x",))
    with refused("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-x' does not exist"):
        world.region.delete_network_interface("eni-x")
    with refused("InvalidAttachmentID.NotFound", "'eni-attach-x'"):
        world.region.detach_network_interface("eni-attach-x")
    eni = world.region.create_network_interface(world.subnet)
    with refused("InvalidInstanceID.NotFound", "'i-x'"):
        world.region.attach_network_interface(eni.id, "i-x", 1)


def test_a_sixth_security_group_is_too_many(world: World) -> None:
    groups = [world.region.create_security_group(world.vpc, f"g{n}").id for n in range(6)]
    with refused("SecurityGroupsPerInterfaceLimitExceeded"):
        world.region.create_network_interface(world.subnet, groups=groups)


def test_attaching_takes_its_time() -> None:
    world = make_world(SLOW)
    region = world.region
    region.advance(100)
    instance = region.run_instance("t3.medium", world.subnet)
    eni = region.create_network_interface(world.subnet)
    attachment = region.attach_network_interface(eni.id, instance.id, 1)
    region.drain_changes()
    due = region.next_due()
    assert due is not None
    assert 101 <= due <= 103
    assert (region.eni(eni.id).status, attachment.status) == (EniStatus.ATTACHING, AttachmentStatus.ATTACHING)
    region.advance(due - 0.001)
    assert region.drain_changes() == ()
    region.advance(due)
    after = region.eni(eni.id)
    assert after.attachment is not None
    assert (after.status, after.attachment.status) == (EniStatus.IN_USE, AttachmentStatus.ATTACHED)
    assert [(c.resource, c.id) for c in region.drain_changes()] == [(Resource.ENI, eni.id)]
    assert region.next_due() is None


def test_detaching_takes_its_time_and_the_eni_cannot_be_deleted_meanwhile() -> None:
    world = make_world(Delays(attach=(0, 0), detach=(1.0, 2.0)))
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    eni = region.create_network_interface(world.subnet)
    attachment = region.attach_network_interface(eni.id, instance.id, 1)
    region.detach_network_interface(attachment.id)
    assert region.eni(eni.id).status is EniStatus.DETACHING
    with refused("InvalidParameterValue", f"Network interface '{eni.id}' is currently in use."):
        region.delete_network_interface(eni.id)
    with refused("IncorrectState"):
        region.detach_network_interface(attachment.id)
    region.advance(2.0)
    assert (region.eni(eni.id).status, region.eni(eni.id).attachment) == (EniStatus.AVAILABLE, None)
    region.delete_network_interface(eni.id)
    assert eni.id not in region.enis


def test_force_detaches_at_once_even_what_is_still_attaching() -> None:
    world = make_world(SLOW)
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    eni = region.create_network_interface(world.subnet)
    attachment = region.attach_network_interface(eni.id, instance.id, 1)
    with refused("IncorrectState"):
        region.detach_network_interface(attachment.id)
    region.detach_network_interface(attachment.id, force=True)
    assert region.eni(eni.id).status is EniStatus.AVAILABLE
    region.advance(10)  # the attaching that was under way does not come back
    assert region.eni(eni.id).status is EniStatus.AVAILABLE


def test_the_primary_stays(world: World) -> None:
    instance = world.region.run_instance("t3.medium", world.subnet)
    attachment = world.region.primary_eni(instance.id).attachment
    assert attachment is not None
    with refused("OperationNotPermitted", "device index 0 and networkCard index 0 cannot be detached."):
        world.region.detach_network_interface(attachment.id)


def test_the_type_limits_enis(world: World) -> None:
    instance = world.region.run_instance("t3.medium", world.subnet)
    enis = [world.region.create_network_interface(world.subnet) for _ in range(3)]
    for index in (1, 2):
        world.region.attach_network_interface(enis[index - 1].id, instance.id, index)
    with refused("AttachmentLimitExceeded", "Interface count 4 exceeds the limit for t3.medium"):
        world.region.attach_network_interface(enis[2].id, instance.id, 3)
    with refused(
        "InvalidParameterValue",
        f"Instance '{instance.id}' already has an interface attached at device index '2'.",
    ):
        world.region.attach_network_interface(enis[2].id, instance.id, 2)
    with refused("InvalidNetworkInterface.InUse", f"[{enis[0].id}] in use"):
        world.region.attach_network_interface(enis[0].id, instance.id, 3)
    assert [e.id for e in world.region.enis_of(instance.id)[1:]] == [enis[0].id, enis[1].id]


def test_cards_have_their_own_limits_and_indexes(world: World) -> None:
    region = world.region
    instance = region.run_instance("p4d.24xlarge", world.subnet)
    cards = region.limits("p4d.24xlarge").network_cards
    assert len(cards) > 1
    eni = region.create_network_interface(world.subnet)
    region.attach_network_interface(eni.id, instance.id, 1, network_card=1)
    other = region.create_network_interface(world.subnet)
    region.attach_network_interface(other.id, instance.id, 1)
    third = region.create_network_interface(world.subnet)
    with refused("InvalidParameterValue", "Network card index 9"):
        region.attach_network_interface(third.id, instance.id, 2, network_card=9)


def test_zones_do_not_mix(world: World) -> None:
    instance = world.region.run_instance("t3.medium", world.elsewhere)
    eni = world.region.create_network_interface(world.subnet)
    with refused("InvalidParameterCombination", "same availability zone"):
        world.region.attach_network_interface(eni.id, instance.id, 1)


def test_an_eni_with_more_addresses_than_the_type_takes_is_not_attached(world: World) -> None:
    instance = world.region.run_instance("t3.small", world.subnet)
    eni = world.region.create_network_interface(world.subnet, wanted=Wanted(count=4))
    with refused("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit."):
        world.region.attach_network_interface(eni.id, instance.id, 1)


def test_only_running_instances_take_enis(world: World) -> None:
    instance = world.region.run_instance("t3.small", world.subnet)
    world.region.terminate_instance(instance.id)
    eni = world.region.create_network_interface(world.subnet)
    with refused("IncorrectState", "terminated"):
        world.region.attach_network_interface(eni.id, instance.id, 1)


def test_attributes_change_one_by_one(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.small", world.subnet)
    eni = region.primary_eni(instance.id)
    group = region.create_security_group(world.vpc, "g")
    assert eni.attachment is not None
    region.modify_network_interface(eni.id, description="new")
    region.modify_network_interface(eni.id, groups=(group.id,))
    region.modify_network_interface(eni.id, source_dest_check=False)
    region.modify_network_interface(eni.id, delete_on_termination=(eni.attachment.id, False))
    after = region.eni(eni.id)
    assert after.attachment is not None
    assert (
        after.description,
        after.groups,
        after.source_dest_check,
        after.attachment.delete_on_termination,
    ) == (
        "new",
        (group.id,),
        False,
        False,
    )
    with refused("InvalidAttachmentID.NotFound"):
        region.modify_network_interface(eni.id, delete_on_termination=("eni-attach-x", True))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_is_a_story(seed: int) -> None:
    def story() -> list[object]:
        world = make_world(SLOW)
        instance = world.region.run_instance("t3.small", world.subnet)
        eni = world.region.create_network_interface(world.subnet)
        world.region.attach_network_interface(eni.id, instance.id, 1 + seed)
        return [instance, eni, world.region.next_due()]

    assert story() == story()
