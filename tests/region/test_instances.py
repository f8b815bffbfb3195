from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from tests.region.conftest import AT_ONCE, World, make_world, refused

from vpclab.region import EniStatus, InstanceState, Wanted


def test_a_launch_makes_a_primary_eni_that_goes_with_the_instance(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet, name="n", private_ip=IPv4Address("10.0.1.100"))
    eni = region.primary_eni(instance.id)
    assert eni.attachment is not None
    assert (instance.state, instance.name, instance.zone) == (InstanceState.RUNNING, "n", "ap-northeast-2a")
    assert (str(eni.primary), eni.status, eni.public_ip) == ("10.0.1.100", EniStatus.IN_USE, None)
    assert (eni.attachment.device_index, eni.attachment.delete_on_termination) == (0, True)
    region.terminate_instance(instance.id)
    assert (region.enis_of(instance.id), region.free_addresses(world.subnet)) == ((), 251)
    with refused("InvalidInstanceID.NotFound"):
        region.primary_eni(instance.id)


def test_other_enis_survive_unless_marked(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    kept, gone = (region.create_network_interface(world.subnet, wanted=Wanted(count=1)) for _ in range(2))
    region.attach_network_interface(kept.id, instance.id, 1)
    attachment = region.attach_network_interface(gone.id, instance.id, 2)
    region.modify_network_interface(gone.id, delete_on_termination=(attachment.id, True))
    region.terminate_instance(instance.id)
    assert list(region.enis) == [kept.id]
    assert (region.eni(kept.id).status, region.eni(kept.id).attachment) == (EniStatus.AVAILABLE, None)


def test_public_addresses_come_from_the_pool_and_return(world: World) -> None:
    region = world.region
    one = region.run_instance("t3.small", world.subnet, associate_public_ip=True)
    public = region.primary_eni(one.id).public_ip
    assert str(public) == "203.0.113.10"
    assert region.instance_at(IPv4Address("203.0.113.10")) == one
    assert region.instance_at(region.primary_eni(one.id).primary) == one
    assert region.instance_at(IPv4Address("10.0.1.77")) is None
    region.terminate_instance(one.id)
    two = region.run_instance("t3.small", world.subnet, associate_public_ip=True)
    assert region.primary_eni(two.id).public_ip == public


def test_the_pool_ends() -> None:
    world = make_world()
    for _ in range(245):
        world.region.run_instance("t3.small", world.elsewhere, associate_public_ip=True)
    free = world.region.free_addresses(world.elsewhere)
    with refused("AddressLimitExceeded"):
        world.region.run_instance("t3.small", world.elsewhere, associate_public_ip=True)
    assert world.region.free_addresses(world.elsewhere) == free


def test_launching_takes_its_time() -> None:
    world = make_world(replace(AT_ONCE, launch=(5, 5)))
    instance = world.region.run_instance("t3.small", world.subnet)
    assert instance.state is InstanceState.PENDING
    world.region.advance(5)
    assert world.region.instance(instance.id).state is InstanceState.RUNNING


def test_an_instance_that_ends_while_it_starts_does_not_come_back() -> None:
    world = make_world(replace(AT_ONCE, launch=(5, 5)))
    instance = world.region.run_instance("t3.small", world.subnet)
    world.region.terminate_instance(instance.id)
    world.region.advance(5)
    assert world.region.instance(instance.id).state is InstanceState.TERMINATED


def test_the_dead_are_remembered_for_an_hour(world: World) -> None:
    instance = world.region.run_instance("t3.small", world.subnet, name="n")
    world.region.terminate_instance(instance.id)
    assert world.region.terminate_instance(instance.id).state is InstanceState.TERMINATED
    assert world.region.instance_named("n") is None
    world.region.advance(3599)
    assert instance.id in world.region.instances
    world.region.advance(3600)
    assert instance.id not in world.region.instances


def test_unknown_types_are_refused(world: World) -> None:
    with refused("InvalidParameterValue", "Invalid value 't9.huge' for InstanceType."):
        world.region.run_instance("t9.huge", world.subnet)
    assert world.region.free_addresses(world.subnet) == 251


def test_a_stopped_instance_keeps_its_enis_and_addresses_and_loses_the_public_one(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet, associate_public_ip=True)
    second = region.create_network_interface(world.subnet, wanted=Wanted(count=2))
    before = region.primary_eni(instance.id)
    stopped = region.stop_instance(instance.id)
    assert (stopped.state, region.stop_instance(instance.id)) == (InstanceState.STOPPED, stopped)
    kept = region.primary_eni(instance.id)
    assert (kept.primary, kept.attachment, kept.public_ip) == (before.primary, before.attachment, None)
    region.start_instance(instance.id)
    assert region.instance(instance.id).state is InstanceState.RUNNING
    assert region.instance(instance.id).boots == 2
    assert region.primary_eni(instance.id).public_ip is not None
    # with a second ENI, which may come while it is stopped, EC2 gives no new public address
    region.stop_instance(instance.id)
    region.attach_network_interface(second.id, instance.id, 1)
    region.start_instance(instance.id)
    assert [eni.public_ip for eni in region.enis_of(instance.id)] == [None, None]
    assert region.reboot_instance(instance.id).boots == 4


def test_an_elastic_address_stays_with_a_stopped_instance(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    elastic = region.allocate_address()
    region.associate_address(elastic.id, region.primary_eni(instance.id).id)
    region.stop_instance(instance.id)
    assert region.primary_eni(instance.id).public_ip == elastic.public_ip


def test_operations_that_a_state_does_not_allow_are_refused(world: World) -> None:
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    region.terminate_instance(instance.id)
    for operation in (region.stop_instance, region.start_instance, region.reboot_instance):
        with refused("IncorrectInstanceState"):
            operation(instance.id)
    stopped = region.run_instance("t3.medium", world.subnet)
    region.stop_instance(stopped.id)
    with refused("IncorrectInstanceState"):
        region.reboot_instance(stopped.id)


def test_a_shutdown_takes_its_time_and_a_termination_overtakes_it() -> None:
    world = make_world(delays=replace(AT_ONCE, shutdown=(2.0, 2.0), launch=(1.0, 1.0)))
    region = world.region
    instance = region.run_instance("t3.medium", world.subnet)
    region.advance(1.0)
    assert region.stop_instance(instance.id).state is InstanceState.STOPPING
    assert region.terminate_instance(instance.id).state is InstanceState.SHUTTING_DOWN
    assert region.enis_of(instance.id)
    region.advance(3.0)
    assert region.instance(instance.id).state is InstanceState.TERMINATED
    assert not region.enis_of(instance.id)
