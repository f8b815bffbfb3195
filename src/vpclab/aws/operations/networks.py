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
from vpclab.region.values import ApiError, Tags


def describe_vpcs(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcs."""
    page = region.describe.vpcs(args.query(p, "VpcIds"))
    return {"Vpcs": [items.vpc(region, one) for one in page.items], "NextToken": page.next_token}


def create_vpc(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateVpc, with an IPv6 block of Amazon's if asked."""
    if p.get("InstanceTenancy", "default") != "default":
        raise ApiError("UnsupportedOperation", "The lab has no dedicated hardware: InstanceTenancy default.")
    vpc = region.create_vpc(args.network(args.one_of(p, "CidrBlock")), tags=args.tags_for(p, "vpc"))
    if p.get("AmazonProvidedIpv6CidrBlock"):
        region.associate_vpc_ipv6(vpc.id)
    return {"Vpc": items.vpc(region, region.vpc(vpc.id)) | {"State": "pending"}}


def delete_vpc(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteVpc."""
    region.delete_vpc(p["VpcId"])
    return {}


def modify_vpc_attribute(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyVpcAttribute: the VPC's resolver is always there and its names are always given, so only that can be said."""
    region.vpc(p["VpcId"])
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        if not p.get(name, {}).get("Value", True):
            raise ApiError("UnsupportedOperation", f"The lab's VPCs always have {name}.")
    return {}


def describe_vpc_attribute(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcAttribute."""
    region.vpc(p["VpcId"])
    known = {
        "enableDnsSupport": {"EnableDnsSupport": {"Value": True}},
        "enableDnsHostnames": {"EnableDnsHostnames": {"Value": True}},
        "enableNetworkAddressUsageMetrics": {"EnableNetworkAddressUsageMetrics": {"Value": False}},
    }
    if p["Attribute"] not in known:
        raise invalid(f"Value ({p['Attribute']}) for parameter attribute is invalid.")
    return {"VpcId": p["VpcId"], **known[p["Attribute"]]}


def create_internet_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateInternetGateway."""
    made = region.create_internet_gateway(tags=args.tags_for(p, "internet-gateway"))
    return {"InternetGateway": items.internet_gateway(region, made)}


def attach_internet_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """AttachInternetGateway."""
    region.attach_internet_gateway(p["InternetGatewayId"], p["VpcId"])
    return {}


def detach_internet_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """DetachInternetGateway."""
    region.detach_internet_gateway(p["InternetGatewayId"], p["VpcId"])
    return {}


def delete_internet_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteInternetGateway."""
    region.delete_internet_gateway(p["InternetGatewayId"])
    return {}


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
    "CreateVpc": operation(
        create_vpc, "CidrBlock", "AmazonProvidedIpv6CidrBlock", "InstanceTenancy", "TagSpecifications"
    ),
    "DeleteVpc": operation(delete_vpc, "VpcId"),
    "ModifyVpcAttribute": operation(modify_vpc_attribute, "VpcId", "EnableDnsSupport", "EnableDnsHostnames"),
    "DescribeVpcAttribute": operation(describe_vpc_attribute, "VpcId", "Attribute"),
    "CreateInternetGateway": operation(create_internet_gateway, "TagSpecifications"),
    "AttachInternetGateway": operation(attach_internet_gateway, "InternetGatewayId", "VpcId"),
    "DetachInternetGateway": operation(detach_internet_gateway, "InternetGatewayId", "VpcId"),
    "DeleteInternetGateway": operation(delete_internet_gateway, "InternetGatewayId"),
    "DescribeVpcs": operation(describe_vpcs, "VpcIds", *PAGED),
    "DescribeSubnets": operation(describe_subnets, "SubnetIds", *PAGED),
    "DescribeInternetGateways": operation(describe_internet_gateways, "InternetGatewayIds", *PAGED),
    "DescribeAvailabilityZones": operation(describe_zones, "ZoneNames", "Filters", "AllAvailabilityZones"),
}
