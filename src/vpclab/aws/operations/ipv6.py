"""IPv6: VPCs' and subnets' blocks, subnets' attributes, ENIs' addresses and prefixes, egress-only internet gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import Parameters, operation
from vpclab.aws.operations.listing import listed
from vpclab.region.filters import Reader
from vpclab.region.ipv6_claims import Wanted6
from vpclab.region.region import Region
from vpclab.region.routing import EgressOnlyGateway
from vpclab.region.values import ApiError, Subnet, Vpc

# --- blocks -------------------------------------------------------------------------------------------------------


def associate_vpc(region: Region, vpc_id: str) -> dict[str, Any]:
    """AssociateVpcCidrBlock with AmazonProvidedIpv6CidrBlock."""
    vpc = region.associate_vpc_ipv6(vpc_id)
    return _vpc_answer(vpc, items.ipv6_associations(vpc)[-1], "associating")


def disassociate_vpc(region: Region, association: str) -> dict[str, Any] | None:
    """DisassociateVpcCidrBlock of an IPv6 block; None: there is no such association."""
    for vpc in region.vpcs.values():
        for cidr, item in zip(vpc.ipv6_cidrs, items.ipv6_associations(vpc), strict=True):
            if item["AssociationId"] == association:
                region.disassociate_vpc_ipv6(vpc.id, cidr)
                return _vpc_answer(vpc, item, "disassociating")
    return None


def _vpc_answer(vpc: Vpc, item: Mapping[str, Any], state: str) -> dict[str, Any]:
    return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": {**item, "Ipv6CidrBlockState": {"State": state}}}


def associate_subnet(region: Region, p: Parameters) -> dict[str, Any]:
    """AssociateSubnetCidrBlock."""
    subnet = region.associate_subnet_ipv6(p["SubnetId"], args.network6(args.one_of(p, "Ipv6CidrBlock")))
    return _subnet_answer(subnet, "associating")


def disassociate_subnet(region: Region, p: Parameters) -> dict[str, Any]:
    """DisassociateSubnetCidrBlock."""
    for subnet in region.subnets.values():
        if any(one["AssociationId"] == p["AssociationId"] for one in items.subnet_ipv6(subnet)):
            answer = _subnet_answer(subnet, "disassociating")
            region.disassociate_subnet_ipv6(subnet.id)
            return answer
    raise ApiError(
        "InvalidSubnetCidrBlockAssociationID.NotFound",
        f"The subnet CIDR block association ID '{p['AssociationId']}' does not exist",
    )


def _subnet_answer(subnet: Subnet, state: str) -> dict[str, Any]:
    item = items.subnet_ipv6(subnet)[0] | {"Ipv6CidrBlockState": {"State": state}}
    return {"SubnetId": subnet.id, "Ipv6CidrBlockAssociation": item}


def modify_subnet(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifySubnetAttribute: one attribute a call, as EC2 wants it."""
    if ("AssignIpv6AddressOnCreation" in p) == ("MapPublicIpOnLaunch" in p):
        raise ApiError("InvalidParameterCombination", "Exactly one attribute must be given.")
    region.modify_subnet(
        p["SubnetId"],
        ipv6_on_creation=p.get("AssignIpv6AddressOnCreation", {}).get("Value"),
        map_public_ip_on_launch=p.get("MapPublicIpOnLaunch", {}).get("Value"),
    )
    return {}


# --- ENIs ---------------------------------------------------------------------------------------------------------


def wanted6(p: Parameters) -> Wanted6:
    """What CreateNetworkInterface and the interfaces of RunInstances ask for of IPv6."""
    return Wanted6(
        count=p.get("Ipv6AddressCount", 0),
        addresses=args.addresses6(one["Ipv6Address"] for one in p.get("Ipv6Addresses", ())),
        prefix_count=p.get("Ipv6PrefixCount", 0),
        prefixes=args.prefixes6(one["Ipv6Prefix"] for one in p.get("Ipv6Prefixes", ())),
    )


def assign(region: Region, p: Parameters) -> dict[str, Any]:
    """AssignIpv6Addresses: the answer has only what is new."""
    wanted = Wanted6(
        count=p.get("Ipv6AddressCount", 0),
        addresses=args.addresses6(p.get("Ipv6Addresses", ())),
        prefix_count=p.get("Ipv6PrefixCount", 0),
        prefixes=args.prefixes6(p.get("Ipv6Prefixes", ())),
    )
    claimed = region.assign_ipv6_addresses(p["NetworkInterfaceId"], wanted)
    return {
        "NetworkInterfaceId": p["NetworkInterfaceId"],
        "AssignedIpv6Addresses": list(claimed.addresses),
        "AssignedIpv6Prefixes": list(claimed.prefixes),
    }


def unassign(region: Region, p: Parameters) -> dict[str, Any]:
    """UnassignIpv6Addresses."""
    gone = args.addresses6(p.get("Ipv6Addresses", ()))
    prefixes = args.prefixes6(p.get("Ipv6Prefixes", ()))
    region.unassign_ipv6_addresses(p["NetworkInterfaceId"], addresses=gone, prefixes=prefixes)
    return {
        "NetworkInterfaceId": p["NetworkInterfaceId"],
        "UnassignedIpv6Addresses": list(gone),
        "UnassignedIpv6Prefixes": list(prefixes),
    }


# --- egress-only internet gateways --------------------------------------------------------------------------------


def create_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateEgressOnlyInternetGateway."""
    made = region.create_egress_only_gateway(
        p["VpcId"], tags=args.tags_for(p, "egress-only-internet-gateway")
    )
    return {"EgressOnlyInternetGateway": _gateway(made)}


def delete_gateway(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteEgressOnlyInternetGateway."""
    region.delete_egress_only_gateway(p["EgressOnlyInternetGatewayId"])
    return {"ReturnCode": True}


_READERS: Mapping[str, Reader[EgressOnlyGateway]] = {
    "egress-only-internet-gateway-id": lambda g: (g.id,),
    "attachment.vpc-id": lambda g: (g.vpc_id,),
}


def describe_gateways(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeEgressOnlyInternetGateways."""
    page = listed(p, "EgressOnlyInternetGatewayIds", "eigw", region.egress_only_gateways, _READERS)
    return {
        "EgressOnlyInternetGateways": [_gateway(one) for one in page.items],
        "NextToken": page.next_token,
    }


def _gateway(value: EgressOnlyGateway) -> dict[str, Any]:
    return {
        "EgressOnlyInternetGatewayId": value.id,
        "Attachments": [{"State": "attached", "VpcId": value.vpc_id}],
        "Tags": items.tag_set(value.tags),
    }


WANTED = ("Ipv6AddressCount", "Ipv6Addresses", "Ipv6PrefixCount", "Ipv6Prefixes")
OPERATIONS = {
    "AssociateSubnetCidrBlock": operation(associate_subnet, "SubnetId", "Ipv6CidrBlock"),
    "DisassociateSubnetCidrBlock": operation(disassociate_subnet, "AssociationId"),
    "ModifySubnetAttribute": operation(
        modify_subnet, "SubnetId", "AssignIpv6AddressOnCreation", "MapPublicIpOnLaunch"
    ),
    "AssignIpv6Addresses": operation(assign, "NetworkInterfaceId", *WANTED),
    "UnassignIpv6Addresses": operation(unassign, "NetworkInterfaceId", "Ipv6Addresses", "Ipv6Prefixes"),
    "CreateEgressOnlyInternetGateway": operation(create_gateway, "VpcId", "TagSpecifications"),
    "DeleteEgressOnlyInternetGateway": operation(delete_gateway, "EgressOnlyInternetGatewayId"),
    "DescribeEgressOnlyInternetGateways": operation(
        describe_gateways, "EgressOnlyInternetGatewayIds", "Filters", "MaxResults", "NextToken"
    ),
}
