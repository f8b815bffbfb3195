"""An address goes to the ENI that holds it, and nowhere else."""

from tests.fabric.scenarios.world import World, play


async def told(world: World) -> None:
    for one, other in (("i-1", "10.0.2.10"), ("i-1", "10.0.3.10"), ("i-3", "10.0.1.10")):
        assert await world.ping(one, other), f"{one} does not reach {other}"
    for own in ("10.0.1.1", "169.254.169.254"):
        assert await world.ping("i-1", own), f"the router does not answer on {own}"
    # No hop is seen, and jumbo frames pass.
    answer = await world.nodes["i-1"].run(("ping", "-c1", "-Mdo", "-s", "8973", "10.0.2.10"))
    assert "ttl=64" in answer.stdout

    # What nobody holds is silence, in the own subnet (no ARP answer) and elsewhere (no ICMP error).
    assert await world.silent("i-1", "10.0.1.11")
    assert await world.neighbour("i-1", "10.0.1.11") in ("FAILED", "INCOMPLETE")
    far = await world.nodes["i-1"].run(("ping", "-c1", "-W0.5", "10.0.2.11"), check=False)
    assert "Unreachable" not in far.stdout
    assert "100% packet loss" in far.stdout
    # The fabric claims its VPC's addresses only, default route or not.
    await world.nodes["i-1"].ip(("route add 192.0.2.1 dev eth0",))
    assert await world.silent("i-1", "192.0.2.1")
    assert await world.neighbour("i-1", "192.0.2.1") in ("FAILED", "INCOMPLETE")
    # A held one in the own subnet is answered with the fabric's MAC.
    world.plan.change("eni-3", subnet_id="subnet-1", secondary=world.addresses("10.0.1.12"))
    await world.sync()
    await world.nodes["i-3"].ip(("addr add 10.0.1.12/32 dev lo",))
    assert await world.ping("i-1", "10.0.1.12")

    # Secondary addresses and prefixes: delivered from the moment that the region says so, until it says otherwise.
    secondary, prefix = "10.0.2.40", "10.0.2.80"
    await world.nodes["i-2"].ip((f"addr add {secondary}/32 dev lo", f"addr add {prefix}/32 dev lo"))
    assert await world.silent("i-1", secondary)
    assert await world.silent("i-1", prefix)
    world.plan.change("eni-2", secondary=world.addresses(secondary), prefixes=world.networks("10.0.2.80/28"))
    await world.sync()
    assert await world.ping("i-1", secondary)
    assert await world.ping("i-1", prefix)
    assert await world.ping("i-2", "10.0.1.10", "-I", prefix)
    world.plan.change("eni-2", prefixes=())
    await world.sync()
    assert await world.silent("i-1", prefix)
    # An address that moves to another instance is delivered there, in one step.
    await world.nodes["i-3"].ip((f"addr add {secondary}/32 dev lo",))
    world.plan.change("eni-2", secondary=())
    world.plan.change("eni-3", secondary=world.addresses(secondary))
    await world.sync()
    before = await world.pings_seen("i-3")
    assert await world.ping("i-1", secondary)
    assert await world.pings_seen("i-3") == before + 1


play(told)
