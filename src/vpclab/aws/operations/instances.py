"""Instances and their types."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vpccni.ipam.limits import InstanceLimits, known_limits, known_types
from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.aws.operations.ipv6 import WANTED, wanted6
from vpclab.aws.operations.launch_templates import launch_parameters
from vpclab.aws.operations.metadata_options import metadata_options
from vpclab.aws.service import ALWAYS, Context
from vpclab.aws.service import operation as of_context
from vpclab.region.errors import contradiction, invalid
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.region import Region
from vpclab.region.values import ApiError, Instance, Tags

DEFAULT_TYPE = "m1.small"
"""What EC2 takes if a request names none."""
TYPES_PAGE = 100
"""DescribeInstanceTypes gives at most this many at once, and that many if it is not told."""


_LAUNCH = (
    "MinCount",
    "MaxCount",
    "InstanceType",
    "SubnetId",
    "SecurityGroupIds",
    "PrivateIpAddress",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "NetworkInterfaces",
    "TagSpecifications",
    "ImageId",
    "KeyName",
    "UserData",
    "IamInstanceProfile",
    "BlockDeviceMappings",
    "MetadataOptions",
    "EbsOptimized",
    "Monitoring",
)
"""What is honoured of a launch, or taken without an effect."""
_OF_INTERFACE = frozenset(
    {
        "DeviceIndex",
        "NetworkCardIndex",
        "SubnetId",
        "Groups",
        "PrivateIpAddress",
        "AssociatePublicIpAddress",
        "DeleteOnTermination",
        *WANTED,
    }
)
"""What is honoured of a launch's network interface."""


def run(context: Context, p: Parameters) -> dict[str, Any]:
    """RunInstances, with a launch template or without."""
    told = launch_parameters(context, p)
    strange = sorted(told.keys() - set(_LAUNCH) - ALWAYS)
    if strange:
        raise ApiError(
            "UnsupportedOperation", f"The lab does not emulate {', '.join(strange)} of RunInstances."
        )
    return run_region(context.region, told)


def run_region(region: Region, p: Parameters) -> dict[str, Any]:
    """Launch. The lab has one image: what concerns disks and keys is taken and has no effect."""
    if not 1 <= p["MinCount"] <= p["MaxCount"]:
        raise invalid("MinCount must be at least 1 and not above MaxCount")
    interfaces = p.get("NetworkInterfaces", ())
    if len(interfaces) > 1:
        raise ApiError("UnsupportedOperation", "The lab launches instances with one network interface.")
    if interfaces and ("SubnetId" in p or "SecurityGroupIds" in p):
        raise contradiction(
            "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request"
        )
    strange = sorted(key for one in interfaces for key in one.keys() - _OF_INTERFACE)
    if strange or any(not one.get("DeleteOnTermination", True) for one in interfaces):
        raise ApiError(
            "UnsupportedOperation",
            f"The lab launches with a plain, new interface: not {', '.join(strange) or 'one that stays'}.",
        )
    place = interfaces[0] if interfaces else p
    if "PrivateIpAddress" in place and p["MaxCount"] > 1:
        raise contradiction("A private IP address can be given to one instance only")
    launched: list[Instance] = []
    try:
        while len(launched) < p["MaxCount"]:
            launched.append(_launch(region, p, place))
    except ApiError:
        if len(launched) < p["MinCount"]:
            for instance in launched:
                region.terminate_instance(instance.id)
            raise
    return items.reservation(region, launched)


def _launch(region: Region, p: Parameters, place: Parameters) -> Instance:
    address = place.get("PrivateIpAddress")
    instance = region.run_instance(
        p.get("InstanceType", DEFAULT_TYPE),
        args.one_of(place, "SubnetId"),
        groups=tuple(place.get("Groups", place.get("SecurityGroupIds", ()))),
        tags=args.tags_for(p, "instance"),
        private_ip=None if address is None else args.address(address),
        associate_public_ip=place.get("AssociatePublicIpAddress"),
        wanted6=wanted6(place),
        image_id=p.get("ImageId", ""),
        user_data=_user_data(p.get("UserData", "")),
        metadata=metadata_options(p.get("MetadataOptions", {})),
    )
    region.create_tags((region.primary_eni(instance.id).id,), args.tags_for(p, "network-interface"))
    return instance


def _user_data(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode(errors="replace")
    except binascii.Error:
        raise invalid("Invalid BASE64 encoding of user data") from None


def terminate(region: Region, p: Parameters) -> dict[str, Any]:
    """TerminateInstances."""
    return {"TerminatingInstances": _each(region, p, region.terminate_instance)}


def stop(region: Region, p: Parameters) -> dict[str, Any]:
    """StopInstances; with or without Force it is the same here."""
    return {"StoppingInstances": _each(region, p, region.stop_instance)}


def start(region: Region, p: Parameters) -> dict[str, Any]:
    """StartInstances."""
    return {"StartingInstances": _each(region, p, region.start_instance)}


def reboot(region: Region, p: Parameters) -> dict[str, Any]:
    """RebootInstances."""
    _each(region, p, region.reboot_instance)
    return {}


def _each(region: Region, p: Parameters, change: Callable[[str], Instance]) -> list[dict[str, Any]]:
    before = [region.instance(instance_id) for instance_id in p["InstanceIds"]]
    after = [change(instance.id) for instance in before]
    return [
        {
            "InstanceId": now.id,
            "CurrentState": items.state(now.state),
            "PreviousState": items.state(was.state),
        }
        for was, now in zip(before, after, strict=True)
    ]


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstances: a reservation each."""
    page = region.describe.instances(args.query(p, "InstanceIds"))
    return {
        "Reservations": [items.reservation(region, [instance]) for instance in page.items],
        "NextToken": page.next_token,
    }


@dataclass(frozen=True, slots=True)
class _Type:
    """A type as something that filters and pages can be applied to."""

    id: str
    tags: Tags = field(default_factory=dict)


def _limits(of: _Type) -> tuple[InstanceLimits, ...]:
    found = known_limits(of.id)
    return () if found is None else (found,)


_TYPES: Mapping[str, Reader[_Type]] = {
    "instance-type": lambda t: (t.id,),
    "bare-metal": lambda t: (one.bare_metal for one in _limits(t)),
    "current-generation": lambda _: (True,),
    "hypervisor": lambda t: (one.hypervisor.value for one in _limits(t)),
    "burstable-performance-supported": lambda t: (t.id.startswith("t"),),
    "vcpu-info.default-vcpus": lambda t: (one.vcpus for one in _limits(t)),
    "processor-info.supported-architecture": lambda t: items.architectures(t.id),
    "network-info.ipv4-addresses-per-interface": lambda t: (one.ipv4_per_eni for one in _limits(t)),
    "network-info.maximum-network-interfaces": lambda t: (
        sum(card.max_enis for card in one.network_cards) for one in _limits(t)
    ),
}


def describe_types(_: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstanceTypes, of what the limits file knows."""
    asked = args.query(p, "InstanceTypes")
    if asked.ids and asked.max_results is not None:
        raise contradiction("The parameter InstanceTypes cannot be used with the parameter MaxResults")
    known = known_types()
    unknown = sorted(set(asked.ids) - set(known))
    if unknown:
        raise ApiError(
            "InvalidInstanceType",
            f"The following supplied instance types do not exist: [{', '.join(unknown)}]",
        )
    chosen = matching(map(_Type, asked.ids or known), asked.filters, _TYPES)
    asked.check_page(most=TYPES_PAGE)
    size = None if asked.ids else asked.max_results or TYPES_PAGE
    page = paged(chosen, {name: place for place, name in enumerate(known)}, size, asked.next_token)
    limits = (known_limits(one.id) for one in page.items)
    return {
        "InstanceTypes": [items.instance_type(one) for one in limits if one is not None],
        "NextToken": page.next_token,
    }


OPERATIONS = {
    "RunInstances": of_context(run, *_LAUNCH, "LaunchTemplate"),
    "TerminateInstances": operation(terminate, "InstanceIds"),
    "StopInstances": operation(stop, "InstanceIds", "Force"),
    "StartInstances": operation(start, "InstanceIds"),
    "RebootInstances": operation(reboot, "InstanceIds"),
    "DescribeInstances": operation(describe, "InstanceIds", *PAGED),
    "DescribeInstanceTypes": operation(describe_types, "InstanceTypes", *PAGED),
}
