"""A real client over loopback: what an ipam daemon does all day."""

from __future__ import annotations

import datetime as dt

from tests.lab_aws.conftest import Cloud, client_error

from vpclab.region import Wanted


def test_an_eni_s_whole_life(cloud: Cloud) -> None:
    ec2 = cloud.client
    made = ec2.create_network_interface(
        SubnetId=cloud.study.public[0].id,
        Groups=[cloud.study.node_group],
        Description=f"aws-K8S-{cloud.node}",
        SecondaryPrivateIpAddressCount=5,
        TagSpecifications=[
            {"ResourceType": "network-interface", "Tags": [{"Key": "owner", "Value": "<&> \N{SNOWMAN}"}]},
            {"ResourceType": "instance", "Tags": [{"Key": "not", "Value": "for it"}]},
        ],
    )["NetworkInterface"]
    eni = made["NetworkInterfaceId"]
    assert made["TagSet"] == [{"Key": "owner", "Value": "<&> \N{SNOWMAN}"}]
    assert [a["PrivateIpAddress"] for a in made["PrivateIpAddresses"]] == [
        f"192.168.1.{n}" for n in range(5, 11)
    ]
    assert [a["Primary"] for a in made["PrivateIpAddresses"]] == [True] + 5 * [False]
    assert "Attachment" not in made
    assert "Association" not in made
    assert "Ipv4Prefixes" not in made

    attachment = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=cloud.node, DeviceIndex=1)
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=eni,
        Attachment={"AttachmentId": attachment["AttachmentId"], "DeleteOnTermination": True},
    )

    def seen() -> dict[str, object]:
        (found,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[eni])["NetworkInterfaces"]
        assert isinstance(found, dict)
        return found

    before = seen()
    assert (before["Status"], before["Attachment"]) == (
        "attaching",
        {
            "AttachTime": dt.datetime.fromtimestamp(cloud.clock.now, dt.UTC),
            "AttachmentId": attachment["AttachmentId"],
            "DeleteOnTermination": True,
            "DeviceIndex": 1,
            "NetworkCardIndex": 0,
            "InstanceId": cloud.node,
            "InstanceOwnerId": "111122223333",
            "Status": "attaching",
        },
    )
    cloud.clock.now += 2
    assert seen()["Status"] == "in-use"

    released = [made["PrivateIpAddresses"][1]["PrivateIpAddress"]]
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, PrivateIpAddresses=released)
    assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1)
    assert [a["PrivateIpAddress"] for a in assigned["AssignedPrivateIpAddresses"]] == released

    with client_error("InvalidParameterValue", f"Network interface '{eni}' is currently in use."):
        ec2.delete_network_interface(NetworkInterfaceId=eni)
    ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    cloud.clock.now += 1
    assert seen()["Status"] == "available"
    ec2.delete_network_interface(NetworkInterfaceId=eni)
    with client_error(
        "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{eni}' does not exist"
    ):
        seen()


def test_prefixes(cloud: Cloud) -> None:
    ec2 = cloud.client
    made = ec2.create_network_interface(SubnetId=cloud.study.public[1].id, Ipv4PrefixCount=2)[
        "NetworkInterface"
    ]
    eni = made["NetworkInterfaceId"]
    assert made["Ipv4Prefixes"] == [{"Ipv4Prefix": "192.168.2.16/28"}, {"Ipv4Prefix": "192.168.2.32/28"}]
    more = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4PrefixCount=1)
    assert (more["AssignedIpv4Prefixes"], more["AssignedPrivateIpAddresses"]) == (
        [{"Ipv4Prefix": "192.168.2.48/28"}],
        [],
    )
    named = ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=["192.168.2.224/28"])
    assert named["AssignedIpv4Prefixes"] == [{"Ipv4Prefix": "192.168.2.224/28"}]
    ec2.unassign_private_ip_addresses(
        NetworkInterfaceId=eni, Ipv4Prefixes=["192.168.2.16/28", "192.168.2.48/28"]
    )
    (found,) = ec2.describe_network_interfaces(Filters=[{"Name": "ipv4-prefix", "Values": ["*.224/28"]}])[
        "NetworkInterfaces"
    ]
    assert [p["Ipv4Prefix"] for p in found["Ipv4Prefixes"]] == ["192.168.2.32/28", "192.168.2.224/28"]
    with client_error("InvalidParameterValue", "192.168.2.65/28"):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=["192.168.2.65/28"])
    made = ec2.create_network_interface(
        SubnetId=cloud.study.public[2].id, Ipv4Prefixes=[{"Ipv4Prefix": "192.168.3.64/28"}]
    )["NetworkInterface"]
    assert made["Ipv4Prefixes"] == [{"Ipv4Prefix": "192.168.3.64/28"}]


def test_explicit_addresses(cloud: Cloud) -> None:
    subnet = cloud.study.public[1].id
    made = cloud.client.create_network_interface(
        SubnetId=subnet,
        PrivateIpAddresses=[
            {"PrivateIpAddress": "192.168.2.50", "Primary": True},
            {"PrivateIpAddress": "192.168.2.60", "Primary": False},
        ],
    )["NetworkInterface"]
    assert (made["PrivateIpAddress"], len(made["PrivateIpAddresses"])) == ("192.168.2.50", 2)
    with client_error("InvalidIPAddress.InUse"):
        cloud.client.create_network_interface(SubnetId=subnet, PrivateIpAddress="192.168.2.60")
    with client_error("InvalidParameterValue", "nonsense"):
        cloud.client.create_network_interface(SubnetId=subnet, PrivateIpAddress="nonsense")
    with client_error("InvalidParameterCombination"):
        cloud.client.create_network_interface(
            SubnetId=subnet,
            PrivateIpAddress="192.168.2.70",
            PrivateIpAddresses=[{"PrivateIpAddress": "192.168.2.71", "Primary": True}],
        )


def test_the_limits_answer_with_awss_codes(cloud: Cloud) -> None:
    ec2, subnet = cloud.client, cloud.study.public[0].id
    primary = cloud.region.primary_eni(cloud.node).id
    with client_error("PrivateIpAddressLimitExceeded"):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=primary, SecondaryPrivateIpAddressCount=6)
    enis = [
        ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
        for _ in range(3)
    ]
    for index, eni in enumerate(enis[:2], start=1):
        ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=cloud.node, DeviceIndex=index)
    with client_error("AttachmentLimitExceeded", "Interface count 4 exceeds the limit for t3.medium"):
        ec2.attach_network_interface(NetworkInterfaceId=enis[2], InstanceId=cloud.node, DeviceIndex=3)
    attachment = ec2.describe_network_interfaces(NetworkInterfaceIds=[primary])["NetworkInterfaces"][0][
        "Attachment"
    ]
    with client_error("OperationNotPermitted", "cannot be detached"):
        ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])


def test_filters_and_pages(cloud: Cloud) -> None:
    ec2 = cloud.client

    def make() -> list[str]:
        described = "aws-K8S-i-0123"
        return [
            cloud.region.create_network_interface(
                cloud.study.public[n % 3].id, description=described, tags={"n": str(n)}
            ).id
            for n in range(12)
        ]

    made = cloud.loop.do(make)
    filters = [{"Name": "description", "Values": ["aws-K8S-*"]}, {"Name": "status", "Values": ["available"]}]
    pages = ec2.get_paginator("describe_network_interfaces").paginate(
        Filters=filters, PaginationConfig={"PageSize": 5}
    )
    sizes, seen = [], []
    for page in pages:
        sizes.append(len(page["NetworkInterfaces"]))
        seen += [eni["NetworkInterfaceId"] for eni in page["NetworkInterfaces"]]
    assert (sizes, seen) == ([5, 5, 2], made)
    tagged = [{"Name": "tag:n", "Values": ["3", "7"]}, {"Name": "tag-key", "Values": ["n"]}]
    found = ec2.describe_network_interfaces(Filters=tagged)["NetworkInterfaces"]
    assert [eni["NetworkInterfaceId"] for eni in found] == [made[3], made[7]]
    of_node = [
        {"Name": "attachment.instance-id", "Values": [cloud.node]},
        {"Name": "attachment.device-index", "Values": ["0"]},
    ]
    (primary,) = ec2.describe_network_interfaces(Filters=of_node)["NetworkInterfaces"]
    assert primary["Association"]["PublicIp"] == str(cloud.region.primary_eni(cloud.node).public_ip)
    with client_error("InvalidParameterValue", "colour"):
        ec2.describe_network_interfaces(Filters=[{"Name": "colour", "Values": ["red"]}])
    with client_error("InvalidParameterValue", "Expecting 5 to 1000"):
        ec2.describe_network_interfaces(MaxResults=1001)


def test_attributes(cloud: Cloud) -> None:
    ec2, eni = cloud.client, cloud.region.primary_eni(cloud.node).id
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, SourceDestCheck={"Value": False})
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Description={"Value": "new"})
    ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[cloud.study.bastion_group])
    after = cloud.loop.do(lambda: cloud.region.eni(eni))
    assert (after.source_dest_check, after.description, after.groups) == (
        False,
        "new",
        (cloud.study.bastion_group,),
    )


def test_an_exhausted_subnet(cloud: Cloud) -> None:
    subnet = cloud.study.private[0].id
    cloud.loop.do(lambda: cloud.region.create_network_interface(subnet, wanted=Wanted(prefix_count=14)))
    (described,) = cloud.client.describe_subnets(SubnetIds=[subnet])["Subnets"]
    assert described["AvailableIpAddressCount"] == 251 - 14 * 16 - 1
    with client_error("InsufficientCidrBlocks"):
        cloud.client.create_network_interface(SubnetId=subnet, Ipv4PrefixCount=1)
    with client_error("InvalidParameterValue", "There aren't sufficient free Ipv4 addresses or prefixes"):
        cloud.client.create_network_interface(SubnetId=subnet, SecondaryPrivateIpAddressCount=26)
