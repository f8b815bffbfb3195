"""What leaves an ENI carries an address of that ENI, or is dropped and counted; connection tracking changes nothing."""

from ipaddress import IPv4Network

from tests.fabric.scenarios.world import SPOOFED_PACKETS, World, group, play

from vpclab.region.values import SecurityGroupRule

TARGET = "10.0.2.10"


async def checked(world: World) -> None:
    for what, source in (
        ("nobody's", "10.0.1.77"),
        ("another instance's", "10.0.3.10"),
        ("the receiver's own", TARGET),
        ("one of the same instance's other ENI", "10.0.1.50"),
        ("one from the internet", "198.51.100.10"),
    ):
        outcome = await world.spoof("i-1", source, "i-2", TARGET)
        assert outcome == (SPOOFED_PACKETS, 0), f"{what} address {source}: counted, arrived = {outcome}"
    assert await world.spoof("i-1", "10.0.1.10", "i-2", TARGET) == (0, SPOOFED_PACKETS)


async def told(world: World) -> None:
    world.plan.eni("eni-4", "i-1", 1, "subnet-1", "10.0.1.50")
    await world.sync()
    await checked(world)

    # Groups turn connection tracking on for the whole router.
    world.plan.groups["sg-all"] = group("sg-all", SecurityGroupRule(cidr=IPv4Network("0.0.0.0/0")))
    for id_ in ("eni-1", "eni-2", "eni-3", "eni-4"):
        world.plan.change(id_, groups=("sg-all",))
    await world.sync()
    await checked(world)
    # Not even the address of a tracked connection passes on a wrong ENI.
    assert await world.spoof("i-3", "10.0.3.10", "i-2", TARGET) == (0, SPOOFED_PACKETS)
    await checked(world)

    world.plan.change("eni-1", source_dest_check=False)
    await world.sync()
    assert await world.spoof("i-1", "10.0.1.77", "i-2", TARGET) == (0, SPOOFED_PACKETS)
    world.plan.change("eni-1", source_dest_check=True)
    await world.sync()
    await checked(world)


play(told)
