"""Route tables, Elastic IP addresses, NAT gateways and peering, through a real client."""

from __future__ import annotations

from typing import Any

from tests.lab_aws.conftest import Cloud, client_error

from vpclab.region.paths import PEER_CIDR


def routes(ec2: Any, table_id: str) -> dict[str, tuple[str, str]]:
    (table,) = ec2.describe_route_tables(RouteTableIds=[table_id])["RouteTables"]
    targets = ("GatewayId", "NatGatewayId", "VpcPeeringConnectionId")
    return {
        r["DestinationCidrBlock"]: (next(r[key] for key in targets if key in r), r["State"])
        for r in table["Routes"]
    }


def test_a_private_subnet_is_given_a_nat_gateway(cloud: Cloud) -> None:
    ec2, study = cloud.client, cloud.study
    address = ec2.allocate_address(Domain="vpc")
    nat = ec2.create_nat_gateway(SubnetId=study.public[0].id, AllocationId=address["AllocationId"])
    nat_id = nat["NatGateway"]["NatGatewayId"]
    assert nat["NatGateway"]["State"] == "pending"
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat_id])
    table = ec2.create_route_table(VpcId=study.vpc.id)["RouteTable"]["RouteTableId"]
    ec2.create_tags(Resources=[table, nat_id], Tags=[{"Key": "Name", "Value": "private"}])
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat_id)
    made = ec2.associate_route_table(RouteTableId=table, SubnetId=study.private[0].id)
    assert routes(ec2, table) == {
        "192.168.0.0/16": ("local", "active"),
        "0.0.0.0/0": (nat_id, "active"),
    }
    by_nat = [{"Name": "route.nat-gateway-id", "Values": [nat_id]}, {"Name": "tag:Name", "Values": ["pri*"]}]
    (found,) = ec2.describe_route_tables(Filters=by_nat)["RouteTables"]
    assert [a["SubnetId"] for a in found["Associations"]] == [study.private[0].id]
    (shown,) = ec2.describe_nat_gateways(Filter=[{"Name": "state", "Values": ["available"]}])["NatGateways"]
    (its,) = shown["NatGatewayAddresses"]
    assert its["PublicIp"] == address["PublicIp"]
    (eni,) = ec2.describe_network_interfaces(Filters=[{"Name": "interface-type", "Values": ["nat_gateway"]}])[
        "NetworkInterfaces"
    ]
    assert (eni["NetworkInterfaceId"], eni["RequesterManaged"]) == (its["NetworkInterfaceId"], True)
    (held,) = ec2.describe_addresses(PublicIps=[address["PublicIp"]])["Addresses"]
    assert held["NetworkInterfaceId"] == its["NetworkInterfaceId"]
    with client_error("RouteAlreadyExists"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat_id)
    ec2.delete_nat_gateway(NatGatewayId=nat_id)
    assert routes(ec2, table)["0.0.0.0/0"] == (nat_id, "blackhole")
    ec2.replace_route(
        RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=study.internet_gateway.id
    )
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    with client_error("DependencyViolation"):
        ec2.delete_route_table(RouteTableId=table)
    ec2.disassociate_route_table(AssociationId=made["AssociationId"])
    ec2.delete_route_table(RouteTableId=table)
    with client_error("InvalidRouteTableID.NotFound"):
        ec2.describe_route_tables(RouteTableIds=[table])
    ec2.release_address(AllocationId=address["AllocationId"])


def test_an_elastic_address_is_given_to_an_instance(cloud: Cloud) -> None:
    ec2 = cloud.client
    instance = cloud.region.instance_named("myeks-bastion-EC2")
    assert instance is not None
    address = ec2.allocate_address(TagSpecifications=[
        {"ResourceType": "elastic-ip", "Tags": [{"Key": "Name", "Value": "mine"}]}
    ])  # fmt: skip
    made = ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=instance.id)
    (held,) = ec2.describe_addresses(Filters=[{"Name": "tag:Name", "Values": ["mine"]}])["Addresses"]
    assert (held["InstanceId"], held["AssociationId"]) == (instance.id, made["AssociationId"])
    with client_error("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=address["AllocationId"])
    ec2.disassociate_address(AssociationId=made["AssociationId"])
    with client_error("InvalidAddress.NotFound"):
        ec2.describe_addresses(PublicIps=["198.51.100.1"])


def test_two_vpcs_are_peered(cloud: Cloud) -> None:
    ec2, study = cloud.client, cloud.study
    other = cloud.loop.do(lambda: cloud.region.create_vpc(PEER_CIDR))
    asked = ec2.create_vpc_peering_connection(VpcId=study.vpc.id, PeerVpcId=other.id)
    key = asked["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    assert asked["VpcPeeringConnection"]["Status"]["Code"] == "pending-acceptance"
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=key)
    active = [{"Name": "status-code", "Values": ["active"]}]
    (shown,) = ec2.describe_vpc_peering_connections(Filters=active)["VpcPeeringConnections"]
    assert shown["AccepterVpcInfo"]["CidrBlock"] == "10.20.0.0/16"
    with client_error("VpcPeeringConnectionAlreadyExists"):
        ec2.create_vpc_peering_connection(VpcId=other.id, PeerVpcId=study.vpc.id)
    with client_error("UnsupportedOperation"):
        ec2.create_vpc_peering_connection(VpcId=other.id, PeerVpcId=study.vpc.id, PeerRegion="us-east-1")
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=key)
    assert not ec2.describe_vpc_peering_connections(Filters=active)["VpcPeeringConnections"]
