"""Carries the pool's actions out against EC2 and the host, in threads of its own, and says what came of each.

An ADD that the pool can serve never waits for anything here (design, idea 2): the threads are not the one that wires
pods, and an ENI is set up over a netlink socket of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from vpccni.aws.errors import Ec2Error
from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    Outcome,
    ReleaseAddresses,
    Released,
)
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import AttachedEni, Block, BlockKind, Eni, EniId, SubnetId, SubnetOffer

log = logging.getLogger(__name__)

THREADS = 2
"""One attaches an ENI, which takes seconds, while the other still can ask for addresses."""


class Cloud(Protocol):
    """EC2 as the pool's actions need it; blocking; failures are Ec2Error."""

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI."""

    def attach(self, action: AttachEni) -> AttachedEni:
        """A new ENI with its first blocks, attached and marked to go with the instance."""

    def release(self, eni: EniId, blocks: tuple[Block, ...]) -> None:
        """Give blocks back."""

    def remove(self, eni: EniId) -> None:
        """Detach and delete."""

    def find_subnets(self) -> tuple[tuple[SubnetOffer, ...], frozenset[SubnetId]]:
        """Where new ENIs may go, the best first; and the subnets whose ENIs give pods nothing."""


class EniWiring(Protocol):
    """The host's side of ENIs; blocking; failures are OSError with what happened in words."""

    def set_up(self, eni: Eni) -> None:
        """Wait for the device and give it its address, table and rule."""

    def tear_down(self, eni: Eni) -> None:
        """Take its rules and table away."""


class Performer:
    """Performs one action at a time per thread; every failure becomes a typed outcome."""

    def __init__(
        self, cloud: Callable[[], Cloud], wiring: EniWiring, eni_of: Callable[[EniId], Eni | None]
    ) -> None:
        self._cloud = cloud
        self._wiring = wiring
        self._eni_of = eni_of
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="ec2")

    async def perform(self, action: Action) -> Outcome:
        """What came of the action."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._perform, action)

    def close(self) -> None:
        """Begin nothing new."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _perform(self, action: Action) -> Outcome:
        try:
            return self._do(action)
        except Ec2Error as failure:
            return Failed(action, failure.refusal)
        except Exception as error:
            # whatever it is, the pool must hear of it, or it would wait for this action for ever
            log.exception("an action of the pool failed in a way the agent does not know: %s", action)
            return Failed(action, Refusal(Reason.EC2_ERROR, repr(error)))

    def _do(self, action: Action) -> Outcome:
        cloud = self._cloud()
        match action:
            case AssignAddresses():
                return Assigned(action, _assign(cloud, action))
            case AttachEni():
                attached = cloud.attach(action)
                try:
                    self._wiring.set_up(attached.eni)
                except OSError as error:
                    _remove_again(cloud, attached.eni)
                    return Failed(action, Refusal(Reason.ENI_NOT_VISIBLE, f"{attached.eni.id}: {error}"))
                return Attached(action, attached)
            case ReleaseAddresses():
                cloud.release(action.eni, action.blocks)
                return Released(action)
            case FindSubnets():
                return FoundSubnets(action, *cloud.find_subnets())
            case DetachEni():
                eni = self._eni_of(action.eni)
                cloud.remove(action.eni)
                if eni is not None:
                    self._wiring.tear_down(eni)
                return Detached(action)


def _assign(cloud: Cloud, action: AssignAddresses) -> tuple[Block, ...]:
    """As many as were asked for, or one: a subnet that is nearly full still may have that (spec 6.7)."""
    try:
        return cloud.assign(action.eni, action.count, action.kind)
    except Ec2Error as failure:
        if action.count == 1 or failure.refusal.reason not in {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX}:
            raise
        log.info(
            "%s has no %d addresses to give, asking for one: %s", action.eni, action.count, failure.refusal
        )
        return cloud.assign(action.eni, 1, action.kind)


def _remove_again(cloud: Cloud, eni: Eni) -> None:
    try:
        cloud.remove(eni.id)
    except Ec2Error:
        log.exception("%s could not be set up and could not be removed either; it stays attached", eni.id)
