"""One VPC in packets: its router, its internet gateway, and the machines that AWS runs in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from vpclab.fabric.appliances import Appliance, balancer_table, nat_table
from vpclab.fabric.igw import InternetGateway
from vpclab.fabric.internet import Internet
from vpclab.fabric.namespaces import Namespaces, Place
from vpclab.fabric.router import Router
from vpclab.fabric.state import Outlook, RegionView
from vpclab.region.routing import NatState


class VpcWires:
    """A VPC's namespaces."""

    def __init__(self, vpc_id: str, suffix: str, number: int) -> None:
        self.vpc_id = vpc_id
        self.router = Router(Place.create(f"router{suffix}"))
        self.igw = InternetGateway(Place.create(f"igw{suffix}"), f"igw{number or ''}")
        self.appliances: dict[str, Appliance] = {}
        self._outlook = Outlook(vpc_id)

    @property
    def places(self) -> tuple[Place, ...]:
        """All of them."""
        return (self.router.place, self.igw.place, *(one.place for one in self.appliances.values()))

    async def start(self, internet: Internet, *, first: bool) -> None:
        """What is there without any instance.

        Raises:
            CommandError: a step failed; close it and make another.
        """
        await self.igw.start(internet.place.namespaces)
        await asyncio.gather(
            self.router.start(self.igw.place.namespaces), internet.join(self.igw.device, first=first)
        )
        await self.igw.join()

    def close(self) -> None:
        """The VPC is gone: let its namespaces go."""
        for place in self.places:
            place.close()

    async def apply(
        self, region: RegionView, instances: Mapping[str, Namespaces], internet: Internet
    ) -> None:
        """Make it as the region says.

        Raises:
            CommandError: as `Router.apply`.
        """
        self._hire(region)
        machines = {**instances, **{key: one.place.namespaces for key, one in self.appliances.items()}}
        state = self._outlook.wanted(region, machines.keys())
        await self.router.apply(state, machines)
        await self.igw.apply(state.cidrs, state.public)
        await internet.route(self.igw.device, state.public.values())
        await self.igw.apply6(state.ipv6)
        await internet.route6(self.igw.device, state.ipv6.cidrs)
        here = {link.instance_id for link in state.links.values()}
        for key, appliance in tuple(self.appliances.items()):
            if key in here:
                await self._work(region, key, appliance)
            else:
                self.appliances.pop(key).place.close()

    def _hire(self, region: RegionView) -> None:
        """A place for each machine that should be here; whose time is over goes when its link has gone."""
        for nat in region.nat_gateways.values():
            known = nat.vpc_id != self.vpc_id or nat.id in self.appliances
            if nat.state is NatState.AVAILABLE and not known:
                self.appliances[nat.id] = Appliance(Place.create(nat.id, workers=1), nat.private_ip)
        for balancer in region.load_balancers.values():
            for eni_id in balancer.enis:
                if balancer.vpc_id == self.vpc_id and eni_id not in self.appliances:
                    name = f"{balancer.name}-{region.enis[eni_id].zone}"
                    address = region.enis[eni_id].primary
                    self.appliances[eni_id] = Appliance(Place.create(name, workers=1), address)

    async def _work(self, region: RegionView, key: str, appliance: Appliance) -> None:
        await appliance.plug()
        if key in region.nat_gateways:
            await appliance.apply(nat_table(region.nat_gateways[key].private_ip))
        for balancer in region.load_balancers.values():
            if key in balancer.enis:
                await appliance.apply(balancer_table(balancer, region.enis[key].primary))
