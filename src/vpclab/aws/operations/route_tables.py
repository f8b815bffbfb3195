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
from vpclab.region.route_tables import Destination
from vpclab.region.routing import Route, RouteTable, routes_of

TARGETS: Mapping[str, str] = {
    "eigw": "EgressOnlyInternetGatewayId",
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
    destination, target = _destination(p), args.one_of(p, *_TARGETS)
    region.create_route(p["RouteTableId"], destination, target)
    return {"Return": True}


def replace_route(region: Region, p: Parameters) -> dict[str, Any]:
    """ReplaceRoute."""
    destination, target = _destination(p), args.one_of(p, *_TARGETS)
    region.replace_route(p["RouteTableId"], destination, target)
    return {}


def delete_route(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteRoute."""
    region.delete_route(p["RouteTableId"], _destination(p))
    return {}


def _destination(p: Parameters) -> Destination:
    if "DestinationIpv6CidrBlock" in p:
        return args.network6(p["DestinationIpv6CidrBlock"])
    return args.network(args.one_of(p, "DestinationCidrBlock", "DestinationIpv6CidrBlock"))


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

    def destinations(version: int) -> Reader[RouteTable]:
        return lambda t: (r.destination for r in routes_of(region, t) if r.destination.version == version)

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
        "route.egress-only-internet-gateway-id": targets("EgressOnlyInternetGatewayId"),
        "route.destination-cidr-block": destinations(4),
        "route.destination-ipv6-cidr-block": destinations(6),
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
    of_ipv4 = route.destination.version == 4
    return {
        "DestinationCidrBlock" if of_ipv4 else "DestinationIpv6CidrBlock": route.destination,
        _kind(route): route.target,
        "Origin": route.origin.value,
        "State": _state(route),
    }


def _kind(route: Route) -> str:
    return TARGETS.get(route.target.partition("-")[0], "GatewayId")


def _state(route: Route) -> str:
    return "active" if route.active else "blackhole"


_TARGETS = ("GatewayId", *TARGETS.values())
_ROUTE = ("RouteTableId", "DestinationCidrBlock", "DestinationIpv6CidrBlock")
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
