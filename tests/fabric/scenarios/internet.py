"""One public address for one private address, from public subnets only, in both directions, changed live."""

from ipaddress import IPv4Address

from tests.fabric.scenarios.world import CHECKIP, World, play


async def told(world: World) -> None:
    assert await world.curl("i-1", CHECKIP) == "203.0.113.1"
    assert '"address":"203.0.113.2"' in await world.curl("i-2", CHECKIP + "headers")

    # A private subnet has no way out, and hears nothing about it.
    lost = await world.nodes["i-3"].run(("ping", "-c1", "-W0.5", "198.51.100.10"), check=False)
    assert "100% packet loss" in lost.stdout
    assert "Unreachable" not in lost.stdout
    assert (await world.fabric.counters()).no_public_address == 0, (
        "it should not even have come to the gateway"
    )

    # A secondary address has none in a public subnet either: the gateway drops and counts.
    world.plan.change("eni-1", secondary=world.addresses("10.0.1.20"))
    await world.sync()
    await world.nodes["i-1"].ip(("addr add 10.0.1.20/32 dev lo",))
    assert await world.curl("i-1", CHECKIP, "--interface", "10.0.1.20", wait=0.5) == ""
    assert (await world.fabric.counters()).no_public_address > 0

    # Inwards: to the public address only. From inside, a public address of the VPC turns round at the gateway.
    await world.serve("i-2", "10.0.2.10", 80)
    internet = world.fabric.internet.place
    asked = await internet.run(("curl", "-s", "-m1", "telnet://203.0.113.2:80"))
    assert asked.stdout.strip() == "198.51.100.1"
    for nobody in ("10.0.2.10", "203.0.113.9"):
        missed = await internet.run(("ping", "-c1", "-W0.5", nobody), check=False)
        assert missed.returncode == 1, nobody
    assert await world.ask("i-1", "203.0.113.2", 80) == "203.0.113.1"

    # Taken away, moved, given back.
    world.plan.change("eni-1", public_ip=None)
    await world.sync()
    assert await world.curl("i-1", CHECKIP, wait=0.5) == ""
    world.plan.change("eni-1", public_ip=IPv4Address("203.0.113.7"))
    world.plan.change("eni-2", public_ip=IPv4Address("203.0.113.1"))
    await world.sync()
    assert await world.curl("i-1", CHECKIP) == "203.0.113.7"
    assert await world.curl("i-2", CHECKIP) == "203.0.113.1"
    # A public address where the subnet has no route to the gateway is of no use, as in AWS.
    world.plan.change("eni-3", public_ip=IPv4Address("203.0.113.3"))
    await world.sync()
    assert await world.curl("i-3", CHECKIP, wait=0.5) == ""


play(told)
