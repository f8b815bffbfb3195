"""What joins VPCs to others: a wire for each active peering, and one to the customer's site for each VPN connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vpclab.fabric.commands import CommandError
from vpclab.fabric.customer import Customer
from vpclab.fabric.devices import FABRIC_MAC, JUMBO, PEERING, VPN, device
from vpclab.fabric.namespaces import Place, veth
from vpclab.fabric.router import Router
from vpclab.fabric.state import RegionView
from vpclab.region.routing import Peering, PeeringState, VpnConnection


class Trunks:
    """Those that are there."""

    def __init__(self) -> None:
        self._peerings: dict[str, Peering] = {}
        self._vpns: dict[str, VpnConnection] = {}
        self._customers: dict[str, Customer] = {}

    @property
    def places(self) -> Iterable[Place]:
        """The customers' sites."""
        return [customer.place for customer in self._customers.values()]

    async def join(self, region: RegionView, routers: Mapping[str, Router]) -> None:
        """Make what is missing; sites learn their networks and the VPCs' CIDR blocks.

        Raises:
            CommandError: a step failed; what it belongs to is made again by the next call.
        """
        for peering in _active(region):
            if peering.id not in self._peerings:
                await self._peer(peering, routers)
        for connection in _connected(region):
            if connection.id not in self._vpns:
                await self._connect(region, connection, routers)
        for key, customer in self._customers.items():
            mine = [c for c in _connected(region) if c.customer_gateway_id == key]
            await customer.serve({network for connection in mine for network in connection.routes})
            for connection in mine:
                vpc = region.vpcs[region.vpn_gateways[connection.vpn_gateway_id].vpc_id]
                await customer.route(device(VPN, connection.id), vpc.cidrs)

    async def leave(self, region: RegionView, routers: Mapping[str, Router]) -> None:
        """Remove what nothing leads to any more; sites stay."""
        active, connected = ({one.id for one in its} for its in (_active(region), _connected(region)))
        for key in self._peerings.keys() - active:
            router = routers[self._peerings.pop(key).requester]
            await router.place.run(("ip", "link", "del", device(PEERING, key)), check=False)
        for key in self._vpns.keys() - connected:
            await self._customers[self._vpns.pop(key).customer_gateway_id].leave(device(VPN, key))

    async def _peer(self, peering: Peering, routers: Mapping[str, Router]) -> None:
        name = device(PEERING, peering.id)
        one, other = routers[peering.requester], routers[peering.accepter]
        await one.place.ip((veth(name, name, other.place.namespaces, JUMBO, (FABRIC_MAC, FABRIC_MAC)),))
        try:
            await one.join(name)
            await other.join(name)
        except (CommandError, OSError):
            await one.place.run(("ip", "link", "del", name), check=False)
            raise
        self._peerings[peering.id] = peering

    async def _connect(
        self, region: RegionView, connection: VpnConnection, routers: Mapping[str, Router]
    ) -> None:
        key, name = connection.customer_gateway_id, device(VPN, connection.id)
        if key not in self._customers:
            called = region.customer_gateways[key].tags.get("Name", key)
            self._customers[key] = Customer(Place.create(called))
        router = routers[region.vpn_gateways[connection.vpn_gateway_id].vpc_id]
        await self._customers[key].join(name, router.place.namespaces)
        try:
            await router.join(name)
        except (CommandError, OSError):
            await self._customers[key].leave(name)
            raise
        self._vpns[connection.id] = connection


def _active(region: RegionView) -> list[Peering]:
    return [one for one in region.peerings.values() if one.state is PeeringState.ACTIVE]


def _connected(region: RegionView) -> list[VpnConnection]:
    return [
        one
        for one in region.vpn_connections.values()
        if one.vpn_gateway_id in region.vpn_gateways and region.vpn_gateways[one.vpn_gateway_id].vpc_id
    ]
