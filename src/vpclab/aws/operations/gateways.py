"""Elastic IP addresses, NAT gateways and VPC peering connections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.aws.operations.listing import listed
from vpclab.region.errors import contradiction
from vpclab.region.filters import Reader
from vpclab.region.region import Region
from vpclab.region.routing import ElasticAddress, NatGateway, NatState, Peering
from vpclab.region.values import ApiError

# --- Elastic IP addresses ---------------------------------------------------------------------------------------


def allocate(region: Region, p: Parameters) -> dict[str, Any]:
    """AllocateAddress."""
    made = region.allocate_address(tags=args.tags_for(p, "elastic-ip"))
    return {
        "PublicIp": made.public_ip,
        "AllocationId": made.id,
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": region.name,
        "Domain": "vpc",
    }


def associate(region: Region, p: Parameters) -> dict[str, Any]:
    """AssociateAddress: with an ENI, or with an instance's primary one."""
    if "NetworkInterfaceId" in p and "InstanceId" in p:
        raise contradiction("InstanceId and NetworkInterfaceId may not be given together")
    eni_id = (
        region.primary_eni(p["InstanceId"]).id
        if "InstanceId" in p
        else args.one_of(p, "NetworkInterfaceId", "InstanceId")
    )
    private = args.address(p["PrivateIpAddress"]) if "PrivateIpAddress" in p else None
    made = region.associate_address(
        args.one_of(p, "AllocationId"),
        eni_id,
        private,
        allow_reassociation=p.get("AllowReassociation", True),
    )
    return {"AssociationId": made.association}


def disassociate(region: Region, p: Parameters) -> dict[str, Any]:
    """DisassociateAddress."""
    region.disassociate_address(args.one_of(p, "AssociationId"))
    return {}


def release(region: Region, p: Parameters) -> dict[str, Any]:
    """ReleaseAddress."""
    region.release_address(args.one_of(p, "AllocationId"))
    return {}


_ADDRESS_READERS: Mapping[str, Reader[ElasticAddress]] = {
    "allocation-id": lambda a: (a.id,),
    "association-id": lambda a: (a.association,) if a.association else (),
    "domain": lambda _: ("vpc",),
    "network-interface-id": lambda a: (a.eni_id,) if a.eni_id else (),
    "private-ip-address": lambda a: (a.private_ip,) if a.private_ip else (),
    "public-ip": lambda a: (a.public_ip,),
}


def describe_addresses(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeAddresses."""
    wanted = set(args.addresses(p.get("PublicIps", ())))
    known = {one.public_ip for one in region.elastic_addresses.values()}
    if wanted - known:
        missing = ", ".join(map(str, sorted(wanted - known)))
        raise ApiError("InvalidAddress.NotFound", f"Address '{missing}' not found.")
    page = listed(p, "AllocationIds", "eipalloc", region.elastic_addresses, _ADDRESS_READERS)
    return {"Addresses": [_address(region, a) for a in page.items if not wanted or a.public_ip in wanted]}


def _address(region: Region, value: ElasticAddress) -> dict[str, Any]:
    item = {
        "AllocationId": value.id,
        "PublicIp": value.public_ip,
        "Domain": "vpc",
        "PublicIpv4Pool": "amazon",
        "NetworkBorderGroup": region.name,
        "Tags": items.tag_set(value.tags),
    }
    if not value.association:
        return item
    attachment = region.eni(value.eni_id).attachment
    return item | {
        "AssociationId": value.association,
        "NetworkInterfaceId": value.eni_id,
        "NetworkInterfaceOwnerId": region.account,
        "PrivateIpAddress": value.private_ip,
        "InstanceId": attachment.instance_id if attachment else None,
    }


# --- NAT gateways -----------------------------------------------------------------------------------------------


def create_nat(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateNatGateway, a public one."""
    if p.get("ConnectivityType", "public") != "public":
        raise ApiError("UnsupportedOperation", "The lab has public NAT gateways only.")
    made = region.create_nat_gateway(
        args.one_of(p, "SubnetId"),
        args.one_of(p, "AllocationId"),
        private_ip=args.address(p["PrivateIpAddress"]) if "PrivateIpAddress" in p else None,
        tags=args.tags_for(p, "natgateway"),
    )
    return {"NatGateway": _nat(made) | {"State": NatState.PENDING.value}}


def delete_nat(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteNatGateway."""
    region.delete_nat_gateway(p["NatGatewayId"])
    return {"NatGatewayId": p["NatGatewayId"]}


_NAT_READERS: Mapping[str, Reader[NatGateway]] = {
    "nat-gateway-id": lambda n: (n.id,),
    "state": lambda n: (n.state.value,),
    "subnet-id": lambda n: (n.subnet_id,),
    "vpc-id": lambda n: (n.vpc_id,),
}


def describe_nats(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeNatGateways, whose filters stand under "Filter"."""
    renamed = {("Filters" if key == "Filter" else key): value for key, value in p.items()}
    page = listed(renamed, "NatGatewayIds", "nat", region.nat_gateways, _NAT_READERS)
    return {"NatGateways": [_nat(one) for one in page.items], "NextToken": page.next_token}


def _nat(value: NatGateway) -> dict[str, Any]:
    address = {
        "AllocationId": value.allocation_id,
        "NetworkInterfaceId": value.eni_id,
        "PrivateIp": value.private_ip,
        "PublicIp": value.public_ip,
        "IsPrimary": True,
        "Status": "succeeded",
    }
    return {
        "NatGatewayId": value.id,
        "VpcId": value.vpc_id,
        "SubnetId": value.subnet_id,
        "State": value.state.value,
        "ConnectivityType": "public",
        "CreateTime": items.moment(value.created_at),
        "NatGatewayAddresses": [address],
        "Tags": items.tag_set(value.tags),
    }


# --- peering ----------------------------------------------------------------------------------------------------


def create_peering(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateVpcPeeringConnection, within the account and region."""
    for name, own in (("PeerOwnerId", region.account), ("PeerRegion", region.name)):
        if p.get(name, own) != own:
            raise ApiError("UnsupportedOperation", f"The lab peers within {own} only, not {name} {p[name]}.")
    made = region.create_peering(
        p["VpcId"], args.one_of(p, "PeerVpcId"), tags=args.tags_for(p, "vpc-peering-connection")
    )
    return {"VpcPeeringConnection": _peering(region, made)}


def accept_peering(region: Region, p: Parameters) -> dict[str, Any]:
    """AcceptVpcPeeringConnection."""
    made = region.accept_peering(args.one_of(p, "VpcPeeringConnectionId"))
    return {"VpcPeeringConnection": _peering(region, made)}


def reject_peering(region: Region, p: Parameters) -> dict[str, Any]:
    """RejectVpcPeeringConnection."""
    region.reject_peering(p["VpcPeeringConnectionId"])
    return {"Return": True}


def delete_peering(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteVpcPeeringConnection."""
    region.delete_peering(p["VpcPeeringConnectionId"])
    return {"Return": True}


_PEERING_READERS: Mapping[str, Reader[Peering]] = {
    "vpc-peering-connection-id": lambda c: (c.id,),
    "status-code": lambda c: (c.state.value,),
    "requester-vpc-info.vpc-id": lambda c: (c.requester,),
    "accepter-vpc-info.vpc-id": lambda c: (c.accepter,),
}


def describe_peerings(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcPeeringConnections."""
    page = listed(p, "VpcPeeringConnectionIds", "pcx", region.peerings, _PEERING_READERS)
    return {
        "VpcPeeringConnections": [_peering(region, one) for one in page.items],
        "NextToken": page.next_token,
    }


def _peering(region: Region, value: Peering) -> dict[str, Any]:
    def side(vpc_id: str) -> dict[str, Any]:
        cidrs = region.vpcs[vpc_id].cidrs
        return {
            "VpcId": vpc_id,
            "OwnerId": region.account,
            "Region": region.name,
            "CidrBlock": cidrs[0],
            "CidrBlockSet": [{"CidrBlock": cidr} for cidr in cidrs],
        }

    return {
        "VpcPeeringConnectionId": value.id,
        "RequesterVpcInfo": side(value.requester),
        "AccepterVpcInfo": side(value.accepter),
        "Status": {"Code": value.state.value, "Message": value.state.name.capitalize()},
        "Tags": items.tag_set(value.tags),
    }


OPERATIONS = {
    "AllocateAddress": operation(allocate, "Domain", "TagSpecifications"),
    "AssociateAddress": operation(
        associate,
        "AllocationId",
        "InstanceId",
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "AllowReassociation",
    ),
    "DisassociateAddress": operation(disassociate, "AssociationId"),
    "ReleaseAddress": operation(release, "AllocationId"),
    "DescribeAddresses": operation(describe_addresses, "AllocationIds", "PublicIps", "Filters"),
    "CreateNatGateway": operation(
        create_nat, "SubnetId", "AllocationId", "ConnectivityType", "PrivateIpAddress", "TagSpecifications"
    ),
    "DeleteNatGateway": operation(delete_nat, "NatGatewayId"),
    "DescribeNatGateways": operation(describe_nats, "NatGatewayIds", "Filter", "MaxResults", "NextToken"),
    "CreateVpcPeeringConnection": operation(
        create_peering, "VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion", "TagSpecifications"
    ),
    "AcceptVpcPeeringConnection": operation(accept_peering, "VpcPeeringConnectionId"),
    "RejectVpcPeeringConnection": operation(reject_peering, "VpcPeeringConnectionId"),
    "DeleteVpcPeeringConnection": operation(delete_peering, "VpcPeeringConnectionId"),
    "DescribeVpcPeeringConnections": operation(describe_peerings, "VpcPeeringConnectionIds", *PAGED),
}
