"""The fabric as a whole: the region's VPCs, what joins them, and the internet, following a region."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass

from vpclab.fabric.checkip import application
from vpclab.fabric.commands import CommandError
from vpclab.fabric.internet import CHECKIP, CHECKIP6, Internet
from vpclab.fabric.namespaces import Place
from vpclab.fabric.router import NO_ROUTE, NOT_TRANSITIVE, Router
from vpclab.fabric.security_groups import Way
from vpclab.fabric.state import RegionView
from vpclab.fabric.trunks import Trunks
from vpclab.fabric.vpc import VpcWires
from vpclab.fabric.witness import Witness
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
    no_route: int = 0
    """Left an ENI for an address that its subnet's route table has no route to, or a black hole."""
    not_transitive: int = 0
    """Came from a peering, a VPN or the internet gateway for an address that is not the VPC's."""
    unsolicited: int = 0
    """Came to a NAT gateway or a load balancer, belonging to nothing that it passes on."""

    @property
    def refused_by_groups(self) -> int:
        """All ENIs and both ways."""
        return sum(self.groups.values())


class Fabric:
    """A region in packets. Usable from one asyncio loop."""

    def __init__(self) -> None:
        self.internet = Internet(Place.create("internet"))
        self._vpcs: dict[str, VpcWires] = {}
        self._built = 0
        self._trunks = Trunks()
        self._instances: dict[str, Place] = {}
        self._region: RegionView | None = None
        self._turn = asyncio.Lock()
        self._checkip: Serving | None = None
        self._checkip6: Serving | None = None
        self._witness = Witness()

    @property
    def places(self) -> Mapping[str, Place]:
        """The fabric's own corners by name (instances' places belong to whoever made them).

        The first VPC's are "router" and "igw"; another's have its Name tag (or id) behind a hyphen.
        """
        of_vpcs = (place for wires in self._vpcs.values() for place in wires.places)
        return {place.name: place for place in (*of_vpcs, *self._trunks.places, self.internet.place)}

    @property
    def routers(self) -> Mapping[str, Router]:
        """By VPC id; each has IMDS's address."""
        return {vpc_id: wires.router for vpc_id, wires in self._vpcs.items()}

    @property
    def router(self) -> Router:
        """The first VPC's."""
        return next(iter(self._vpcs.values())).router

    async def start(self, vpcs: Iterable[Vpc] = ()) -> None:
        """Build what is there without any instance; checkip and the internet's witness answer when this returns.

        VPCs that come later are built by `sync`.

        Raises:
            CommandError: a step failed; `close` and make another.
        """
        await self.internet.start()
        for vpc in vpcs:
            await self._build(vpc)
        bound = await self.internet.place.listen(CHECKIP, 80)
        self._checkip = await serve(application(), bound)
        await self._witness.listen(self.internet.place, CHECKIP)
        bound = await self.internet.place.listen(CHECKIP6, 80)
        self._checkip6 = await serve(application(), bound)
        await self._witness.listen(self.internet.place, CHECKIP6)

    async def sync(self, region: RegionView) -> None:
        """Make the packets go as the region says now; level-triggered, one at a time, only the difference.

        Raises:
            CommandError: a step failed, with the line. The next sync takes up the rest.
        """
        async with self._turn:
            self._region = region
            for vpc in region.vpcs.values():
                if vpc.id not in self._vpcs:
                    await self._build(vpc)
            # What routes lead to is there before them, and goes after them.
            await self._trunks.join(region, self.routers)
            instances = {id_: place.namespaces for id_, place in self._instances.items()}
            for wires in self._vpcs.values():
                await wires.apply(region, instances, self.internet)
            await self._trunks.leave(region, self.routers)
            for vpc_id in [one for one in self._vpcs if one not in region.vpcs]:
                self._vpcs.pop(vpc_id).close()

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
        await self.add_instances({instance.id: place})

    async def add_instances(self, places: Mapping[str, Place]) -> None:
        """As `add_instance`, of several at once, by instance id.

        Raises:
            CommandError: as `sync`.
        """
        self._instances.update(places)
        if self._region is not None:
            await self.sync(self._region)

    async def remove_instance(self, instance: Instance) -> None:
        """Unplug all its ENIs and forget its place (which is its maker's to close). Unknown ones are fine.

        Raises:
            CommandError: as `sync`.
        """
        await self.remove_instances((instance.id,))

    async def remove_instances(self, instance_ids: Iterable[str]) -> None:
        """As `remove_instance`, of several at once, by instance id.

        Raises:
            CommandError: as `sync`.
        """
        for instance_id in instance_ids:
            self._instances.pop(instance_id, None)
        if self._region is not None:
            await self.sync(self._region)

    def carries(self, eni: NetworkInterface) -> bool:
        """Whether this ENI is on an instance that has a place here."""
        return eni.attachment is not None and eni.attachment.instance_id in self._instances

    async def counters(self) -> Counters:
        """What was refused so far."""
        wires = tuple(self._vpcs.values())
        groups: dict[tuple[Way, str], int] = {}
        lost = [await one.router.lost() for one in wires]
        for one in wires:
            groups |= await one.router.dropped_by_groups()
        return Counters(
            spoofed=sum([await one.router.dropped_by_source_check() for one in wires]),
            no_public_address=sum([await one.igw.dropped() for one in wires]),
            groups=groups,
            no_route=sum(counted[NO_ROUTE] for counted in lost),
            not_transitive=sum(counted[NOT_TRANSITIVE] for counted in lost),
            unsolicited=sum([await it.unsolicited() for one in wires for it in one.appliances.values()]),
        )

    async def close(self) -> None:
        """Stop serving and let the namespaces go. Idempotent."""
        self._witness.close()
        for serving in (self._checkip, self._checkip6):
            if serving is not None:
                await serving.stop()
        self._checkip = self._checkip6 = None
        for place in self.places.values():
            place.close()

    async def _build(self, vpc: Vpc) -> None:
        first = not self._vpcs
        suffix = "" if first else f"-{vpc.tags.get('Name', vpc.id)}"
        wires = VpcWires(vpc.id, suffix, self._built)
        self._built += 1
        self._vpcs[vpc.id] = wires
        await wires.start(self.internet, first=first)

    async def _synced(self, region: RegionView) -> bool:
        try:
            await self.sync(region)
        except (CommandError, OSError):
            log.exception("the fabric could not follow the region; trying again in %s s", RETRY)
            return False
        return True
