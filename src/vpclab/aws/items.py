"""The region's values as the Describe calls of EC2 show them."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from vpccni.ipam.limits import Hypervisor, InstanceLimits
from vpclab.region.imds import IMAGE, private_name, public_name, reservation_id, zone_id
from vpclab.region.imds_documents import ARCHITECTURE
from vpclab.region.readers import STATE_CODES
from vpclab.region.region import Region
from vpclab.region.security_groups import Direction
from vpclab.region.values import (
    Instance,
    InstanceState,
    InternetGateway,
    MetadataOptions,
    NetworkInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Tags,
    Vpc,
)

Item = dict[str, Any]


OLD_FAMILIES = frozenset({"t1", "m1", "c1", "t2", "m3", "c3"})
"""Whose types also run 32-bit images."""


def tag_set(tags: Tags) -> list[Item]:
    """Tags as a list, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def moment(seconds: float) -> dt.datetime:
    """A time of the region's as a date."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def state(of: InstanceState) -> Item:
    """An instance's state."""
    return {"Code": STATE_CODES[of], "Name": of.value}


def derived_id(prefix: str, *parts: object) -> str:
    """The id of something that the region does not keep by itself, such as a rule: from what it is made of."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
    return f"{prefix}-0{digest[:16]}"


def dhcp_options_id(region: Region) -> str:
    """The region's one set of DHCP options."""
    return derived_id("dopt", region.account, region.name)


def arn(region: Region, kind: str, identifier: str) -> str:
    """An EC2 resource's ARN."""
    return f"arn:aws:ec2:{region.name}:{region.account}:{kind}/{identifier}"


def vpc(region: Region, value: Vpc) -> Item:
    """One of DescribeVpcs."""
    return {
        "OwnerId": region.account,
        "InstanceTenancy": "default",
        "CidrBlockAssociationSet": cidr_associations(value),
        "IsDefault": False,
        "Ipv6CidrBlockAssociationSet": ipv6_associations(value) or None,
        "Tags": tag_set(value.tags),
        "VpcId": value.id,
        "State": "available",
        "CidrBlock": value.cidrs[0],
        "DhcpOptionsId": dhcp_options_id(region),
    }


def cidr_association_id(value: Vpc, cidr: IPv4Network) -> str:
    """The id by which a VPC's CIDR block is disassociated."""
    return derived_id("vpc-cidr-assoc", value.id, cidr)


def cidr_associations(value: Vpc) -> list[Item]:
    """A VPC's CIDR blocks."""
    return [
        {
            "AssociationId": cidr_association_id(value, cidr),
            "CidrBlock": cidr,
            "CidrBlockState": {"State": "associated"},
        }
        for cidr in value.cidrs
    ]


def ipv6_associations(value: Vpc) -> list[Item]:
    """A VPC's IPv6 CIDR blocks."""
    return [
        {
            "AssociationId": derived_id("vpc-cidr-assoc", value.id, cidr),
            "Ipv6CidrBlock": cidr,
            "Ipv6CidrBlockState": {"State": "associated"},
            "Ipv6Pool": "Amazon",
        }
        for cidr in value.ipv6_cidrs
    ]


def subnet_ipv6(value: Subnet) -> list[Item]:
    """A subnet's IPv6 CIDR block."""
    if value.ipv6_cidr is None:
        return []
    return [
        {
            "AssociationId": derived_id("subnet-cidr-assoc", value.id, value.ipv6_cidr),
            "Ipv6CidrBlock": value.ipv6_cidr,
            "Ipv6CidrBlockState": {"State": "associated"},
        }
    ]


def subnet(region: Region, value: Subnet) -> Item:
    """One of DescribeSubnets."""
    return {
        "AvailabilityZone": value.zone,
        "AvailabilityZoneId": zone_id(value.zone),
        "AvailableIpAddressCount": region.free_addresses(value.id),
        "CidrBlock": value.cidr,
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": value.map_public_ip_on_launch,
        "AssignIpv6AddressOnCreation": value.ipv6_on_creation,
        "OwnerId": region.account,
        "State": "available",
        "SubnetArn": arn(region, "subnet", value.id),
        "SubnetId": value.id,
        "VpcId": value.vpc_id,
        "Tags": tag_set(value.tags),
        "Ipv6CidrBlockAssociationSet": subnet_ipv6(value),
        "Ipv6Native": False,
    }


def internet_gateway(region: Region, value: InternetGateway) -> Item:
    """One of DescribeInternetGateways."""
    return {
        "Attachments": [{"State": "available", "VpcId": value.vpc_id}] if value.vpc_id else [],
        "InternetGatewayId": value.id,
        "OwnerId": region.account,
        "Tags": tag_set(value.tags),
    }


def groups(region: Region, ids: Iterable[str]) -> list[Item]:
    """Security groups as ENIs and instances name them."""
    return [{"GroupId": key, "GroupName": region.groups[key].name} for key in ids if key in region.groups]


def security_group(region: Region, value: SecurityGroup) -> Item:
    """One of DescribeSecurityGroups."""
    return {
        "GroupId": value.id,
        "GroupName": value.name,
        "Description": value.description,
        "VpcId": value.vpc_id,
        "OwnerId": region.account,
        "SecurityGroupArn": arn(region, "security-group", value.id),
        "IpPermissions": _permissions(region, value.ingress),
        "IpPermissionsEgress": _permissions(region, value.egress),
        "Tags": tag_set(value.tags),
    }


def rule(region: Region, group: SecurityGroup, direction: Direction, value: SecurityGroupRule) -> Item:
    """One of the rules that Authorize… and Revoke… answer with."""
    referenced = {"GroupId": value.group_id, "UserId": region.account} if value.group_id else None
    return {
        "SecurityGroupRuleId": value.id,
        "SecurityGroupRuleArn": arn(region, "security-group-rule", value.id),
        "GroupId": group.id,
        "GroupOwnerId": region.account,
        "IsEgress": direction == "egress",
        "IpProtocol": value.protocol,
        "FromPort": -1 if value.from_port is None else value.from_port,
        "ToPort": -1 if value.to_port is None else value.to_port,
        "CidrIpv4": value.cidr if isinstance(value.cidr, IPv4Network) else None,
        "CidrIpv6": value.cidr if isinstance(value.cidr, IPv6Network) else None,
        "ReferencedGroupInfo": referenced,
        "Description": value.description or None,
        "Tags": tag_set(value.tags),
    }


def network_interface(region: Region, value: NetworkInterface) -> Item:
    """One of DescribeNetworkInterfaces."""
    return {
        "NetworkInterfaceId": value.id,
        "SubnetId": value.subnet_id,
        "VpcId": value.vpc_id,
        "AvailabilityZone": value.zone,
        "AvailabilityZoneId": zone_id(value.zone),
        "Description": value.description,
        "OwnerId": region.account,
        "RequesterManaged": value.interface_type != "interface",
        "Status": value.status.value,
        "MacAddress": value.mac,
        "PrivateIpAddress": value.primary,
        "PrivateDnsName": private_name(region, value),
        "SourceDestCheck": value.source_dest_check,
        "Groups": groups(region, value.groups),
        "Attachment": _attachment(region, value, of_instance=False),
        "Association": _association(region, value),
        "TagSet": tag_set(value.tags),
        "PrivateIpAddresses": _addresses(region, value),
        "Ipv4Prefixes": [{"Ipv4Prefix": prefix} for prefix in value.prefixes] or None,
        "Ipv6Addresses": _ipv6_addresses(value),
        "Ipv6Prefixes": _ipv6_prefixes(value),
        "Ipv6Address": next(iter(value.ipv6), None),
        "InterfaceType": value.interface_type,
    }


def instance(region: Region, value: Instance) -> Item:
    """One of DescribeInstances, without its reservation."""
    item: Item = {
        "InstanceId": value.id,
        "ImageId": value.image_id or IMAGE,
        "State": state(value.state),
        "AmiLaunchIndex": 0,
        "InstanceType": value.type,
        "LaunchTime": moment(value.launched_at),
        "Placement": {"AvailabilityZone": value.zone, "GroupName": "", "Tenancy": "default"},
        "Monitoring": {"State": "disabled"},
        "Architecture": ARCHITECTURE,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",  # what EC2 says here of Nitro instances too
        "EnaSupport": True,
        "EbsOptimized": False,
        "Tags": tag_set(value.tags),
        "SecurityGroups": [],
        "NetworkInterfaces": [],
    }
    enis = region.enis_of(value.id)
    if not enis:  # terminated
        return item
    primary = enis[0]
    return item | {
        "SubnetId": value.subnet_id,
        "VpcId": value.vpc_id,
        "PrivateIpAddress": primary.primary,
        "PrivateDnsName": private_name(region, primary),
        "PublicIpAddress": primary.public_ip,
        "PublicDnsName": public_name(region, primary),
        "Ipv6Address": next(iter(primary.ipv6), None),
        "SourceDestCheck": primary.source_dest_check,
        "SecurityGroups": groups(region, primary.groups),
        "NetworkInterfaces": [_instance_interface(region, eni) for eni in enis],
        "MetadataOptions": metadata_options(value.metadata),
    }


def metadata_options(of: MetadataOptions) -> Item:
    """An instance's."""
    return {
        "State": "applied",
        "HttpTokens": "required" if of.tokens_required else "optional",
        "HttpPutResponseHopLimit": of.hop_limit,
        "HttpEndpoint": _enabled(of.enabled),
        "HttpProtocolIpv6": _enabled(of.ipv6),
        "InstanceMetadataTags": _enabled(of.tags),
    }


def _enabled(what: bool) -> str:
    return "enabled" if what else "disabled"


def reservation(region: Region, instances: Iterable[Instance]) -> Item:
    """Instances that were launched together."""
    made = list(instances)
    return {
        "ReservationId": reservation_id(made[0]),
        "OwnerId": region.account,
        "Groups": [],
        "Instances": [instance(region, one) | {"AmiLaunchIndex": n} for n, one in enumerate(made)],
    }


def architectures(instance_type: str) -> tuple[str, ...]:
    """Of a type's processors: Graviton's have a g among the letters behind the generation (EC2 user guide, naming)."""
    family = instance_type.partition(".")[0]
    letters = re.match(r"[a-z-]+\d+([a-z-]*)", family)
    if family == "a1" or (letters is not None and "g" in letters[1]):
        return ("arm64",)
    if family.startswith("mac"):
        return ("x86_64_mac",) if family == "mac1" else ("arm64_mac",)
    return ("i386", "x86_64") if family in OLD_FAMILIES else ("x86_64",)


def instance_type(limits: InstanceLimits) -> Item:
    """One of DescribeInstanceTypes: what the limits file knows."""
    return {
        "InstanceType": limits.type,
        "CurrentGeneration": True,
        "BareMetal": limits.bare_metal,
        "Hypervisor": None if limits.hypervisor is Hypervisor.UNKNOWN else limits.hypervisor.value,
        "BurstablePerformanceSupported": limits.type.startswith("t"),
        "ProcessorInfo": {"SupportedArchitectures": list(architectures(limits.type))},
        "SupportedUsageClasses": ["on-demand", "spot"],
        "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"],
        "VCpuInfo": {"DefaultVCpus": limits.vcpus},
        "NetworkInfo": {
            "MaximumNetworkInterfaces": sum(card.max_enis for card in limits.network_cards),
            "MaximumNetworkCards": len(limits.network_cards),
            "DefaultNetworkCardIndex": limits.network_cards[0].index,
            "NetworkCards": [
                {"NetworkCardIndex": card.index, "MaximumNetworkInterfaces": card.max_enis}
                for card in sorted(limits.network_cards, key=lambda card: card.index)
            ],
            "Ipv4AddressesPerInterface": limits.ipv4_per_eni,
            "Ipv6AddressesPerInterface": limits.ipv4_per_eni,
            "Ipv6Supported": True,
        },
    }


def _instance_interface(region: Region, eni: NetworkInterface) -> Item:
    return {
        "Association": _association(region, eni),
        "Attachment": _attachment(region, eni, of_instance=True),
        "Description": eni.description,
        "Groups": groups(region, eni.groups),
        "MacAddress": eni.mac,
        "NetworkInterfaceId": eni.id,
        "OwnerId": region.account,
        "PrivateDnsName": private_name(region, eni),
        "PrivateIpAddress": eni.primary,
        "PrivateIpAddresses": _addresses(region, eni),
        "Ipv4Prefixes": [{"Ipv4Prefix": prefix} for prefix in eni.prefixes] or None,
        "Ipv6Addresses": _ipv6_addresses(eni),
        "Ipv6Prefixes": _ipv6_prefixes(eni),
        "SourceDestCheck": eni.source_dest_check,
        "Status": eni.status.value,
        "SubnetId": eni.subnet_id,
        "VpcId": eni.vpc_id,
        "InterfaceType": "interface",
    }


def _attachment(region: Region, eni: NetworkInterface, *, of_instance: bool) -> Item | None:
    attachment = eni.attachment
    if attachment is None:
        return None
    item: Item = {
        "AttachTime": moment(attachment.attached_at),
        "AttachmentId": attachment.id,
        "DeleteOnTermination": attachment.delete_on_termination,
        "DeviceIndex": attachment.device_index,
        "NetworkCardIndex": attachment.network_card,
        "Status": attachment.status.value,
    }
    if not of_instance:
        item |= {"InstanceId": attachment.instance_id, "InstanceOwnerId": region.account}
    return item


def _association(region: Region, eni: NetworkInterface) -> Item | None:
    """None without a public address: an empty one would be an association to some clients."""
    if eni.public_ip is None:
        return None
    return {"IpOwnerId": "amazon", "PublicDnsName": public_name(region, eni), "PublicIp": eni.public_ip}


def _addresses(region: Region, eni: NetworkInterface) -> list[Item]:
    def one(address: IPv4Address) -> Item:
        name = f"ip-{str(address).replace('.', '-')}.{region.name}.compute.internal"
        return {"Primary": address == eni.primary, "PrivateIpAddress": address, "PrivateDnsName": name}

    first = one(eni.primary) | {"Association": _association(region, eni)}
    return [first, *map(one, eni.secondary)]


def _ipv6_addresses(eni: NetworkInterface) -> list[Item]:
    return [{"Ipv6Address": address, "IsPrimaryIpv6": False} for address in eni.ipv6]


def _ipv6_prefixes(eni: NetworkInterface) -> list[Item] | None:
    return [{"Ipv6Prefix": prefix} for prefix in eni.ipv6_prefixes] or None


def _permissions(region: Region, rules: Iterable[SecurityGroupRule]) -> list[Item]:
    """Rules of one protocol and port range are one permission."""
    merged: dict[tuple[str, int | None, int | None], Item] = {}
    for one in rules:
        permission = merged.setdefault(
            (one.protocol, one.from_port, one.to_port),
            {
                "IpProtocol": one.protocol,
                "FromPort": one.from_port,
                "ToPort": one.to_port,
                "UserIdGroupPairs": [],
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
            },
        )
        if isinstance(one.cidr, IPv6Network):
            permission["Ipv6Ranges"].append({"CidrIpv6": one.cidr, "Description": one.description or None})
        elif one.cidr is not None:
            permission["IpRanges"].append({"CidrIp": one.cidr, "Description": one.description or None})
        else:
            permission["UserIdGroupPairs"].append(
                {"GroupId": one.group_id, "UserId": region.account, "Description": one.description or None}
            )
    return list(merged.values())
