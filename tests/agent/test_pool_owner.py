"""The pools' owner gives addresses as soon as they can be had, says why they cannot, and asks EC2 behind the pods' backs."""

import asyncio

import pytest

from tests.agent.test_loop import World, story
from vpccni.agent.cni_call import CniError
from vpccni.ipam.actions import AssignAddresses, AttachEni
from vpccni.ipam.checkpoint import Given
from vpccni.ipam.reasons import Reason, Refusal


def test_an_add_on_an_empty_pool_waits_for_ec2_and_the_pool_grows_behind_it() -> None:
    async def tell() -> None:
        world = World()
        addresses = [await world.add(str(n)) for n in range(4)]
        assert len(set(addresses)) == 4
        assert [type(a) for a in world.ec2.asked[:3]] == [AssignAddresses, AttachEni, AttachEni]
        assert world.agent.owner.has_addresses.is_set()
        assert [type(e) for e in world.disk.entries] == [Given] * 4

    story(tell)


def test_an_add_that_the_pool_can_serve_waits_for_no_ec2_call() -> None:
    async def tell() -> None:
        world = World()
        await world.add("a")
        world.ec2.hold = asyncio.Event()
        world.agent.owner.kick()
        async with asyncio.timeout(1):
            await world.add("b")

    story(tell)


def test_adds_at_once_get_addresses_of_their_own_and_a_repeated_one_gets_its_own_again() -> None:
    async def tell() -> None:
        world = World()
        addresses = await asyncio.gather(*(world.add(str(n)) for n in range(6)))
        assert len(set(addresses)) == 6
        assert await asyncio.gather(*(world.add(str(n)) for n in range(6))) == addresses
        assert len(world.disk.entries) == 6

    story(tell)


def test_a_pod_that_cannot_have_an_address_is_told_the_reason_of_ec2() -> None:
    async def tell() -> None:
        world = World(max_enis=1)
        world.ec2.refusal = Refusal(Reason.SUBNET_FULL, "subnet-1: ec2:AssignPrivateIpAddresses answered …")
        with pytest.raises(CniError) as caught:
            await world.add("a")
        assert caught.value.code == 999
        assert "SubnetFull: subnet-1" in caught.value.message
        assert Reason.SUBNET_FULL.advice in caught.value.details
        assert world.agent.counters.refused[Reason.SUBNET_FULL] == 1
        assert world.agent.counters.failed_actions["AssignAddresses", Reason.SUBNET_FULL] == 1
        with pytest.raises(CniError) as limited:
            world.agent.status()
        assert limited.value.code == 51

    story(tell)


def test_ec2_that_takes_too_long_is_a_reason_to_try_again() -> None:
    async def tell() -> None:
        world = World(patience=0.05)
        world.ec2.hold = asyncio.Event()
        with pytest.raises(CniError) as caught:
            await world.add("a")
        assert caught.value.code == 11
        assert "PoolRefilling" in caught.value.message
        world.ec2.hold.set()
        assert await world.add("a")

    story(tell)


def test_a_disk_that_is_full_means_no_address_and_nothing_lost() -> None:
    async def tell() -> None:
        world = World()
        await world.add("a")
        world.disk.full = True
        with pytest.raises(CniError, match="CheckpointFailed"):
            await world.add("b")
        assert world.host.wired.keys() == {"10.0.1.0"}
        world.disk.full = False
        assert await world.add("b") == "10.0.1.1/32"

    story(tell)
