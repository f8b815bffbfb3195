"""A device comes when an ENI is attached and goes when it is detached; a step that fails is taken up again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from tests.fabric.scenarios.world import World, group, play

from vpclab.fabric import CommandError
from vpclab.region.values import AttachmentStatus, SecurityGroupRule


async def told(world: World) -> None:
    plan = world.plan
    coming = plan.eni("eni-9", "i-1", 1, "subnet-1", "10.0.1.90")
    mac, attachment = coming.mac, coming.attachment
    assert attachment is not None
    plan.change("eni-9", attachment=replace(attachment, status=AttachmentStatus.ATTACHING))
    await world.sync()
    assert await world.link("i-1", "eth1") is None, "not while it is attaching"

    plan.change("eni-9", attachment=attachment)
    await world.sync()
    device = await world.link("i-1", "eth1")
    assert device is not None
    assert (device["address"], device["mtu"], device["operstate"]) == (mac, 9001, "DOWN")
    shown = (await world.nodes["i-1"].run(("ip", "-br", "addr", "show", "eth1"))).stdout
    assert "/" not in shown, "it should have no address"

    # In use: packets of its address by this device.
    await world.nodes["i-1"].ip(
        ("link set eth1 up", "addr add 10.0.1.90/32 dev eth1", "route add 10.0.1.1 dev eth1 table 2",
         "route add default via 10.0.1.1 dev eth1 table 2", "rule add from 10.0.1.90 lookup 2")
    )  # fmt: skip
    assert await world.ping("i-1", "10.0.2.10", "-I", "10.0.1.90")
    assert await world.ping("i-2", "10.0.1.90")

    plan.change("eni-9", attachment=replace(attachment, status=AttachmentStatus.DETACHING))
    await world.sync()
    assert await world.link("i-1", "eth1") is None
    assert await world.silent("i-2", "10.0.1.90")
    # To another instance, and three at once; then all gone in one step.
    for id_, index in (("eni-9", 1), ("eni-7", 2), ("eni-8", 3)):
        if id_ not in plan.enis:
            plan.eni(id_, "i-2", index, "subnet-2", f"10.0.2.9{index}")
        plan.change(id_, attachment=replace(attachment, instance_id="i-2", device_index=index))
    await world.sync()
    assert [bool(await world.link("i-2", f"eth{n}")) for n in (1, 2, 3)] == [True] * 3
    assert await world.link("i-1", "eth1") is None
    for id_ in ("eni-9", "eni-7", "eni-8"):
        plan.change(id_, attachment=None)
    await world.sync()
    assert [bool(await world.link("i-2", f"eth{n}")) for n in (1, 2, 3)] == [False] * 3
    assert await world.leftovers() == []

    # A device name that is taken: the error says so, the rest of the world stays, and the next sync does it.
    await world.nodes["i-2"].ip(("link add eth1 type veth peer name other",))
    # It is in the middle of the batch, so that something is done before it and something is not after it.
    for id_, index in (("eni-9", 2), ("eni-8", 3)):
        plan.change(id_, attachment=replace(attachment, instance_id="i-3", device_index=index))
    plan.change("eni-7", attachment=replace(attachment, instance_id="i-2"))
    with pytest.raises(CommandError, match="File exists") as failure:
        await world.sync()
    assert failure.value.place == "router"
    assert "peer name eth1" in failure.value.script_line
    assert await world.ping("i-1", "10.0.2.10")
    await world.nodes["i-2"].ip(("link del eth1",))
    await world.sync()
    assert await world.link("i-2", "eth1") is not None
    assert await world.link("i-3", "eth2") is not None
    assert await world.link("i-3", "eth3") is not None
    assert await world.leftovers() == []
    # A device that somebody else deleted does not hold anything up.
    await world.nodes["i-3"].ip(("link del eth3",))
    plan.change("eni-8", attachment=None)
    await world.sync()
    assert await world.leftovers() == []

    # Followed change by change; an instance that goes takes its links along.
    async def changes() -> AsyncIterator[str]:
        plan.change("eni-9", attachment=None)
        yield "eni-9"
        plan.groups["sg"] = group("sg", SecurityGroupRule(group_id="sg"))
        plan.change("eni-1", groups=("sg",))
        yield "sg"

    await asyncio.wait_for(world.fabric.follow(plan, changes()), 5)
    assert await world.link("i-3", "eth2") is None
    assert await world.silent("i-3", "10.0.1.10")
    await world.fabric.remove_instance(world.launched["i-2"])
    assert await world.link("i-2", "eth0") is None
    assert await world.silent("i-3", "10.0.2.10")
    assert await world.leftovers() == []
    await world.fabric.add_instance(world.launched["i-2"], world.nodes["i-2"])
    assert await world.link("i-2", "eth0") is not None


play(told)
