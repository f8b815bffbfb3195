"""ENIs and their addresses: the calls that an ipam daemon lives on."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.aws.operations.ipv6 import WANTED, wanted6
from vpclab.region.claims import Wanted
from vpclab.region.errors import contradiction
from vpclab.region.region import Region
from vpclab.region.values import ApiError


def assign(region: Region, p: Parameters) -> dict[str, Any]:
    """AssignPrivateIpAddresses: the answer has only what is new."""
    wanted = Wanted(
        count=p.get("SecondaryPrivateIpAddressCount", 0),
        addresses=args.addresses(p.get("PrivateIpAddresses", ())),
        prefix_count=p.get("Ipv4PrefixCount", 0),
        prefixes=args.prefixes(p.get("Ipv4Prefixes", ())),
    )
    claimed = region.assign_private_ip_addresses(
        p["NetworkInterfaceId"], wanted, allow_reassignment=p.get("AllowReassignment", False)
    )
    return {
        "NetworkInterfaceId": p["NetworkInterfaceId"],
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": one} for one in claimed.addresses],
        "AssignedIpv4Prefixes": [{"Ipv4Prefix": one} for one in claimed.prefixes],
    }


def unassign(region: Region, p: Parameters) -> dict[str, Any]:
    """UnassignPrivateIpAddresses."""
    region.unassign_private_ip_addresses(
        p["NetworkInterfaceId"],
        addresses=args.addresses(p.get("PrivateIpAddresses", ())),
        prefixes=args.prefixes(p.get("Ipv4Prefixes", ())),
    )
    return {}


def create(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateNetworkInterface."""
    if p.get("InterfaceType", "interface") != "interface":
        raise ApiError(
            "UnsupportedOperation", f"The lab makes no network interface of type {p['InterfaceType']}."
        )
    primary, secondary = _explicit(p)
    wanted = Wanted(
        count=p.get("SecondaryPrivateIpAddressCount", 0),
        addresses=secondary,
        prefix_count=p.get("Ipv4PrefixCount", 0),
        prefixes=args.prefixes(entry["Ipv4Prefix"] for entry in p.get("Ipv4Prefixes", ())),
    )
    eni = region.create_network_interface(
        p["SubnetId"],
        groups=tuple(p.get("Groups", ())),
        private_ip=primary,
        wanted=wanted,
        wanted6=wanted6(p),
        description=p.get("Description", ""),
        tags=args.tags_for(p, "network-interface"),
    )
    # EC2 answers before it has finished; the next describe says available.
    return {"NetworkInterface": items.network_interface(region, eni) | {"Status": "pending"}}


def _explicit(p: Parameters) -> tuple[IPv4Address | None, tuple[IPv4Address, ...]]:
    listed = [
        (args.address(e["PrivateIpAddress"]), e.get("Primary", False))
        for e in p.get("PrivateIpAddresses", ())
    ]
    primaries = [one for one, is_primary in listed if is_primary]
    if "PrivateIpAddress" in p:
        primaries.append(args.address(p["PrivateIpAddress"]))
    if len(primaries) > 1:
        raise contradiction("Only one primary private IP address can be specified")
    return next(iter(primaries), None), tuple(one for one, is_primary in listed if not is_primary)


def attach(region: Region, p: Parameters) -> dict[str, Any]:
    """AttachNetworkInterface."""
    card = p.get("NetworkCardIndex", 0)
    attachment = region.attach_network_interface(
        p["NetworkInterfaceId"], p["InstanceId"], p["DeviceIndex"], network_card=card
    )
    return {"AttachmentId": attachment.id, "NetworkCardIndex": card}


def detach(region: Region, p: Parameters) -> dict[str, Any]:
    """DetachNetworkInterface."""
    region.detach_network_interface(p["AttachmentId"], force=p.get("Force", False))
    return {}


def delete(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteNetworkInterface."""
    region.delete_network_interface(p["NetworkInterfaceId"])
    return {}


def modify(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyNetworkInterfaceAttribute."""
    attachment = p.get("Attachment", {})
    on_termination = None
    if "DeleteOnTermination" in attachment:
        on_termination = (args.one_of(attachment, "AttachmentId"), attachment["DeleteOnTermination"])
    region.modify_network_interface(
        p["NetworkInterfaceId"],
        description=p.get("Description", {}).get("Value"),
        groups=p.get("Groups"),
        source_dest_check=p.get("SourceDestCheck", {}).get("Value"),
        delete_on_termination=on_termination,
    )
    return {}


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeNetworkInterfaces."""
    page = region.describe.network_interfaces(args.query(p, "NetworkInterfaceIds"))
    return {
        "NetworkInterfaces": [items.network_interface(region, eni) for eni in page.items],
        "NextToken": page.next_token,
    }


OPERATIONS = {
    "AssignPrivateIpAddresses": operation(
        assign,
        "NetworkInterfaceId",
        "SecondaryPrivateIpAddressCount",
        "PrivateIpAddresses",
        "Ipv4PrefixCount",
        "Ipv4Prefixes",
        "AllowReassignment",
    ),
    "UnassignPrivateIpAddresses": operation(
        unassign, "NetworkInterfaceId", "PrivateIpAddresses", "Ipv4Prefixes"
    ),
    "CreateNetworkInterface": operation(
        create,
        "SubnetId",
        "Groups",
        "PrivateIpAddress",
        "PrivateIpAddresses",
        "SecondaryPrivateIpAddressCount",
        "Ipv4PrefixCount",
        "Ipv4Prefixes",
        *WANTED,
        "InterfaceType",
        "Description",
        "TagSpecifications",
    ),
    "AttachNetworkInterface": operation(
        attach, "NetworkInterfaceId", "InstanceId", "DeviceIndex", "NetworkCardIndex"
    ),
    "DetachNetworkInterface": operation(detach, "AttachmentId", "Force"),
    "DeleteNetworkInterface": operation(delete, "NetworkInterfaceId"),
    "ModifyNetworkInterfaceAttribute": operation(
        modify, "NetworkInterfaceId", "Description", "Groups", "SourceDestCheck", "Attachment"
    ),
    "DescribeNetworkInterfaces": operation(describe, "NetworkInterfaceIds", *PAGED),
}
