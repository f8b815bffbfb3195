"""AWS::EC2: route tables, routes, and which subnet goes by which table."""

from __future__ import annotations

from typing import Any

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.resource_type import Context, ResourceType, properties
from vpclab.cloudformation.types.shapes import Tagged, specified
from vpclab.cloudformation.values import Properties

TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
)
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")


class RouteTable(Tagged):
    """AWS::EC2::RouteTable."""

    name = "AWS::EC2::RouteTable"
    properties = properties(replace="VpcId", modify="Tags", required="VpcId")
    attributes = frozenset({"RouteTableId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateRouteTable."""
        tags = specified(context, "route-table", p)
        made = context.call("ec2", "CreateRouteTable", VpcId=p["VpcId"], TagSpecifications=tags)
        return str(made["RouteTable"]["RouteTableId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"RouteTableId": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteRouteTable."""
        context.call("ec2", "DeleteRouteTable", RouteTableId=physical_id)


class Route(ResourceType):
    """AWS::EC2::Route."""

    name = "AWS::EC2::Route"
    properties = properties(
        replace="RouteTableId DestinationCidrBlock DestinationIpv6CidrBlock",
        modify=" ".join(TARGETS),
        required="RouteTableId",
    )
    attributes = frozenset({"CidrBlock"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateRoute."""
        context.call("ec2", "CreateRoute", **_route(p))
        return f"{p['RouteTableId']}|{_destination(p)}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"CidrBlock": _destination(p)}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """ReplaceRoute."""
        context.call("ec2", "ReplaceRoute", **_route(new))

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteRoute."""
        given = {key: p[key] for key in ("RouteTableId", *_DESTINATIONS) if key in p}
        context.call("ec2", "DeleteRoute", **given)


def _route(p: Properties) -> dict[str, Any]:
    if sum(key in p for key in TARGETS) != 1:
        raise ResourceFailed(f"Exactly one of [{', '.join(TARGETS)}] must be specified and not empty")
    _destination(p)
    return {key: p[key] for key in ("RouteTableId", *_DESTINATIONS, *TARGETS) if key in p}


def _destination(p: Properties) -> str:
    given = [str(p[key]) for key in _DESTINATIONS if key in p]
    if len(given) != 1:
        raise ResourceFailed(f"Exactly one of [{', '.join(_DESTINATIONS)}] must be specified and not empty")
    return given[0]


class SubnetAssociation(ResourceType):
    """AWS::EC2::SubnetRouteTableAssociation."""

    name = "AWS::EC2::SubnetRouteTableAssociation"
    properties = properties(replace="SubnetId RouteTableId", required="SubnetId RouteTableId")
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """AssociateRouteTable; a subnet that goes by another table is moved."""
        here = [{"Name": "association.subnet-id", "Values": [p["SubnetId"]]}]
        for table in context.call("ec2", "DescribeRouteTables", Filters=here)["RouteTables"]:
            for one in table["Associations"]:
                if one.get("SubnetId") == p["SubnetId"]:
                    moved = context.call(
                        "ec2",
                        "ReplaceRouteTableAssociation",
                        AssociationId=one.get("RouteTableAssociationId"),
                        RouteTableId=p["RouteTableId"],
                    )
                    return str(moved["NewAssociationId"])
        made = context.call(
            "ec2", "AssociateRouteTable", SubnetId=p["SubnetId"], RouteTableId=p["RouteTableId"]
        )
        return str(made["AssociationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DisassociateRouteTable."""
        context.call("ec2", "DisassociateRouteTable", AssociationId=physical_id)


TYPES: tuple[ResourceType, ...] = (RouteTable(), Route(), SubnetAssociation())
