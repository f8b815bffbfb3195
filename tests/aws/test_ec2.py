from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.aws.conftest import Ec2Script, error, ok

from vpccni.aws.ec2 import Ec2
from vpccni.aws.errors import Ec2Error
from vpccni.aws.values import EniAttachment, NewEni
from vpccni.ipam.limits import Hypervisor
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import Block, BlockKind, EniId, SubnetId

ENI = EniId("eni-00000001")
NEW = NewEni(
    subnet=SubnetId("subnet-1"),
    groups=("sg-1", "sg-2"),
    description="aws-K8S-i-1",
    tags=(("node.k8s.amazonaws.com/instance_id", "i-1"), ("a", "b & <c>")),
    count=2,
    kind=BlockKind.SECONDARY_IP,
)
CREATED = """<networkInterface><networkInterfaceId>eni-00000001</networkInterfaceId>
  <macAddress>02:00:00:00:00:01</macAddress><privateIpAddress>10.0.1.10</privateIpAddress>
  <privateIpAddressesSet>
    <item><privateIpAddress>10.0.1.10</privateIpAddress><primary>true</primary></item>
    <item><privateIpAddress>10.0.1.11</privateIpAddress><primary>false</primary></item>
  </privateIpAddressesSet>
  <ipv4PrefixSet><item><ipv4Prefix>10.0.1.32/28</ipv4Prefix></item></ipv4PrefixSet></networkInterface>"""


def block(text: str) -> Block:
    return Block(IPv4Network(text))


def eni_item(name: str, *, attachment: str = "", status: str = "available", more: str = "") -> str:
    return f"""<item><networkInterfaceId>{name}</networkInterfaceId><status>{status}</status>
      <subnetId>subnet-1</subnetId><macAddress>02:00:00:00:00:02</macAddress>{attachment}{more}</item>"""


def test_addresses_are_assigned_by_count_and_only_new_ones_told(ec2: Ec2, script: Ec2Script) -> None:
    told = "".join(f"<item><privateIpAddress>10.0.1.{n}</privateIpAddress></item>" for n in (5, 6))
    script.say(
        "AssignPrivateIpAddresses",
        ok(
            "AssignPrivateIpAddresses",
            f"<assignedPrivateIpAddressesSet>{told}</assignedPrivateIpAddressesSet>",
        ),
    )
    assert ec2.assign(ENI, 2, BlockKind.SECONDARY_IP) == (block("10.0.1.5/32"), block("10.0.1.6/32"))
    assert script.sayings("AssignPrivateIpAddresses") == [
        {"NetworkInterfaceId": ENI, "SecondaryPrivateIpAddressCount": "2"}
    ]


def test_prefixes_are_assigned_by_count(ec2: Ec2, script: Ec2Script) -> None:
    told = "<assignedIpv4PrefixSet><item><ipv4Prefix>10.0.1.16/28</ipv4Prefix></item></assignedIpv4PrefixSet>"
    script.say("AssignPrivateIpAddresses", ok("AssignPrivateIpAddresses", told))
    assert ec2.assign(ENI, 1, BlockKind.PREFIX) == (block("10.0.1.16/28"),)
    assert script.sayings("AssignPrivateIpAddresses") == [{"NetworkInterfaceId": ENI, "Ipv4PrefixCount": "1"}]


def test_nothing_is_assigned_or_given_back_without_a_call(ec2: Ec2, script: Ec2Script) -> None:
    assert ec2.assign(ENI, 0, BlockKind.SECONDARY_IP) == ()
    ec2.unassign(ENI, ())
    assert ec2.describe_enis([]) == ()
    assert script.asked == []


def test_addresses_and_prefixes_are_given_back_in_a_call_each(ec2: Ec2, script: Ec2Script) -> None:
    script.say("UnassignPrivateIpAddresses", ok("UnassignPrivateIpAddresses"))
    ec2.unassign(ENI, (block("10.0.1.16/28"), block("10.0.1.5/32"), block("10.0.1.6/32")))
    assert script.sayings("UnassignPrivateIpAddresses") == [
        {"NetworkInterfaceId": ENI, "PrivateIpAddress.1": "10.0.1.5", "PrivateIpAddress.2": "10.0.1.6"},
        {"NetworkInterfaceId": ENI, "Ipv4Prefix.1": "10.0.1.16/28"},
    ]


def test_an_eni_is_created_with_its_first_addresses_and_tags(ec2: Ec2, script: Ec2Script) -> None:
    script.say("CreateNetworkInterface", ok("CreateNetworkInterface", CREATED))
    created = ec2.create_eni(NEW)
    assert (created.id, created.mac) == (ENI, "02:00:00:00:00:01")
    assert created.primary_address == IPv4Address("10.0.1.10")
    assert created.blocks == (block("10.0.1.11/32"), block("10.0.1.32/28"))
    [said] = script.sayings("CreateNetworkInterface")
    assert said.pop("ClientToken")
    assert said == {
        "Description": "aws-K8S-i-1",
        "SecondaryPrivateIpAddressCount": "2",
        "SecurityGroupId.1": "sg-1",
        "SecurityGroupId.2": "sg-2",
        "SubnetId": "subnet-1",
        "TagSpecification.1.ResourceType": "network-interface",
        "TagSpecification.1.Tag.1.Key": "a",
        "TagSpecification.1.Tag.1.Value": "b & <c>",
        "TagSpecification.1.Tag.2.Key": "node.k8s.amazonaws.com/instance_id",
        "TagSpecification.1.Tag.2.Value": "i-1",
    }


def test_attach_names_the_card(ec2: Ec2, script: Ec2Script) -> None:
    script.say(
        "AttachNetworkInterface", ok("AttachNetworkInterface", "<attachmentId>eni-attach-1</attachmentId>")
    )
    assert ec2.attach(ENI, "i-1", 2, 1) == "eni-attach-1"
    assert script.sayings("AttachNetworkInterface") == [
        {"DeviceIndex": "2", "InstanceId": "i-1", "NetworkCardIndex": "1", "NetworkInterfaceId": ENI}
    ]


def test_the_small_calls(ec2: Ec2, script: Ec2Script) -> None:
    for action in ("ModifyNetworkInterfaceAttribute", "DetachNetworkInterface", "DeleteNetworkInterface"):
        script.say(action, ok(action))
    ec2.delete_on_termination(ENI, "eni-attach-1")
    ec2.detach("eni-attach-1")
    ec2.delete_eni(ENI)
    assert script.sayings("ModifyNetworkInterfaceAttribute") == [
        {
            "NetworkInterfaceId": ENI,
            "Attachment.AttachmentId": "eni-attach-1",
            "Attachment.DeleteOnTermination": "true",
        }
    ]
    assert script.sayings("DetachNetworkInterface") == [{"AttachmentId": "eni-attach-1"}]
    assert script.sayings("DeleteNetworkInterface") == [{"NetworkInterfaceId": ENI}]


def test_deleting_what_is_gone_is_fine_and_what_is_in_use_is_not(ec2: Ec2, script: Ec2Script) -> None:
    gone = error(
        "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID 'eni-00000001' does not exist"
    )
    script.say("DeleteNetworkInterface", gone, error("InvalidParameterValue", "in use"))
    ec2.delete_eni(ENI)
    with pytest.raises(Ec2Error, match="in use") as caught:
        ec2.delete_eni(ENI)
    assert caught.value.refusal.reason is Reason.EC2_ERROR


def test_enis_are_described_page_by_page_by_filter(ec2: Ec2, script: Ec2Script) -> None:
    attached = eni_item(
        "eni-2",
        status="in-use",
        attachment="""<attachment><attachmentId>eni-attach-2</attachmentId><instanceId>i-1</instanceId>
          <deviceIndex>1</deviceIndex><networkCardIndex>3</networkCardIndex><status>attached</status></attachment>""",
        more="""<privateIpAddress>10.0.1.20</privateIpAddress><description>aws-K8S-i-1</description>
          <interfaceType>interface</interfaceType>
          <groupSet><item><groupId>sg-1</groupId></item></groupSet>
          <tagSet><item><key>k</key><value>v</value></item></tagSet>
          <privateIpAddressesSet>
            <item><privateIpAddress>10.0.1.20</privateIpAddress><primary>true</primary></item>
            <item><privateIpAddress>10.0.1.21</privateIpAddress><primary>false</primary></item>
          </privateIpAddressesSet>""",
    )
    free = eni_item("eni-1", more="<interfaceType>efa-only</interfaceType>")
    script.say(
        "DescribeNetworkInterfaces",
        ok(
            "DescribeNetworkInterfaces",
            f"<networkInterfaceSet>{free}</networkInterfaceSet><nextToken>T</nextToken>",
        ),
        ok("DescribeNetworkInterfaces", f"<networkInterfaceSet>{attached}</networkInterfaceSet>"),
    )
    two, one = ec2.describe_enis([EniId("eni-1"), EniId("eni-2")])
    assert (two.id, two.status, two.subnet, two.mac) == ("eni-2", "in-use", "subnet-1", "02:00:00:00:00:02")
    assert two.attachment == EniAttachment("eni-attach-2", "i-1", 1, 3, "attached")
    assert (two.primary_address, two.blocks) == (IPv4Address("10.0.1.20"), (block("10.0.1.21/32"),))
    assert (two.tags, two.groups, two.description) == ({"k": "v"}, ("sg-1",), "aws-K8S-i-1")
    assert (one.attachment, one.primary_address, one.interface_type) == (None, None, "efa-only")
    first, second = script.sayings("DescribeNetworkInterfaces")
    filters = {
        "Filter.1.Name": "network-interface-id",
        "Filter.1.Value.1": "eni-1",
        "Filter.1.Value.2": "eni-2",
    }
    assert first == filters
    assert second == {**filters, "NextToken": "T"}


def test_enis_of_an_instance(ec2: Ec2, script: Ec2Script) -> None:
    script.say("DescribeNetworkInterfaces", ok("DescribeNetworkInterfaces", "<networkInterfaceSet/>"))
    assert ec2.describe_enis(instance="i-1") == ()
    assert script.sayings("DescribeNetworkInterfaces") == [
        {"Filter.1.Name": "attachment.instance-id", "Filter.1.Value.1": "i-1"}
    ]
    with pytest.raises(ValueError, match="every ENI"):
        ec2.describe_enis()


def test_subnets_come_with_the_emptiest_first(ec2: Ec2, script: Ec2Script) -> None:
    def item(name: str, free: int, tag: str = "") -> str:
        return f"""<item><subnetId>{name}</subnetId><cidrBlock>10.0.1.0/24</cidrBlock>
          <availabilityZone>z</availabilityZone><availableIpAddressCount>{free}</availableIpAddressCount>{tag}</item>"""

    tag = "<tagSet><item><key>kubernetes.io/role/cni</key><value>1</value></item></tagSet>"
    script.say(
        "DescribeSubnets",
        ok("DescribeSubnets", f"<subnetSet>{item('subnet-1', 5)}</subnetSet><nextToken>T</nextToken>"),
        ok("DescribeSubnets", f"<subnetSet>{item('subnet-2', 99, tag)}</subnetSet>"),
    )
    two, one = ec2.describe_subnets("vpc-1", "z")
    assert (two.id, two.free_addresses, two.zone) == ("subnet-2", 99, "z")
    assert (two.cidr, two.tags) == (IPv4Network("10.0.1.0/24"), {"kubernetes.io/role/cni": "1"})
    assert (one.id, one.tags) == ("subnet-1", {})
    assert script.sayings("DescribeSubnets")[0] == {
        "Filter.1.Name": "vpc-id",
        "Filter.1.Value.1": "vpc-1",
        "Filter.2.Name": "availability-zone",
        "Filter.2.Value.1": "z",
    }


def test_the_limits_of_a_type_that_the_table_lacks(ec2: Ec2, script: Ec2Script) -> None:
    item = """<item><instanceType>x9.large</instanceType><hypervisor>nitro</hypervisor><bareMetal>false</bareMetal>
      <vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo>
      <networkInfo><maximumNetworkInterfaces>3</maximumNetworkInterfaces>
        <ipv4AddressesPerInterface>10</ipv4AddressesPerInterface>
        <defaultNetworkCardIndex>0</defaultNetworkCardIndex><networkCards>
          <item><networkCardIndex>0</networkCardIndex><maximumNetworkInterfaces>3</maximumNetworkInterfaces></item>
        </networkCards></networkInfo></item>"""
    script.say(
        "DescribeInstanceTypes",
        ok("DescribeInstanceTypes", f"<instanceTypeSet>{item}</instanceTypeSet>"),
        ok("DescribeInstanceTypes", "<instanceTypeSet/>"),
    )
    limits = ec2.instance_limits("x9.large")
    assert (limits.type, limits.max_enis, limits.ipv4_per_eni) == ("x9.large", 3, 10)
    assert (limits.hypervisor, limits.vcpus, limits.max_pods()) == (Hypervisor.NITRO, 2, 29)
    with pytest.raises(Ec2Error, match="no such type"):
        ec2.instance_limits("x9.large")
