"""Subnets, CIDR blocks and reservations that come and go, on the wire."""

from __future__ import annotations

from typing import Any

from tests.lab_aws.conftest import Cloud, client_error


def test_a_second_cidr_block_and_a_subnet_in_it(cloud: Cloud) -> None:
    ec2, vpc = cloud.client, cloud.study.vpc.id
    made = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")["CidrBlockAssociation"]
    assert (made["CidrBlock"], made["CidrBlockState"]["State"]) == ("100.64.0.0/16", "associating")
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "kubernetes.io/role/cni", "Value": "1"}]}]
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="100.64.1.0/24", AvailabilityZone="ap-northeast-2b", TagSpecifications=tags
    )["Subnet"]
    assert (subnet["AvailableIpAddressCount"], subnet["MapPublicIpOnLaunch"]) == (251, False)
    by_tag = [{"Name": "tag:kubernetes.io/role/cni", "Values": ["1"]}]
    assert [s["SubnetId"] for s in ec2.describe_subnets(Filters=by_tag)["Subnets"]] == [subnet["SubnetId"]]
    with client_error("InvalidCidrBlock.InUse"):
        ec2.disassociate_vpc_cidr_block(AssociationId=made["AssociationId"])
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.disassociate_vpc_cidr_block(AssociationId=made["AssociationId"])
    [described] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert [one["CidrBlock"] for one in described["CidrBlockAssociationSet"]] == ["192.168.0.0/16"]
    with client_error("InvalidVpcCidrBlockAssociationID.NotFound"):
        ec2.disassociate_vpc_cidr_block(AssociationId=made["AssociationId"])


def test_reservations(cloud: Cloud) -> None:
    ec2, subnet = cloud.client, cloud.study.public[0].id

    def reserve(cidr: str, kind: str) -> dict[str, Any]:
        made: dict[str, Any] = ec2.create_subnet_cidr_reservation(
            SubnetId=subnet, Cidr=cidr, ReservationType=kind, Description="d"
        )["SubnetCidrReservation"]
        return made

    made = reserve("192.168.1.128/26", "prefix")
    assert (made["Cidr"], made["ReservationType"], made["Description"]) == ("192.168.1.128/26", "prefix", "d")
    eni = ec2.create_network_interface(SubnetId=subnet, Ipv4PrefixCount=1)["NetworkInterface"]
    assert [one["Ipv4Prefix"] for one in eni["Ipv4Prefixes"]] == ["192.168.1.128/28"]
    with client_error("InvalidParameterValue", "neither prefix nor explicit"):
        reserve("192.168.1.64/28", "other")
    explicit = reserve("192.168.1.64/32", "explicit")
    listed = ec2.get_subnet_cidr_reservations(SubnetId=subnet)["SubnetIpv4CidrReservations"]
    assert [one["SubnetCidrReservationId"] for one in listed] == [
        made["SubnetCidrReservationId"],
        explicit["SubnetCidrReservationId"],
    ]
    of_type = [{"Name": "reservationType", "Values": ["explicit"]}]
    listed = ec2.get_subnet_cidr_reservations(SubnetId=subnet, Filters=of_type)["SubnetIpv4CidrReservations"]
    assert [one["Cidr"] for one in listed] == ["192.168.1.64/32"]
    ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=made["SubnetCidrReservationId"])
    with client_error("InvalidSubnetCidrReservationID.NotFound"):
        ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=made["SubnetCidrReservationId"])


def test_the_log_tells_what_came_after(cloud: Cloud) -> None:
    cloud.client.describe_vpcs()
    seen = cloud.log.answered
    cloud.client.describe_subnets()
    cloud.client.describe_vpcs()
    assert [call.action for call in cloud.log.after(seen)] == ["DescribeSubnets", "DescribeVpcs"]
    assert cloud.log.after(cloud.log.answered) == ()
