"""Route tables, their routes, and which subnets use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.aws.operations.listing import listed
from vpclab.region.filters import Reader
from vpclab.region.region import Region
from vpclab.region.routing import Route, RouteTable, routes_of

TARGETS: Mapping[str, str] = {
    "nat": "NatGatewayId",
    "pcx": "VpcPeeringConnectionId",
    "eni": "NetworkInterfaceId",
}
"""Under which name a route's target stands, by its id's prefix; the others are gateways."""


def create(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateRouteTable."""
    table = region.create_route_table(p["VpcId"], tags=args.tags_for(p, "route-table"))
    return {"RouteTable": _item(region, table)}


def delete(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteRouteTable."""
    region.delete_route_table(p["RouteTableId"])
    return {}


def create_route(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateRoute."""
    destination, target = args.network(args.one_of(p, "DestinationCidrBlock")), args.one_of(p, *_TARGETS)
    region.create_route(p["RouteTableId"], destination, target)
    return {"Return": True}


def replace_route(region: Region, p: Parameters) -> dict[str, Any]:
    """ReplaceRoute."""
    destination, target = args.network(args.one_of(p, "DestinationCidrBlock")), args.one_of(p, *_TARGETS)
    region.replace_route(p["RouteTableId"], destination, target)
    return {}


def delete_route(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteRoute."""
    region.delete_route(p["RouteTableId"], args.network(args.one_of(p, "DestinationCidrBlock")))
    return {}


def associate(region: Region, p: Parameters) -> dict[str, Any]:
    """AssociateRouteTable, with a subnet."""
    made = region.associate_route_table(p["RouteTableId"], args.one_of(p, "SubnetId"))
    return {"AssociationId": made, "AssociationState": {"State": "associated"}}


def replace_association(region: Region, p: Parameters) -> dict[str, Any]:
    """ReplaceRouteTableAssociation."""
    made = region.replace_route_table_association(p["AssociationId"], p["RouteTableId"])
    return {"NewAssociationId": made, "AssociationState": {"State": "associated"}}


def disassociate(region: Region, p: Parameters) -> dict[str, Any]:
    """DisassociateRouteTable."""
    region.disassociate_route_table(p["AssociationId"])
    return {}


def enable_propagation(region: Region, p: Parameters) -> dict[str, Any]:
    """EnableVgwRoutePropagation."""
    region.propagate_vpn_routes(p["RouteTableId"], p["GatewayId"])
    return {}


def disable_propagation(region: Region, p: Parameters) -> dict[str, Any]:
    """DisableVgwRoutePropagation."""
    region.propagate_vpn_routes(p["RouteTableId"], p["GatewayId"], enable=False)
    return {}


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeRouteTables."""
    page = listed(p, "RouteTableIds", "rtb", region.route_tables, _readers(region))
    return {"RouteTables": [_item(region, one) for one in page.items], "NextToken": page.next_token}


def _readers(region: Region) -> Mapping[str, Reader[RouteTable]]:
    def targets(kind: str) -> Reader[RouteTable]:
        return lambda t: (r.target for r in routes_of(region, t) if _kind(r) == kind)

    return {
        "route-table-id": lambda t: (t.id,),
        "vpc-id": lambda t: (t.vpc_id,),
        "owner-id": lambda _: (region.account,),
        "association.main": lambda t: (t.main,),
        "association.subnet-id": lambda t: t.subnets,
        "association.route-table-id": lambda t: (t.id,) if t.subnets or t.main else (),
        "association.route-table-association-id": lambda t: (*t.subnets.values(), t.association),
        "route.gateway-id": targets("GatewayId"),
        "route.nat-gateway-id": targets("NatGatewayId"),
        "route.vpc-peering-connection-id": targets("VpcPeeringConnectionId"),
        "route.destination-cidr-block": lambda t: (r.destination for r in routes_of(region, t)),
        "route.origin": lambda t: (r.origin.value for r in routes_of(region, t)),
        "route.state": lambda t: (_state(r) for r in routes_of(region, t)),
    }


def _item(region: Region, table: RouteTable) -> dict[str, Any]:
    main = [{"Main": True, "RouteTableAssociationId": table.association}] if table.main else []
    places = [
        {"Main": False, "RouteTableAssociationId": association, "SubnetId": subnet}
        for subnet, association in table.subnets.items()
    ]
    state = {"RouteTableId": table.id, "AssociationState": {"State": "associated"}}
    return {
        "RouteTableId": table.id,
        "VpcId": table.vpc_id,
        "OwnerId": region.account,
        "Routes": [_route(route) for route in routes_of(region, table)],
        "Associations": [{**place, **state} for place in (*main, *places)],
        "PropagatingVgws": [{"GatewayId": gateway} for gateway in table.propagating],
        "Tags": items.tag_set(table.tags),
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "DestinationCidrBlock": route.destination,
        _kind(route): route.target,
        "Origin": route.origin.value,
        "State": _state(route),
    }


def _kind(route: Route) -> str:
    return TARGETS.get(route.target.partition("-")[0], "GatewayId")


def _state(route: Route) -> str:
    return "active" if route.active else "blackhole"


_TARGETS = ("GatewayId", *TARGETS.values())
_ROUTE = ("RouteTableId", "DestinationCidrBlock")
OPERATIONS = {
    "CreateRouteTable": operation(create, "VpcId", "TagSpecifications"),
    "DeleteRouteTable": operation(delete, "RouteTableId"),
    "CreateRoute": operation(create_route, *_ROUTE, *_TARGETS),
    "ReplaceRoute": operation(replace_route, *_ROUTE, *_TARGETS),
    "DeleteRoute": operation(delete_route, *_ROUTE),
    "AssociateRouteTable": operation(associate, "RouteTableId", "SubnetId"),
    "ReplaceRouteTableAssociation": operation(replace_association, "AssociationId", "RouteTableId"),
    "DisassociateRouteTable": operation(disassociate, "AssociationId"),
    "EnableVgwRoutePropagation": operation(enable_propagation, "RouteTableId", "GatewayId"),
    "DisableVgwRoutePropagation": operation(disable_propagation, "RouteTableId", "GatewayId"),
    "DescribeRouteTables": operation(describe, "RouteTableIds", *PAGED),
}
