"""What changes in a VPC at run time: secondary CIDR blocks, subnets, subnet CIDR reservations."""

from __future__ import annotations

from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations import ipv6
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import contradiction, invalid
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.region import Region
from vpclab.region.reservations import Reservation, ReservationType
from vpclab.region.values import ApiError, Vpc

_READERS: dict[str, Reader[Reservation]] = {
    "reservationType": lambda r: (r.type.value,),
    "subnet-id": lambda r: (r.subnet_id,),
}


def associate_vpc_cidr(region: Region, p: Parameters) -> dict[str, Any]:
    """AssociateVpcCidrBlock: an IPv4 block of the caller's choice, or an IPv6 one of Amazon's."""
    if p.get("AmazonProvidedIpv6CidrBlock"):
        if "CidrBlock" in p:
            raise contradiction("Only one of CidrBlock and AmazonProvidedIpv6CidrBlock may be given")
        return ipv6.associate_vpc(region, p["VpcId"])
    cidr = args.network(args.one_of(p, "CidrBlock"))
    vpc = region.associate_vpc_cidr(p["VpcId"], cidr)
    return _association(vpc, _of(vpc, items.cidr_association_id(vpc, cidr)), "associating")


def disassociate_vpc_cidr(region: Region, p: Parameters) -> dict[str, Any]:
    """DisassociateVpcCidrBlock."""
    for vpc in region.vpcs.values():
        for cidr in vpc.cidrs:
            if items.cidr_association_id(vpc, cidr) == p["AssociationId"]:
                answer = _association(vpc, _of(vpc, p["AssociationId"]), "disassociating")
                region.disassociate_vpc_cidr(vpc.id, cidr)
                return answer
    gone = ipv6.disassociate_vpc(region, p["AssociationId"])
    if gone is not None:
        return gone
    raise ApiError(
        "InvalidVpcCidrBlockAssociationID.NotFound",
        f"The vpc CIDR block association ID '{p['AssociationId']}' does not exist",
    )


def _of(vpc: Vpc, association: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = items.cidr_associations(vpc)
    return next(one for one in found if one["AssociationId"] == association)


def _association(vpc: Vpc, association: dict[str, Any], state: str) -> dict[str, Any]:
    # EC2 answers before it has finished; the next describe says how it ended.
    return {"VpcId": vpc.id, "CidrBlockAssociation": association | {"CidrBlockState": {"State": state}}}


def create_subnet(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateSubnet: a private one, as every new subnet goes by the main route table."""
    block = args.network6(p["Ipv6CidrBlock"]) if "Ipv6CidrBlock" in p else None
    if block is not None:
        region.check_subnet_ipv6(p["VpcId"], block)
    subnet = region.create_subnet(
        p["VpcId"],
        p.get("AvailabilityZone", region.zones[0]),
        args.network(args.one_of(p, "CidrBlock")),
        tags=args.tags_for(p, "subnet"),
    )
    if block is not None:
        subnet = region.associate_subnet_ipv6(subnet.id, block)
    return {"Subnet": items.subnet(region, subnet)}


def delete_subnet(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteSubnet."""
    region.delete_subnet(p["SubnetId"])
    return {}


def create_reservation(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateSubnetCidrReservation."""
    try:
        kind = ReservationType(p["ReservationType"])
    except ValueError:
        raise invalid(f"Reservation type {p['ReservationType']} is neither prefix nor explicit") from None
    made = region.create_subnet_cidr_reservation(
        p["SubnetId"],
        args.network(p["Cidr"]),
        kind,
        description=p.get("Description", ""),
        tags=args.tags_for(p, "subnet-cidr-reservation"),
    )
    return {"SubnetCidrReservation": _reservation(region, made)}


def delete_reservation(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteSubnetCidrReservation."""
    gone = region.delete_subnet_cidr_reservation(p["SubnetCidrReservationId"])
    return {"DeletedSubnetCidrReservation": _reservation(region, gone)}


def get_reservations(region: Region, p: Parameters) -> dict[str, Any]:
    """GetSubnetCidrReservations."""
    all_of_it = region.subnet_cidr_reservations(p["SubnetId"])
    asked = args.query(p, "SubnetCidrReservationIds")
    chosen = matching(all_of_it, asked.filters, _READERS)
    places = {one.id: place for place, one in enumerate(all_of_it)}
    page = paged(chosen, places, asked.max_results, asked.next_token)
    return {
        "SubnetIpv4CidrReservations": [_reservation(region, one) for one in page.items],
        "SubnetIpv6CidrReservations": [],
        "NextToken": page.next_token,
    }


def _reservation(region: Region, value: Reservation) -> dict[str, Any]:
    return {
        "SubnetCidrReservationId": value.id,
        "SubnetId": value.subnet_id,
        "Cidr": value.cidr,
        "ReservationType": value.type.value,
        "OwnerId": region.account,
        "Description": value.description,
        "Tags": items.tag_set(value.tags),
    }


OPERATIONS = {
    "AssociateVpcCidrBlock": operation(
        associate_vpc_cidr, "VpcId", "CidrBlock", "AmazonProvidedIpv6CidrBlock"
    ),
    "DisassociateVpcCidrBlock": operation(disassociate_vpc_cidr, "AssociationId"),
    "CreateSubnet": operation(
        create_subnet, "VpcId", "AvailabilityZone", "CidrBlock", "Ipv6CidrBlock", "TagSpecifications"
    ),
    "DeleteSubnet": operation(delete_subnet, "SubnetId"),
    "CreateSubnetCidrReservation": operation(
        create_reservation, "SubnetId", "Cidr", "ReservationType", "Description", "TagSpecifications"
    ),
    "DeleteSubnetCidrReservation": operation(delete_reservation, "SubnetCidrReservationId"),
    "GetSubnetCidrReservations": operation(get_reservations, "SubnetId", *PAGED),
}
