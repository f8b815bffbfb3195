"""Addresses that were handed out just before a restart, to pods that are not connected: not yet, or never.

Who calls ADD over gRPC connects the pod itself after our answer, and may be about to (spec 3). Given to the next pod,
its address would be two pods'. So it is kept for as long as that may take, and then the host is asked again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from vpccni.agent.clock import Clock
from vpccni.ipam.restore import CONNECTING_TAKES
from vpccni.ipam.values import Address, Assignment

log = logging.getLogger(__name__)
AGAIN = 5.0
"""Seconds until the host is asked again when it did not answer."""


class Host(Protocol):
    """Which pods' veths are there."""

    async def look(self) -> dict[str, Address]:
        """What is there is known from now on."""

    def alive(self, assignment: Assignment) -> bool:
        """Whether the pod's veth was there at the last look."""


class Owner(Protocol):
    """The one owner of the pools."""

    async def take_back(self, assignment: Assignment) -> None:
        """It cools, if it is still assigned as it was."""


async def judge_unwired(unwired: Iterable[Assignment], owner: Owner, host: Host, clock: Clock) -> None:
    """Wait until no answer from before the restart can be on its way; take back what nobody has connected by then."""
    # by the files' times a changed clock could keep us waiting for ever
    at = clock() + CONNECTING_TAKES
    pending = tuple(unwired)
    while pending:
        await asyncio.sleep(max(0.0, at - clock()))
        try:
            await host.look()
        except OSError as error:
            log.warning("the pods' links could not be looked at: %s; tried again", error)
            at = clock() + AGAIN
            continue
        for assignment in pending:
            if not host.alive(assignment):
                log.info("pod %s was never connected, %s cools", assignment.pod, assignment.address)
                await owner.take_back(assignment)
        return
