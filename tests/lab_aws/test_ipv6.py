"""A real client over loopback: IPv6 of a VPC as AWS has it."""

from __future__ import annotations

from tests.lab_aws.conftest import Cloud, client_error

ANYWHERE = "::/0"


def test_a_vpc_becomes_dual_stack(cloud: Cloud) -> None:
    ec2, vpc, subnet = cloud.client, cloud.study.vpc.id, cloud.study.public[0].id
    with client_error("InvalidParameterValue"):
        ec2.assign_ipv6_addresses(NetworkInterfaceId=_primary(cloud), Ipv6AddressCount=1)
    block = ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)[
        "Ipv6CidrBlockAssociation"
    ]
    assert block["Ipv6CidrBlockState"] == {"State": "associating"}
    (seen,) = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
    (of_vpc,) = seen["Ipv6CidrBlockAssociationSet"]
    assert of_vpc["Ipv6CidrBlockState"] == {"State": "associated"}
    assert (of_vpc["Ipv6CidrBlock"], of_vpc["AssociationId"]) == (
        "2001:db8:0:100::/56",
        block["AssociationId"],
    )

    made = ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock="2001:db8:0:101::/64")
    ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": True})
    (seen,) = ec2.describe_subnets(
        Filters=[{"Name": "ipv6-cidr-block-association.ipv6-cidr-block", "Values": ["2001:db8:0:101::/64"]}]
    )["Subnets"]
    assert (seen["SubnetId"], seen["AssignIpv6AddressOnCreation"]) == (subnet, True)
    assert (
        seen["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
        == made["Ipv6CidrBlockAssociation"]["AssociationId"]
    )
    launched = ec2.run_instances(MinCount=1, MaxCount=1, InstanceType="t3.small", SubnetId=subnet)
    assert launched["Instances"][0]["Ipv6Address"] == "2001:db8:0:101::4"
    with client_error("InvalidCidrBlock.InUse"):
        ec2.disassociate_subnet_cidr_block(AssociationId=made["Ipv6CidrBlockAssociation"]["AssociationId"])
    with client_error("InvalidCidrBlock.InUse"):
        ec2.disassociate_vpc_cidr_block(AssociationId=block["AssociationId"])
    another = ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.200.0/24", Ipv6CidrBlock="2001:db8:0:1c8::/64")
    assert another["Subnet"]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"] == "2001:db8:0:1c8::/64"
    with client_error("InvalidSubnet.Conflict"):
        ec2.create_subnet(VpcId=vpc, CidrBlock="192.168.201.0/24", Ipv6CidrBlock="2001:db8:0:1c8::/64")
    assert not ec2.describe_subnets(Filters=[{"Name": "cidr", "Values": ["192.168.201.0/24"]}])["Subnets"]


def test_an_eni_s_ipv6(cloud: Cloud) -> None:
    ec2, eni = cloud.client, _dual_stack(cloud)
    given = ec2.assign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6PrefixCount=1)
    assert given["AssignedIpv6Prefixes"] == ["2001:db8:0:101:1::/80"]
    given = ec2.assign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6Addresses=["2001:db8:0:101::abc"])
    assert given["AssignedIpv6Addresses"] == ["2001:db8:0:101::abc"]
    (seen,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
    assert [one["Ipv6Address"] for one in seen["Ipv6Addresses"]] == ["2001:db8:0:101::abc"]
    assert [one["Ipv6Prefix"] for one in seen["Ipv6Prefixes"]] == ["2001:db8:0:101:1::/80"]
    (instance,) = ec2.describe_instances(InstanceIds=[cloud.node])["Reservations"][0]["Instances"]
    assert instance["NetworkInterfaces"][0]["Ipv6Prefixes"] == [{"Ipv6Prefix": "2001:db8:0:101:1::/80"}]
    gone = ec2.unassign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6Prefixes=["2001:db8:0:101:1::/80"])
    assert gone["UnassignedIpv6Prefixes"] == ["2001:db8:0:101:1::/80"]
    with client_error("InvalidParameterValue"):
        ec2.unassign_ipv6_addresses(NetworkInterfaceId=eni, Ipv6Prefixes=["2001:db8:0:101:1::/80"])
    made = ec2.create_network_interface(
        SubnetId=cloud.study.public[0].id, Ipv6Prefixes=[{"Ipv6Prefix": "2001:db8:0:101:7::/80"}]
    )["NetworkInterface"]
    assert made["Ipv6Prefixes"] == [{"Ipv6Prefix": "2001:db8:0:101:7::/80"}]
    (types,) = ec2.describe_instance_types(InstanceTypes=["m5.large"])["InstanceTypes"]
    assert types["NetworkInfo"]["Ipv6AddressesPerInterface"] == 10


def test_routes_and_rules_of_ipv6(cloud: Cloud) -> None:
    ec2, vpc = cloud.client, cloud.study.vpc.id
    _dual_stack(cloud)
    gateway = ec2.create_egress_only_internet_gateway(VpcId=vpc)["EgressOnlyInternetGateway"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    target = {"EgressOnlyInternetGatewayId": gateway["EgressOnlyInternetGatewayId"]}
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock=ANYWHERE, **target)
    (seen,) = ec2.describe_route_tables(
        Filters=[
            {"Name": "route.destination-ipv6-cidr-block", "Values": [ANYWHERE]},
            {"Name": "route-table-id", "Values": [table]},
        ]
    )["RouteTables"]
    assert seen["Routes"][-1] == {
        "DestinationIpv6CidrBlock": ANYWHERE,
        **target,
        "Origin": "CreateRoute",
        "State": "active",
    }
    ec2.delete_route(RouteTableId=table, DestinationIpv6CidrBlock=ANYWHERE)
    assert ec2.describe_egress_only_internet_gateways()["EgressOnlyInternetGateways"] == [gateway]
    assert ec2.delete_egress_only_internet_gateway(**target)["ReturnCode"] is True

    group = cloud.study.node_group
    permission = {
        "IpProtocol": "icmpv6",
        "FromPort": -1,
        "ToPort": -1,
        "Ipv6Ranges": [{"CidrIpv6": ANYWHERE}],
    }
    (rule,) = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])[
        "SecurityGroupRules"
    ]
    assert (rule["IpProtocol"], rule["CidrIpv6"], "CidrIpv4" in rule) == ("icmpv6", ANYWHERE, False)
    (seen,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert [one["Ipv6Ranges"] for one in seen["IpPermissions"]][-1] == [{"CidrIpv6": ANYWHERE}]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])


def _primary(cloud: Cloud) -> str:
    return cloud.loop.do(lambda: cloud.region.primary_eni(cloud.node).id)


def _dual_stack(cloud: Cloud) -> str:
    """IPv6 in the node's subnet; its primary ENI."""
    cloud.client.associate_vpc_cidr_block(VpcId=cloud.study.vpc.id, AmazonProvidedIpv6CidrBlock=True)
    cloud.client.associate_subnet_cidr_block(
        SubnetId=cloud.study.public[0].id, Ipv6CidrBlock="2001:db8:0:101::/64"
    )
    return _primary(cloud)
