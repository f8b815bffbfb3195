"""VPCs, subnets, gateways, route tables and zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import invalid, not_found
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.imds import zone_id
from vpclab.region.region import Region
from vpclab.region.values import Subnet, Tags, Vpc


def describe_vpcs(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcs."""
    page = region.describe.vpcs(args.query(p, "VpcIds"))
    return {"Vpcs": [items.vpc(region, one) for one in page.items], "NextToken": page.next_token}


def describe_subnets(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeSubnets."""
    page = region.describe.subnets(args.query(p, "SubnetIds"))
    return {"Subnets": [items.subnet(region, one) for one in page.items], "NextToken": page.next_token}


def describe_internet_gateways(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInternetGateways."""
    page = region.describe.internet_gateways(args.query(p, "InternetGatewayIds"))
    return {
        "InternetGateways": [items.internet_gateway(region, one) for one in page.items],
        "NextToken": page.next_token,
    }


@dataclass(frozen=True, slots=True)
class _Zone:
    id: str
    tags: Tags = field(default_factory=dict)


_ZONE_READERS: Mapping[str, Reader[_Zone]] = {
    "zone-name": lambda z: (z.id,),
    "zone-id": lambda z: (zone_id(z.id),),
    "zone-type": lambda _: ("availability-zone",),
    "state": lambda _: ("available",),
    "opt-in-status": lambda _: ("opt-in-not-required",),
    "region-name": lambda z: (z.id[:-1],),
}


def describe_zones(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeAvailabilityZones."""
    names = p.get("ZoneNames") or region.zones
    unknown = [name for name in names if name not in region.zones]
    if unknown:
        raise invalid(f"Invalid availability zone: [{', '.join(unknown)}]")
    chosen = matching(map(_Zone, names), args.query(p, "ZoneNames").filters, _ZONE_READERS)
    return {
        "AvailabilityZones": [
            {
                "ZoneName": zone.id,
                "ZoneId": zone_id(zone.id),
                "ZoneType": "availability-zone",
                "RegionName": region.name,
                "GroupName": region.name,
                "NetworkBorderGroup": region.name,
                "State": "available",
                "OptInStatus": "opt-in-not-required",
                "Messages": [],
            }
            for zone in chosen
        ]
    }


@dataclass(frozen=True, slots=True)
class _RouteTable:
    """The region keeps no tables of its own: public subnets route to the gateway, all others by the main table."""

    id: str
    vpc: Vpc
    gateway_id: str | None
    subnets: tuple[Subnet, ...]
    tags: Tags = field(default_factory=dict)

    @property
    def main(self) -> bool:
        return self.gateway_id is None


_TABLE_READERS: Mapping[str, Reader[_RouteTable]] = {
    "route-table-id": lambda t: (t.id,),
    "vpc-id": lambda t: (t.vpc.id,),
    "association.main": lambda t: (t.main,),
    "association.subnet-id": lambda t: (s.id for s in t.subnets),
    "association.route-table-id": lambda t: (t.id,),
    "route.gateway-id": lambda t: ("local", *([t.gateway_id] if t.gateway_id else [])),
    "route.destination-cidr-block": lambda t: (*t.vpc.cidrs, *(["0.0.0.0/0"] if t.gateway_id else [])),
}


def _route_tables(region: Region) -> dict[str, _RouteTable]:
    tables: list[_RouteTable] = []
    for vpc in region.vpcs.values():
        tables.append(_RouteTable(items.derived_id("rtb", vpc.id, "main"), vpc, None, ()))
        gateway = region.internet_gateway_of(vpc.id)
        if gateway is not None:
            public = tuple(s for s in region.subnets.values() if s.vpc_id == vpc.id and s.public)
            tables.append(_RouteTable(items.derived_id("rtb", vpc.id, "public"), vpc, gateway.id, public))
    return {table.id: table for table in tables}


def _route_table_item(region: Region, table: _RouteTable) -> dict[str, Any]:
    routes: list[dict[str, Any]] = [
        {"DestinationCidrBlock": cidr, "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"}
        for cidr in table.vpc.cidrs
    ]
    if table.gateway_id:
        routes.append(
            {
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": table.gateway_id,
                "Origin": "CreateRoute",
                "State": "active",
            }
        )
    places: list[dict[str, Any]] = [{"SubnetId": subnet.id} for subnet in table.subnets] or [{}]
    return {
        "RouteTableId": table.id,
        "VpcId": table.vpc.id,
        "OwnerId": region.account,
        "Routes": routes,
        "Associations": [
            {
                "Main": table.main,
                "RouteTableAssociationId": items.derived_id("rtbassoc", table.id, *place.values()),
                "RouteTableId": table.id,
                "AssociationState": {"State": "associated"},
                **place,
            }
            for place in places
        ],
        "PropagatingVgws": [],
        "Tags": [],
    }


def describe_route_tables(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeRouteTables."""
    asked, tables = args.query(p, "RouteTableIds"), _route_tables(region)
    for wanted in asked.ids:
        if wanted not in tables:
            raise not_found(wanted, "rtb")
    chosen = matching((tables[key] for key in asked.ids or tables), asked.filters, _TABLE_READERS)
    page = paged(
        chosen, {key: place for place, key in enumerate(tables)}, asked.max_results, asked.next_token
    )
    return {
        "RouteTables": [_route_table_item(region, table) for table in page.items],
        "NextToken": page.next_token,
    }


OPERATIONS = {
    "DescribeVpcs": operation(describe_vpcs, "VpcIds", *PAGED),
    "DescribeSubnets": operation(describe_subnets, "SubnetIds", *PAGED),
    "DescribeInternetGateways": operation(describe_internet_gateways, "InternetGatewayIds", *PAGED),
    "DescribeRouteTables": operation(describe_route_tables, "RouteTableIds", *PAGED),
    "DescribeAvailabilityZones": operation(describe_zones, "ZoneNames", "Filters", "AllAvailabilityZones"),
}
