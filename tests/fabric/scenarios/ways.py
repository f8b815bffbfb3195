"""Asking and pinging between the ends of the world of every path, with the source address that the far end saw."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from vpclab.fabric import Place
from vpclab.fabric.paths import PathsWorld, paths_world
from vpclab.fabric.witness import PORT, Address, ask, capture

SHORT = 0.4
"""Seconds after which no answer is silence."""


async def seen(
    sender: Place,
    receiver: Place,
    protocol: str,
    address: Address,
    *,
    source: Address | None = None,
    port: int = PORT,
    wait: float = 3.0,
) -> str:
    """The source address that the receiver saw; '' if no answer came back."""
    if protocol != "icmp":
        return await ask(sender, protocol, address, source=source, port=port, wait=wait)
    own = ("-I", str(source)) if source else ()
    async with capture(receiver) as watched:
        argv = ("ping", "-c1", f"-W{wait}", "-n", *own, str(address))
        answered = (await sender.run(argv, check=False)).returncode == 0
        await asyncio.sleep(0)  # the capture reads when the loop turns
    came = {str(one.source) for one in watched.packets if one.protocol == "icmp" and not one.outgoing}
    return next(iter(came)) if answered and len(came) == 1 else ""


async def silent(sender: Place, address: Address, *, source: Address | None = None) -> bool:
    """Whether neither TCP, UDP nor ICMP is answered."""
    own = ("-I", str(source)) if source else ()
    *answers, ping = await asyncio.gather(
        ask(sender, "tcp", address, source=source, wait=SHORT),
        ask(sender, "udp", address, source=source, wait=SHORT),
        sender.run(("ping", "-c1", f"-W{SHORT}", "-n", *own, str(address)), check=False),
    )
    return answers == ["", ""] and ping.returncode == 1


def play(scenario: Callable[[PathsWorld], Awaitable[None]]) -> None:
    """Run one scenario in the whole world."""

    async def told() -> None:
        async with paths_world(Path(sys.argv[1])) as world:
            await scenario(world)

    asyncio.run(told())
