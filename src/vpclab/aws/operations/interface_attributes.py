"""One attribute of an ENI at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import Parameters, operation
from vpclab.region.errors import invalid
from vpclab.region.region import Region


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeNetworkInterfaceAttribute."""
    eni = region.eni(p["NetworkInterfaceId"])
    shown = items.network_interface(region, eni)
    known: Mapping[str, dict[str, Any]] = {
        "description": {"Description": {"Value": eni.description}},
        "groupSet": {"Groups": shown["Groups"]},
        "sourceDestCheck": {"SourceDestCheck": {"Value": eni.source_dest_check}},
        "attachment": {"Attachment": shown["Attachment"]},
        "associatePublicIpAddress": {"AssociatePublicIpAddress": False},
    }
    wanted = args.one_of(p, "Attribute")
    if wanted not in known:
        raise invalid(
            f"Value ({wanted}) for parameter attribute is invalid. Unknown network interface attribute"
        )
    return {"NetworkInterfaceId": eni.id, **known[wanted]}


def reset(region: Region, p: Parameters) -> dict[str, Any]:
    """ResetNetworkInterfaceAttribute: the source and destination check is on again."""
    region.modify_network_interface(p["NetworkInterfaceId"], source_dest_check=True)
    return {}


OPERATIONS = {
    "DescribeNetworkInterfaceAttribute": operation(describe, "NetworkInterfaceId", "Attribute"),
    "ResetNetworkInterfaceAttribute": operation(reset, "NetworkInterfaceId", "SourceDestCheck"),
}
