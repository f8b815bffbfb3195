"""EC2's operations: from typed parameters to the region and back, one small function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from vpccni.ipam.limits import InstanceLimits, known_limits, known_types
from vpclab.aws import describe
from vpclab.aws.filters import page, select
from vpclab.region.region import EniRequest, Region
from vpclab.region.values import ApiError, Instance, SecurityGroupRule

Parameters = Mapping[str, Any]
Operation = Callable[[Region, Parameters], dict[str, Any]]


def assign_private_ip_addresses(region: Region, p: Parameters) -> dict[str, Any]:
    """AssignPrivateIpAddresses."""
    addresses, prefixes = region.assign_private_ip_addresses(
        _needed(p, "NetworkInterfaceId"),
        count=p.get("SecondaryPrivateIpAddressCount", 0),
        addresses=_addresses(p.get("PrivateIpAddresses", [])),
        prefix_count=p.get("Ipv4PrefixCount", 0),
        prefixes=tuple(IPv4Network(prefix) for prefix in p.get("Ipv4Prefixes", [])),
    )
    return {
        "NetworkInterfaceId": p["NetworkInterfaceId"],
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": str(a)} for a in addresses],
        "AssignedIpv4Prefixes": [{"Ipv4Prefix": str(prefix)} for prefix in prefixes],
    }


def unassign_private_ip_addresses(region: Region, p: Parameters) -> dict[str, Any]:
    """UnassignPrivateIpAddresses."""
    prefixes = tuple(IPv4Network(prefix) for prefix in p.get("Ipv4Prefixes", []))
    addresses = _addresses(p.get("PrivateIpAddresses", []))
    region.unassign_private_ip_addresses(_needed(p, "NetworkInterfaceId"), addresses, prefixes)
    return {}


def create_network_interface(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateNetworkInterface."""
    listed = p.get("PrivateIpAddresses", [])
    primary = p.get("PrivateIpAddress") or next(
        (a["PrivateIpAddress"] for a in listed if a.get("Primary")), None
    )
    request = EniRequest(
        subnet_id=_needed(p, "SubnetId"),
        groups=tuple(p.get("Groups", [])),
        description=p.get("Description", ""),
        primary=IPv4Address(primary) if primary else None,
        secondary_count=p.get("SecondaryPrivateIpAddressCount", 0),
        secondary=_addresses(a["PrivateIpAddress"] for a in listed if not a.get("Primary")),
        prefix_count=p.get("Ipv4PrefixCount", 0),
        prefixes=tuple(IPv4Network(entry["Ipv4Prefix"]) for entry in p.get("Ipv4Prefixes", [])),
        tags=_specified_tags(p, "network-interface"),
    )
    eni = region.create_network_interface(request)
    return {"NetworkInterface": describe.interface(region, eni) | {"Status": "pending"}}


def attach_network_interface(region: Region, p: Parameters) -> dict[str, Any]:
    """AttachNetworkInterface."""
    card = p.get("NetworkCardIndex", 0)
    attachment = region.attach_network_interface(
        _needed(p, "NetworkInterfaceId"), _needed(p, "InstanceId"), int(_needed(p, "DeviceIndex")), card
    )
    return {"AttachmentId": attachment.id, "NetworkCardIndex": card}


def detach_network_interface(region: Region, p: Parameters) -> dict[str, Any]:
    """DetachNetworkInterface."""
    region.detach_network_interface(_needed(p, "AttachmentId"))
    return {}


def delete_network_interface(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteNetworkInterface."""
    region.delete_network_interface(_needed(p, "NetworkInterfaceId"))
    return {}


def modify_network_interface_attribute(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyNetworkInterfaceAttribute."""
    attachment = p.get("Attachment")
    region.modify_network_interface(
        _needed(p, "NetworkInterfaceId"),
        groups=tuple(p["Groups"]) if p.get("Groups") else None,
        source_dest_check=p["SourceDestCheck"].get("Value") if p.get("SourceDestCheck") else None,
        description=p["Description"].get("Value") if p.get("Description") else None,
        delete_on_termination=(
            (attachment["AttachmentId"], attachment.get("DeleteOnTermination", False)) if attachment else None
        ),
    )
    return {}


def describe_network_interfaces(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeNetworkInterfaces."""
    for eni_id in p.get("NetworkInterfaceIds", []):
        if eni_id not in region.enis:
            raise ApiError(
                "InvalidNetworkInterfaceID.NotFound", f"The networkInterface ID '{eni_id}' does not exist"
            )
    named = p.get("NetworkInterfaceIds") or region.enis
    fields = {
        "network-interface-id": lambda e: e.id,
        "subnet-id": lambda e: e.subnet_id,
        "vpc-id": lambda e: e.vpc_id,
        "availability-zone": lambda e: e.zone,
        "status": lambda e: e.status.value,
        "description": lambda e: e.description,
        "mac-address": lambda e: e.mac,
        "group-id": lambda e: e.groups,
        "private-ip-address": lambda e: str(e.primary),
        "addresses.private-ip-address": lambda e: [str(a) for a in (e.primary, *e.secondary)],
        "association.public-ip": lambda e: str(e.public_ip) if e.public_ip else None,
        "attachment.instance-id": lambda e: e.attachment.instance_id if e.attachment else None,
        "attachment.device-index": lambda e: str(e.attachment.device_index) if e.attachment else None,
        "attachment.status": lambda e: e.attachment.status.value if e.attachment else "detached",
        "attachment.attachment-id": lambda e: e.attachment.id if e.attachment else None,
        "owner-id": lambda _: region.account,
        "interface-type": lambda _: "interface",
    }
    chosen = select((region.enis[eni_id] for eni_id in named), p, fields, lambda e: e.tags)
    found, token = page(chosen, p)
    return {"NetworkInterfaces": [describe.interface(region, eni) for eni in found], "NextToken": token}


def describe_instances(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstances."""
    for instance_id in p.get("InstanceIds", []):
        if instance_id not in region.instances:
            raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    named = p.get("InstanceIds") or region.instances

    def address(i: Instance, *, public: bool) -> str | None:
        enis = region.enis_of(i.id)
        found = (enis[0].public_ip if public else enis[0].primary) if enis else None
        return str(found) if found else None

    fields = {
        "instance-id": lambda i: i.id,
        "instance-state-name": lambda i: i.state.value,
        "instance-type": lambda i: i.type,
        "vpc-id": lambda i: i.vpc_id,
        "subnet-id": lambda i: i.subnet_id,
        "availability-zone": lambda i: i.zone,
        "private-ip-address": lambda i: address(i, public=False),
        "ip-address": lambda i: address(i, public=True),
    }
    chosen = select((region.instances[i] for i in named), p, fields, lambda i: i.tags)
    found, token = page(chosen, p)
    return {"Reservations": [_reservation(region, i) for i in found], "NextToken": token}


def run_instances(region: Region, p: Parameters) -> dict[str, Any]:
    """RunInstances."""
    cards = p.get("NetworkInterfaces") or [{}]
    subnet = p.get("SubnetId") or cards[0].get("SubnetId")
    if subnet is None:
        raise ApiError("MissingParameter", "The request must contain the parameter SubnetId")
    address = p.get("PrivateIpAddress") or cards[0].get("PrivateIpAddress")
    made = [
        region.run_instance(
            p.get("InstanceType", "t3.medium"),
            subnet,
            tuple(p.get("SecurityGroupIds") or cards[0].get("Groups") or ()),
            private_ip=IPv4Address(address) if address else None,
            tags=_specified_tags(p, "instance"),
        )
        for _ in range(int(p.get("MaxCount", 1)))
    ]
    return {
        "ReservationId": f"r-{made[0].id[2:]}",
        "OwnerId": region.account,
        "Instances": [describe.instance(region, i) for i in made],
    }


def terminate_instances(region: Region, p: Parameters) -> dict[str, Any]:
    """TerminateInstances."""
    ended = [region.terminate_instance(instance_id) for instance_id in _needed(p, "InstanceIds")]
    return {
        "TerminatingInstances": [
            {
                "InstanceId": i.id,
                "CurrentState": {"Code": 32, "Name": "shutting-down"},
                "PreviousState": {"Code": 16, "Name": "running"},
            }
            for i in ended
        ]
    }


def describe_instance_types(_: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstanceTypes."""
    names = p.get("InstanceTypes") or known_types()
    unknown = [name for name in names if known_limits(name) is None]
    if unknown:
        raise ApiError(
            "InvalidInstanceType", f"The following supplied instance types do not exist: {unknown}"
        )
    found, token = page(names, {"MaxResults": 100, **p} if not p.get("InstanceTypes") else p)
    return {
        "InstanceTypes": [_instance_type(limits) for n in found if (limits := known_limits(n))],
        "NextToken": token,
    }


def describe_subnets(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeSubnets."""
    for subnet_id in p.get("SubnetIds", []):
        if subnet_id not in region.subnets:
            raise ApiError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
    named = p.get("SubnetIds") or region.subnets
    fields = {
        "subnet-id": lambda s: s.id,
        "vpc-id": lambda s: s.vpc_id,
        "availability-zone": lambda s: s.zone,
        "cidr-block": lambda s: str(s.cidr),
        "state": lambda _: "available",
    }
    chosen = select((region.subnets[s] for s in named), p, fields, lambda s: s.tags)
    found, token = page(chosen, p)
    return {"Subnets": [describe.subnet(region, s) for s in found], "NextToken": token}


def describe_vpcs(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcs."""
    fields = {"vpc-id": lambda v: v.id, "cidr": lambda v: str(v.cidrs[0])}
    named = p.get("VpcIds") or region.vpcs
    chosen = select((region.vpcs[v] for v in named if v in region.vpcs), p, fields, lambda v: v.tags)
    return {"Vpcs": [describe.vpc(region, v) for v in chosen]}


def describe_security_groups(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeSecurityGroups."""
    for group_id in p.get("GroupIds", []):
        if group_id not in region.groups:
            raise ApiError("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
    fields = {
        "group-id": lambda g: g.id,
        "group-name": lambda g: g.name,
        "vpc-id": lambda g: g.vpc_id,
        "description": lambda g: g.description,
    }
    named = p.get("GroupIds") or region.groups
    chosen = select((region.groups[g] for g in named), p, fields, lambda g: g.tags)
    found, token = page(chosen, p)
    return {"SecurityGroups": [describe.group(region, g) for g in found], "NextToken": token}


def authorize_ingress(region: Region, p: Parameters) -> dict[str, Any]:
    """AuthorizeSecurityGroupIngress."""
    region.authorize(_needed(p, "GroupId"), _rules(p))
    return {"Return": True}


def authorize_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """AuthorizeSecurityGroupEgress."""
    region.authorize(_needed(p, "GroupId"), _rules(p), egress=True)
    return {"Return": True}


def revoke_ingress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupIngress."""
    region.revoke(_needed(p, "GroupId"), _rules(p))
    return {"Return": True}


def revoke_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupEgress."""
    region.revoke(_needed(p, "GroupId"), _rules(p), egress=True)
    return {"Return": True}


def create_tags(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateTags."""
    region.create_tags(
        _needed(p, "Resources"), {tag["Key"]: tag.get("Value", "") for tag in _needed(p, "Tags")}
    )
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "AssignPrivateIpAddresses": assign_private_ip_addresses,
    "AttachNetworkInterface": attach_network_interface,
    "AuthorizeSecurityGroupEgress": authorize_egress,
    "AuthorizeSecurityGroupIngress": authorize_ingress,
    "CreateNetworkInterface": create_network_interface,
    "CreateTags": create_tags,
    "DeleteNetworkInterface": delete_network_interface,
    "DescribeInstanceTypes": describe_instance_types,
    "DescribeInstances": describe_instances,
    "DescribeNetworkInterfaces": describe_network_interfaces,
    "DescribeSecurityGroups": describe_security_groups,
    "DescribeSubnets": describe_subnets,
    "DescribeVpcs": describe_vpcs,
    "DetachNetworkInterface": detach_network_interface,
    "ModifyNetworkInterfaceAttribute": modify_network_interface_attribute,
    "RevokeSecurityGroupEgress": revoke_egress,
    "RevokeSecurityGroupIngress": revoke_ingress,
    "RunInstances": run_instances,
    "TerminateInstances": terminate_instances,
    "UnassignPrivateIpAddresses": unassign_private_ip_addresses,
}


def _needed(p: Parameters, name: str) -> Any:
    if p.get(name) is None:
        raise ApiError("MissingParameter", f"The request must contain the parameter {name}")
    return p[name]


def _addresses(texts: Iterable[str]) -> tuple[IPv4Address, ...]:
    try:
        return tuple(IPv4Address(text) for text in texts)
    except ValueError as error:
        raise ApiError("InvalidParameterValue", str(error)) from None


def _specified_tags(p: Parameters, resource: str) -> dict[str, str]:
    specified = (s for s in p.get("TagSpecifications", []) if s.get("ResourceType") == resource)
    return {tag["Key"]: tag.get("Value", "") for s in specified for tag in s.get("Tags", [])}


def _rules(p: Parameters) -> list[SecurityGroupRule]:
    permissions = p.get("IpPermissions") or [
        {
            "IpProtocol": p.get("IpProtocol", "-1"),
            "FromPort": p.get("FromPort"),
            "ToPort": p.get("ToPort"),
            "IpRanges": [{"CidrIp": p["CidrIp"]}] if p.get("CidrIp") else [],
        }
    ]
    rules: list[SecurityGroupRule] = []
    for permission in permissions:
        protocol, ports = (
            permission.get("IpProtocol", "-1"),
            (permission.get("FromPort"), permission.get("ToPort")),
        )
        if protocol == "-1":
            ports = (None, None)
        for entry in permission.get("IpRanges", []):
            try:
                cidr = IPv4Network(entry["CidrIp"])
            except ValueError:
                raise ApiError(
                    "InvalidParameterValue", f"CIDR block {entry['CidrIp']} is malformed"
                ) from None
            rules.append(SecurityGroupRule(protocol, *ports, cidr=cidr))
        rules += [
            SecurityGroupRule(protocol, *ports, group_id=pair["GroupId"])
            for pair in permission.get("UserIdGroupPairs", [])
        ]
    if not rules:
        raise ApiError("MissingParameter", "The request must contain a source or destination")
    return rules


def _reservation(region: Region, instance: Instance) -> dict[str, Any]:
    return {
        "ReservationId": f"r-{instance.id[2:]}",
        "OwnerId": region.account,
        "Instances": [describe.instance(region, instance)],
    }


def _instance_type(limits: InstanceLimits) -> dict[str, Any]:
    return {
        "InstanceType": limits.type,
        "Hypervisor": limits.hypervisor.value if limits.hypervisor.value != "unknown" else None,
        "BareMetal": limits.bare_metal,
        "VCpuInfo": {"DefaultVCpus": limits.vcpus},
        "NetworkInfo": {
            "MaximumNetworkInterfaces": sum(card.max_enis for card in limits.network_cards),
            "Ipv4AddressesPerInterface": limits.ipv4_per_eni,
            "MaximumNetworkCards": len(limits.network_cards),
            "DefaultNetworkCardIndex": limits.network_cards[0].index,
            "NetworkCards": [
                {"NetworkCardIndex": card.index, "MaximumNetworkInterfaces": card.max_enis}
                for card in limits.network_cards
            ],
        },
    }
