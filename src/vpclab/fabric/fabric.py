"""The VPC as a whole: its router, internet gateway and internet, following a region."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass

from vpclab.fabric.checkip import application
from vpclab.fabric.commands import CommandError
from vpclab.fabric.igw import InternetGateway
from vpclab.fabric.internet import CHECKIP, Internet
from vpclab.fabric.namespaces import Place
from vpclab.fabric.router import Router
from vpclab.fabric.security_groups import Way
from vpclab.fabric.state import RegionView, wanted
from vpclab.region.values import Instance, NetworkInterface, Vpc
from vpclab.serving import Serving, serve

log = logging.getLogger(__name__)

RETRY = 1.0
"""Seconds until a sync that failed is tried again without a further change."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the fabric refused since it began, in packets."""

    spoofed: int
    """Came from an ENI with a source address that is not on that ENI."""
    no_public_address: int
    """Were to leave by the internet gateway from an address without a public one."""
    groups: Mapping[tuple[Way, str], int]
    """By way and ENI id: allowed by no rule of the ENI's security groups."""

    @property
    def refused_by_groups(self) -> int:
        """All ENIs and both ways."""
        return sum(self.groups.values())


class Fabric:
    """One VPC in packets. Usable from one asyncio loop."""

    def __init__(self) -> None:
        self.router = Router(Place.create("router"))
        self.igw = InternetGateway(Place.create("igw"))
        self.internet = Internet(Place.create("internet"))
        self._vpc_id = ""
        self._instances: dict[str, Place] = {}
        self._region: RegionView | None = None
        self._turn = asyncio.Lock()
        self._checkip: Serving | None = None

    @property
    def places(self) -> Mapping[str, Place]:
        """The fabric's own corners by name (instances' places belong to whoever made them)."""
        return {place.name: place for place in (self.router.place, self.igw.place, self.internet.place)}

    async def start(self, vpcs: Iterable[Vpc]) -> None:
        """Build what is there without any instance; checkip answers when this returns.

        Raises:
            ValueError: not exactly one VPC. A second one would share a router, which would not be a VPC.
            CommandError: a step failed; `close` and make another.
        """
        all_vpcs = tuple(vpcs)
        if len(all_vpcs) != 1:
            raise ValueError(f"a fabric carries one VPC, got {len(all_vpcs)}: make one fabric for each")
        self._vpc_id = all_vpcs[0].id
        await self.internet.start()
        await self.igw.start(self.internet.place.namespaces)
        await asyncio.gather(self.router.start(self.igw.place.namespaces), self.internet.join())
        await self.igw.join()
        bound = await self.internet.place.listen(CHECKIP, 80)
        self._checkip = await serve(application(), bound)

    async def sync(self, region: RegionView) -> None:
        """Make the packets go as the region says now; level-triggered, one at a time, only the difference.

        Raises:
            CommandError: a step failed, with the line. The next sync takes up the rest.
        """
        async with self._turn:
            self._region = region
            state = wanted(region, self._vpc_id, self._instances.keys())
            places = {id_: place.namespaces for id_, place in self._instances.items()}
            await self.router.apply(state, places)
            await self.igw.apply(state.cidrs, state.public)

    async def follow(self, region: RegionView, changes: AsyncIterable[object]) -> None:
        """Sync after every item of `changes`, until they end. A failure is logged and tried again."""
        async for _ in changes:
            while not await self._synced(region):  # noqa: ASYNC110 - waits for no event of ours
                await asyncio.sleep(RETRY)

    async def add_instance(self, instance: Instance, place: Place) -> None:
        """From now on this instance's attached ENIs appear in `place`; those it has already, at once.

        Keep the place open until after `remove_instance`.

        Raises:
            CommandError: as `sync`.
        """
        self._instances[instance.id] = place
        if self._region is not None:
            await self.sync(self._region)

    async def remove_instance(self, instance: Instance) -> None:
        """Unplug all its ENIs and forget its place (which is its maker's to close). Unknown ones are fine.

        Raises:
            CommandError: as `sync`.
        """
        self._instances.pop(instance.id, None)
        if self._region is not None:
            await self.sync(self._region)

    def carries(self, eni: NetworkInterface) -> bool:
        """Whether this ENI is on an instance that has a place here."""
        return eni.attachment is not None and eni.attachment.instance_id in self._instances

    async def counters(self) -> Counters:
        """What was refused so far."""
        spoofed, without, groups = await asyncio.gather(
            self.router.dropped_by_source_check(), self.igw.dropped(), self.router.dropped_by_groups()
        )
        return Counters(spoofed, without, groups)

    async def close(self) -> None:
        """Stop serving and let the namespaces go. Idempotent."""
        if self._checkip is not None:
            await self._checkip.stop()
            self._checkip = None
        for place in self.places.values():
            place.close()

    async def _synced(self, region: RegionView) -> bool:
        try:
            await self.sync(region)
        except (CommandError, OSError):
            log.exception("the fabric could not follow the region; trying again in %s s", RETRY)
            return False
        return True
