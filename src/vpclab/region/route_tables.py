"""Route tables: which subnet leaves its VPC by which routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, TypeAlias

from vpclab.region.errors import invalid, not_found
from vpclab.region.networking import NetworkTables
from vpclab.region.routing import ANYWHERE, Route, RouteTable, leads_to_internet, table_of
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Resource, Tags, frozen

ANYWHERE6 = IPv6Network("::/0")
KINDS = ("igw", "eigw", "nat", "pcx", "vgw", "eni")
Only = Literal[4, 6]
FAMILIES: Mapping[str, Only] = {"eigw": 6, "nat": 4, "vgw": 4}
"""Targets that carry one family only: the lab has neither NAT64 nor IPv6 in VPNs."""
Destination: TypeAlias = IPv4Network | IPv6Network


class RouteTables:
    """Operations on them."""

    def __init__(self, tables: Tables, net: NetworkTables) -> None:
        self._tables = tables
        self._net = net
        self._public: dict[str, str] = {}

    def create_main(self, vpc_id: str) -> RouteTable:
        """The table that a new VPC comes with."""
        table = RouteTable(self._tables.new_id("rtb"), vpc_id, self._tables.new_id("rtbassoc"))
        return self._put(table)

    def create(self, vpc_id: str, *, tags: Tags = NO_TAGS) -> RouteTable:
        """A table with the local routes. Raises ApiError: InvalidVpcID.NotFound."""
        if vpc_id not in self._tables.vpcs:
            raise not_found(vpc_id, "vpc")
        return self._put(RouteTable(self._tables.new_id("rtb"), vpc_id, tags=frozen(tags)))

    def get(self, table_id: str) -> RouteTable:
        """By id. Raises ApiError: InvalidRouteTableID.NotFound."""
        try:
            return self._net.route_tables[table_id]
        except KeyError:
            raise not_found(table_id, "rtb") from None

    def of_subnet(self, subnet_id: str) -> RouteTable:
        """The table that a subnet's packets leave by. Raises ApiError: InvalidSubnetID.NotFound."""
        if subnet_id not in self._tables.subnets:
            raise not_found(subnet_id, "subnet")
        table = table_of(self._net.route_tables, self._tables.subnets[subnet_id].vpc_id, subnet_id)
        if table is None:  # a VPC always has a main one
            raise not_found(subnet_id, "rtb")
        return table

    def delete(self, table_id: str) -> None:
        """Remove. Raises ApiError: InvalidRouteTableID.NotFound, DependencyViolation (main, or subnets use it)."""
        table = self.get(table_id)
        if table.main or table.subnets:
            raise ApiError(
                "DependencyViolation",
                f"The routeTable '{table_id}' has dependencies and cannot be deleted.",
            )
        del self._net.route_tables[table_id]
        self._tables.note(Resource.ROUTE_TABLE, table_id)

    def forget_vpc(self, vpc_id: str) -> None:
        """A VPC that is gone has no main table."""
        for table in [one for one in self._net.route_tables.values() if one.vpc_id == vpc_id]:
            del self._net.route_tables[table.id]
            self._tables.note(Resource.ROUTE_TABLE, table.id)
        self._public.pop(vpc_id, None)

    def create_route(self, table_id: str, destination: Destination, target: str) -> RouteTable:
        """A route to a target of this VPC.

        Raises ApiError: InvalidRouteTableID.NotFound, RouteAlreadyExists, InvalidParameterValue (inside the VPC, or a
        target of another VPC), the target's NotFound.
        """
        table = self.get(table_id)
        if any(route.destination == destination for route in table.routes):
            raise ApiError("RouteAlreadyExists", f"The route identified by {destination} already exists.")
        return self._with_route(table, destination, target)

    def replace_route(self, table_id: str, destination: Destination, target: str) -> RouteTable:
        """Another target for a route that is there. Raises ApiError as `create_route`, and as `delete_route`."""
        return self._with_route(self._without_route(table_id, destination), destination, target)

    def delete_route(self, table_id: str, destination: Destination) -> RouteTable:
        """Raises ApiError: InvalidRouteTableID.NotFound, InvalidRoute.NotFound, InvalidParameterValue (a local one)."""
        return self._put(self._without_route(table_id, destination))

    def associate(self, table_id: str, subnet_id: str) -> str:
        """Have a subnet use this table, instead of the main one; -> association id.

        Raises ApiError: InvalidRouteTableID.NotFound, InvalidSubnetID.NotFound, Resource.AlreadyAssociated,
        InvalidParameterValue (another VPC's).
        """
        table, used = self.get(table_id), self.of_subnet(subnet_id)
        if used.vpc_id != table.vpc_id:
            raise invalid(f"Route table {table_id} and subnet {subnet_id} belong to different networks")
        if subnet_id in used.subnets and used.id != table_id:
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"the specified association for route table {table_id} conflicts with an existing association",
            )
        association = table.subnets.get(subnet_id) or self._tables.new_id("rtbassoc")
        self._put(replace(table, subnets={**table.subnets, subnet_id: association}))
        return association

    def replace_association(self, association: str, table_id: str) -> str:
        """Another table for the same subnet; -> new association id. Raises ApiError as `associate`."""
        _, subnet_id = self._associated(association)
        if self.get(table_id).vpc_id != self.of_subnet(subnet_id).vpc_id:
            raise invalid(f"Route table {table_id} and subnet {subnet_id} belong to different networks")
        self.disassociate(association)
        return self.associate(table_id, subnet_id)

    def disassociate(self, association: str) -> None:
        """Have its subnet use the main table again. Raises ApiError: InvalidAssociationID.NotFound."""
        table, subnet_id = self._associated(association)
        rest = {key: value for key, value in table.subnets.items() if key != subnet_id}
        self._put(replace(table, subnets=rest))

    def propagate(self, table_id: str, gateway_id: str, *, enable: bool = True) -> RouteTable:
        """Show a virtual private gateway's routes in a table, or no longer.

        Raises ApiError: InvalidRouteTableID.NotFound, InvalidVpnGatewayID.NotFound, Gateway.NotAttached.
        """
        table = self.get(table_id)
        gateway = self._net.vpn_gateways.get(gateway_id)
        if gateway is None:
            raise not_found(gateway_id, "vgw")
        if gateway.vpc_id != table.vpc_id:
            raise ApiError("Gateway.NotAttached", f"resource {gateway_id} is not attached to {table.vpc_id}")
        others = tuple(one for one in table.propagating if one != gateway_id)
        return self._put(replace(table, propagating=(*others, gateway_id) if enable else others))

    def make_public(self, vpc_id: str, subnet_id: str | None = None) -> None:
        """What the lab says with `public=True`: one table a VPC with a default route to its internet gateway.

        Called again when the gateway comes, whichever was first.
        """
        if subnet_id is not None:
            if vpc_id not in self._public:
                self._public[vpc_id] = self.create(vpc_id).id
            self.associate(self._public[vpc_id], subnet_id)
        table = self._net.route_tables.get(self._public.get(vpc_id, ""))
        gateway = next((g for g in self._tables.gateways.values() if g.vpc_id == vpc_id), None)
        if table is None or gateway is None:
            return
        wanted: list[Destination] = [ANYWHERE, *([ANYWHERE6] if self._tables.vpcs[vpc_id].ipv6_cidrs else [])]
        for destination in wanted:
            if all(route.destination.version != destination.version for route in table.routes):
                self.create_route(table.id, destination, gateway.id)
                table = self.get(table.id)

    def forget_subnet(self, subnet_id: str) -> None:
        """A subnet that is gone is associated with nothing."""
        for table in tuple(self._net.route_tables.values()):
            if subnet_id in table.subnets:
                rest = {key: value for key, value in table.subnets.items() if key != subnet_id}
                self._put(replace(table, subnets=rest))

    def refresh(self) -> None:
        """Tell each subnet whether it is a public one now: its table or a target has changed."""
        for subnet in tuple(self._tables.subnets.values()):
            table = table_of(self._net.route_tables, subnet.vpc_id, subnet.id)
            public = leads_to_internet(self._net, table)
            if public != subnet.public:
                self._tables.put_subnet(replace(subnet, public=public))

    def _associated(self, association: str) -> tuple[RouteTable, str]:
        for table in self._net.route_tables.values():
            for subnet_id, its in table.subnets.items():
                if its == association:
                    return table, subnet_id
        raise not_found(association, "rtbassoc")

    def _with_route(self, table: RouteTable, destination: Destination, target: str) -> RouteTable:
        vpc = self._tables.vpcs[table.vpc_id]
        if any(within(destination, cidr) for cidr in vpc.all_cidrs):
            raise invalid(
                f"The destination CIDR block {destination} is equal to or more specific than one of this VPC's CIDR"
                " blocks. The lab has no routes inside a VPC."
            )
        self._check_target(table, target)
        only = FAMILIES.get(target.partition("-")[0], destination.version)
        if destination.version != only:
            raise invalid(f"The lab's {target} carries IPv{only} only, not {destination}.")
        return self._put(replace(table, routes=(*table.routes, Route(destination, target))))

    def _without_route(self, table_id: str, destination: Destination) -> RouteTable:
        table = self.get(table_id)
        vpc = self._tables.vpcs[table.vpc_id]
        if destination in vpc.all_cidrs:
            raise invalid(f"cannot remove local route {destination} in route table {table_id}")
        rest = tuple(route for route in table.routes if route.destination != destination)
        if len(rest) == len(table.routes):
            raise ApiError(
                "InvalidRoute.NotFound",
                f"no route with destination-cidr-block {destination} in route table {table_id}",
            )
        return replace(table, routes=rest)

    def _check_target(self, table: RouteTable, target: str) -> None:
        kind = target.partition("-")[0]
        if kind not in KINDS:
            raise invalid(f"invalid value for parameter gateway-id: {target}")
        vpcs = self._net.vpcs_of(kind, target)
        if vpcs is None:
            raise not_found(target, kind)
        if table.vpc_id not in vpcs:
            raise invalid(f"route table {table.id} and network gateway {target} belong to different networks")

    def _put(self, table: RouteTable) -> RouteTable:
        self._net.route_tables[table.id] = table
        self._tables.note(Resource.ROUTE_TABLE, table.id)
        self.refresh()
        return table


def within(inner: Destination, outer: Destination) -> bool:
    """Whether one block lies in another of its family."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)
