"""The region's values as EC2 describes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from vpclab.region.region import Region
from vpclab.region.values import (
    Instance,
    NetworkInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Tags,
    Vpc,
)


def tag_set(tags: Tags) -> list[dict[str, str]]:
    """Tags as a list."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def moment(seconds: float) -> datetime:
    """A time as it travels."""
    return datetime.fromtimestamp(int(seconds), UTC)


def private_dns(region: Region, address: object) -> str:
    """ip-192-168-1-10.ap-northeast-2.compute.internal."""
    return f"ip-{str(address).replace('.', '-')}.{region.name}.compute.internal"


def vpc(region: Region, value: Vpc) -> dict[str, Any]:
    """One item of DescribeVpcs."""
    return {
        "VpcId": value.id,
        "CidrBlock": str(value.cidrs[0]),
        "CidrBlockAssociationSet": [
            {
                "AssociationId": f"vpc-cidr-assoc-{number}",
                "CidrBlock": str(cidr),
                "CidrBlockState": {"State": "associated"},
            }
            for number, cidr in enumerate(value.cidrs)
        ],
        "State": "available",
        "IsDefault": False,
        "InstanceTenancy": "default",
        "OwnerId": region.account,
        "Tags": tag_set(value.tags),
    }


def subnet(region: Region, value: Subnet) -> dict[str, Any]:
    """One item of DescribeSubnets."""
    return {
        "SubnetId": value.id,
        "VpcId": value.vpc_id,
        "CidrBlock": str(value.cidr),
        "AvailabilityZone": value.zone,
        "AvailableIpAddressCount": region.available_addresses(value.id),
        "MapPublicIpOnLaunch": value.map_public_ip_on_launch,
        "State": "available",
        "DefaultForAz": False,
        "OwnerId": region.account,
        "Tags": tag_set(value.tags),
    }


def interface(region: Region, value: NetworkInterface) -> dict[str, Any]:
    """One item of DescribeNetworkInterfaces."""
    public = {"PublicIp": str(value.public_ip), "IpOwnerId": "amazon"} if value.public_ip else None
    addresses: list[dict[str, Any]] = [
        {
            "PrivateIpAddress": str(address),
            "Primary": address == value.primary,
            "PrivateDnsName": private_dns(region, address),
        }
        for address in (value.primary, *value.secondary)
    ]
    if public:
        addresses[0]["Association"] = public
    described: dict[str, Any] = {
        "NetworkInterfaceId": value.id,
        "MacAddress": value.mac,
        "VpcId": value.vpc_id,
        "SubnetId": value.subnet_id,
        "AvailabilityZone": value.zone,
        "PrivateIpAddress": str(value.primary),
        "PrivateDnsName": private_dns(region, value.primary),
        "PrivateIpAddresses": addresses,
        "Groups": [{"GroupId": group, "GroupName": region.groups[group].name} for group in value.groups],
        "Status": value.status.value,
        "InterfaceType": "interface",
        "SourceDestCheck": value.source_dest_check,
        "Description": value.description,
        "OwnerId": region.account,
        "RequesterManaged": False,
        "TagSet": tag_set(value.tags),
        "Association": public,
        "Ipv4Prefixes": [{"Ipv4Prefix": str(prefix)} for prefix in value.prefixes] or None,
    }
    attachment = value.attachment
    if attachment is not None:
        described["Attachment"] = {
            "AttachmentId": attachment.id,
            "InstanceId": attachment.instance_id,
            "InstanceOwnerId": region.account,
            "DeviceIndex": attachment.device_index,
            "NetworkCardIndex": attachment.network_card,
            "Status": attachment.status.value,
            "AttachTime": moment(attachment.attached_at),
            "DeleteOnTermination": attachment.delete_on_termination,
        }
    return described


def instance(region: Region, value: Instance) -> dict[str, Any]:
    """One item of an instance list."""
    enis = region.enis_of(value.id)
    primary = enis[0] if enis else None
    described: dict[str, Any] = {
        "InstanceId": value.id,
        "InstanceType": value.type,
        "ImageId": "ami-0lab000000000000a",
        "State": {"Code": STATE_CODES[value.state.value], "Name": value.state.value},
        "LaunchTime": moment(value.launched_at),
        "Placement": {"AvailabilityZone": value.zone, "Tenancy": "default"},
        "VpcId": value.vpc_id,
        "SubnetId": value.subnet_id,
        "Architecture": "x86_64",
        "Hypervisor": "xen",
        "NetworkInterfaces": [interface(region, eni) for eni in enis],
        "Tags": tag_set(value.tags),
    }
    if primary is not None:
        described |= {
            "PrivateIpAddress": str(primary.primary),
            "PrivateDnsName": private_dns(region, primary.primary),
            "PublicIpAddress": str(primary.public_ip) if primary.public_ip else None,
            "SecurityGroups": [{"GroupId": g, "GroupName": region.groups[g].name} for g in primary.groups],
            "SourceDestCheck": primary.source_dest_check,
        }
    return described


STATE_CODES: Mapping[str, int] = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48}


def group(region: Region, value: SecurityGroup) -> dict[str, Any]:
    """One item of DescribeSecurityGroups."""
    return {
        "GroupId": value.id,
        "GroupName": value.name,
        "Description": value.description,
        "VpcId": value.vpc_id,
        "OwnerId": region.account,
        "IpPermissions": [_permission(region, rule) for rule in value.ingress],
        "IpPermissionsEgress": [_permission(region, rule) for rule in value.egress],
        "Tags": tag_set(value.tags),
    }


def _permission(region: Region, rule: SecurityGroupRule) -> dict[str, Any]:
    described: dict[str, Any] = {
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
    }
    if rule.cidr is not None:
        described["IpRanges"] = [{"CidrIp": str(rule.cidr)}]
    if rule.group_id is not None:
        described["UserIdGroupPairs"] = [{"GroupId": rule.group_id, "UserId": region.account}]
    return described
