"""Instances, types, networks, groups and tags as a client sees them."""

from __future__ import annotations

import pytest
from tests.lab_aws.conftest import Cloud, client_error


def test_the_study_s_list_of_instances(cloud: Cloud) -> None:
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    reservations = cloud.client.describe_instances(Filters=running)["Reservations"]
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    names = [next(t["Value"] for t in i["Tags"] if t["Key"] == "Name") for i in instances]
    assert names == ["myeks-bastion-EC2", "myeks-ng1-Node"]
    assert [(i["PrivateIpAddress"], i["PublicIpAddress"], i["InstanceType"]) for i in instances] == [
        ("192.168.1.100", "203.0.113.10", "t3.small"),
        ("192.168.1.4", "203.0.113.11", "t3.medium"),
    ]
    node = instances[1]
    (interface,) = node["NetworkInterfaces"]
    assert (interface["Attachment"]["DeviceIndex"], interface["Attachment"]["NetworkCardIndex"]) == (0, 0)
    assert node["State"] == {"Code": 16, "Name": "running"}
    assert node["Placement"]["AvailabilityZone"] == "ap-northeast-2a"
    with client_error("InvalidInstanceID.NotFound", "The instance ID 'i-x' does not exist"):
        cloud.client.describe_instances(InstanceIds=["i-x"])


def test_launch_and_terminate(cloud: Cloud) -> None:
    launched = cloud.client.run_instances(
        ImageId="ami-any",
        InstanceType="t3.large",
        MinCount=1,
        MaxCount=2,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": cloud.study.private[0].id,
                "Groups": [cloud.study.node_group],
                "AssociatePublicIpAddress": False,
            }
        ],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "new"}]}],
    )
    ids = [i["InstanceId"] for i in launched["Instances"]]
    assert len(ids) == 2
    assert all("PublicIpAddress" not in i for i in launched["Instances"])
    ended = cloud.client.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert [(e["PreviousState"]["Name"], e["CurrentState"]["Name"]) for e in ended] == 2 * [
        ("running", "terminated")
    ]
    (described,) = cloud.client.describe_instances(InstanceIds=ids[:1])["Reservations"]
    assert described["Instances"][0]["NetworkInterfaces"] == []


def test_launches_that_cannot_be(cloud: Cloud) -> None:
    def run(**options: object) -> None:
        cloud.client.run_instances(
            **{"MinCount": 1, "MaxCount": 1, "SubnetId": cloud.study.public[0].id, **options}
        )

    with client_error("InvalidParameterValue", "t9.huge"):
        run(InstanceType="t9.huge")
    with client_error("InvalidParameterCombination"):
        run(NetworkInterfaces=[{"DeviceIndex": 0}])
    with client_error("InvalidParameterCombination"):
        run(MaxCount=2, InstanceType="t3.small", PrivateIpAddress="192.168.1.77")
    with client_error("UnsupportedOperation", "Placement"):
        run(Placement={"Tenancy": "host"})
    free = cloud.region.free_addresses(cloud.study.public[0].id)
    with client_error("AddressLimitExceeded"):
        run(InstanceType="t3.small", MinCount=244, MaxCount=244)  # of 243 public addresses: none is launched
    assert cloud.region.free_addresses(cloud.study.public[0].id) == free


def test_instance_types(cloud: Cloud) -> None:
    (found,) = cloud.client.describe_instance_types(InstanceTypes=["t3.medium"])["InstanceTypes"]
    network = found["NetworkInfo"]
    assert (network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]) == (3, 6)
    assert (found["Hypervisor"], found["BareMetal"], network["NetworkCards"][0]["NetworkCardIndex"]) == (
        "nitro",
        False,
        0,
    )
    with client_error("InvalidInstanceType", "t9.huge"):
        cloud.client.describe_instance_types(InstanceTypes=["t9.huge"])
    pages = cloud.client.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": ["t3.*"]}], PaginationConfig={"PageSize": 5}
    )
    names = [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]
    assert {"t3.nano", "t3.2xlarge"} <= set(names)
    assert len(names) == len(set(names))


def test_networks(cloud: Cloud) -> None:
    ec2, vpc = cloud.client, cloud.study.vpc.id
    (described,) = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": ["myeks-VPC"]}])["Vpcs"]
    assert (described["VpcId"], described["CidrBlockAssociationSet"][0]["CidrBlock"]) == (
        vpc,
        "192.168.0.0/16",
    )
    in_zone = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "availability-zone", "Values": ["ap-northeast-2b"]},
    ]
    assert [s["CidrBlock"] for s in ec2.describe_subnets(Filters=in_zone)["Subnets"]] == [
        "192.168.2.0/24",
        "192.168.12.0/24",
    ]
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    (gateway,) = ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]
    public = [{"Name": "association.subnet-id", "Values": [cloud.study.public[2].id]}]
    (table,) = ec2.describe_route_tables(Filters=public)["RouteTables"]
    assert {r["DestinationCidrBlock"]: r["GatewayId"] for r in table["Routes"]} == {
        "192.168.0.0/16": "local",
        "0.0.0.0/0": gateway["InternetGatewayId"],
    }
    (main,) = ec2.describe_route_tables(Filters=[{"Name": "association.main", "Values": ["true"]}])[
        "RouteTables"
    ]
    assert [r["GatewayId"] for r in main["Routes"]] == ["local"]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [(z["ZoneName"], z["ZoneId"]) for z in zones][:2] == [
        ("ap-northeast-2a", "apne2-az1"),
        ("ap-northeast-2b", "apne2-az2"),
    ]


def test_the_study_s_way_to_let_the_bastion_in(cloud: Cloud) -> None:
    ec2 = cloud.client
    (group,) = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["*ng1*"]}])[
        "SecurityGroups"
    ]
    # as the AWS command line spells --protocol '-1' --cidr 192.168.1.100/32
    permission = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "192.168.1.100/32"}]}]
    answer = ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)
    (rule,) = answer["SecurityGroupRules"]
    assert (rule["CidrIpv4"], rule["IpProtocol"], rule["IsEgress"]) == ("192.168.1.100/32", "-1", False)
    with client_error("InvalidPermission.Duplicate", "192.168.1.100/32, ALL, ALLOW"):
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)
    (after,) = ec2.describe_security_groups(GroupIds=[group["GroupId"]])["SecurityGroups"]
    (merged,) = after["IpPermissions"]
    assert [r["CidrIp"] for r in merged["IpRanges"]] == ["192.168.1.100/32"]
    assert [p["GroupId"] for p in merged["UserIdGroupPairs"]] == [group["GroupId"]]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)
    with client_error("InvalidPermission.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)


def test_groups_of_one_s_own(cloud: Cloud) -> None:
    ec2 = cloud.client
    group = ec2.create_security_group(
        VpcId=cloud.study.vpc.id,
        GroupName="mine",
        Description="d",
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}],
    )["GroupId"]
    ec2.authorize_security_group_egress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 81,
                "UserIdGroupPairs": [{"GroupId": group}],
                "IpRanges": [{"CidrIp": "10.1.2.3/8"}],
            }
        ],
    )
    (described,) = ec2.describe_security_groups(Filters=[{"Name": "tag:a", "Values": ["b"]}])[
        "SecurityGroups"
    ]
    everything, web = described["IpPermissionsEgress"]
    assert "FromPort" not in everything
    assert (web["FromPort"], web["ToPort"], web["IpRanges"]) == (80, 81, [{"CidrIp": "10.0.0.0/8"}])
    ec2.revoke_security_group_egress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    ec2.delete_security_group(GroupId=group)
    with client_error("InvalidGroup.NotFound", group):
        ec2.describe_security_groups(GroupIds=[group])


@pytest.mark.parametrize("permissions", [[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}], []])
def test_a_rule_needs_a_peer(cloud: Cloud, permissions: list[object]) -> None:
    with client_error("MissingParameter"):
        cloud.client.authorize_security_group_ingress(
            GroupId=cloud.study.node_group, IpPermissions=permissions
        )


def test_tags(cloud: Cloud) -> None:
    ec2, eni = cloud.client, cloud.region.primary_eni(cloud.node).id
    ec2.create_tags(Resources=[eni, cloud.node], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    of_eni = [{"Name": "resource-id", "Values": [eni]}]
    assert ec2.describe_tags(Filters=of_eni)["Tags"] == [
        {"Key": key, "Value": value, "ResourceId": eni, "ResourceType": "network-interface"}
        for key, value in (("a", "1"), ("b", ""))
    ]
    ec2.delete_tags(Resources=[eni], Tags=[{"Key": "a", "Value": "other"}, {"Key": "b"}])
    assert [t["Key"] for t in ec2.describe_tags(Filters=of_eni)["Tags"]] == ["a"]
    with client_error("InvalidNetworkInterfaceID.NotFound", "'eni-x'"):
        ec2.create_tags(Resources=["eni-x"], Tags=[{"Key": "a", "Value": "1"}])
    with client_error("InvalidParameterValue", "aws:"):
        ec2.create_tags(Resources=[eni], Tags=[{"Key": "aws:mine", "Value": "1"}])
