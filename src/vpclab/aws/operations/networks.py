"""VPCs, subnets, internet gateways and zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import invalid
from vpclab.region.filters import Reader, matching
from vpclab.region.imds import zone_id
from vpclab.region.region import Region
from vpclab.region.values import Tags


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


OPERATIONS = {
    "DescribeVpcs": operation(describe_vpcs, "VpcIds", *PAGED),
    "DescribeSubnets": operation(describe_subnets, "SubnetIds", *PAGED),
    "DescribeInternetGateways": operation(describe_internet_gateways, "InternetGatewayIds", *PAGED),
    "DescribeAvailabilityZones": operation(describe_zones, "ZoneNames", "Filters", "AllAvailabilityZones"),
}
