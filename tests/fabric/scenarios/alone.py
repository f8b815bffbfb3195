"""A small VPC that stays up until told to stop: two of them run side by side in test_contained.py."""

import asyncio
import sys

from tests.fabric.scenarios.world import CHECKIP, World, play


async def told(world: World) -> None:
    assert await world.ping("i-1", "10.0.2.10")
    print("up", flush=True)  # noqa: T201 - to whoever started it
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    # The other one has come meanwhile, with the same addresses.
    assert await world.ping("i-1", "10.0.2.10")
    assert await world.curl("i-1", CHECKIP) == "203.0.113.1"
    assert await world.silent("i-1", "10.0.2.11")
    await world.nodes["i-2"].ip(("addr add 10.0.2.11/32 dev lo",))
    world.plan.change("eni-2", secondary=world.addresses("10.0.2.11"))
    await world.sync()
    assert await world.ping("i-1", "10.0.2.11")


play(told)
