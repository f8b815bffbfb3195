"""What a region has without anybody making it: images, offerings of types, other regions, the account's quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpccni.ipam.limits import known_types
from vpclab.aws import items
from vpclab.aws.images import AMAZON, EKS_AMAZON, Image, images
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import invalid
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.imds import zone_id
from vpclab.region.region import Region
from vpclab.region.security_groups import MAX_PER_ENI
from vpclab.region.values import ApiError, Tags

REGIONS = ("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1", "ap-southeast-2", "eu-central-1",
           "eu-west-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2")  # fmt: skip
"""Names that DescribeRegions knows; only the lab's own is there."""
OFFERINGS_PAGE = 1000
"""MaxResults of DescribeInstanceTypeOfferings, and what it gives if it is not told (EC2 API reference)."""
_OWNERS: Mapping[str, tuple[str, ...]] = {"amazon": (AMAZON, EKS_AMAZON), "self": (), "aws-marketplace": ()}


@dataclass(frozen=True, slots=True)
class _Named:
    id: str
    tags: Tags = field(default_factory=dict, hash=False)


def describe_regions(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeRegions."""
    names = tuple(
        dict.fromkeys((*p.get("RegionNames", REGIONS), *(() if "RegionNames" in p else (region.name,))))
    )
    unknown = [name for name in names if name not in (*REGIONS, region.name)]
    if unknown:
        raise invalid(f"Invalid region names: [{', '.join(unknown)}]")
    readers: Mapping[str, Reader[_Named]] = {
        "region-name": lambda r: (r.id,),
        "endpoint": lambda r: (f"ec2.{r.id}.amazonaws.com",),
        "opt-in-status": lambda _: ("opt-in-not-required",),
    }
    chosen = matching(map(_Named, names), args.query(p, "RegionNames").filters, readers)
    return {
        "Regions": [
            {
                "RegionName": one.id,
                "Endpoint": f"ec2.{one.id}.amazonaws.com",
                "OptInStatus": "opt-in-not-required",
            }
            for one in chosen
        ]
    }


def describe_account_attributes(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeAccountAttributes: of what the lab has."""
    del region
    known = {
        "supported-platforms": "VPC",
        "default-vpc": "none",
        "max-instances": "20",
        "vpc-max-security-groups-per-interface": str(MAX_PER_ENI),
        "max-elastic-ips": "5",
        "vpc-max-elastic-ips": "5",
    }
    names = p.get("AttributeNames", known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise invalid(f"Invalid value(s) '{', '.join(unknown)}' for attributeNames")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": known[name]}]} for name in names
        ]
    }


def describe_type_offerings(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstanceTypeOfferings: every type in every zone."""
    kind = p.get("LocationType", "region")
    places = {
        "region": (region.name,),
        "availability-zone": region.zones,
        "availability-zone-id": tuple(map(zone_id, region.zones)),
    }
    if kind not in places:
        raise invalid(f"Value ({kind}) for parameter locationType is invalid.")
    everything = [_Named(f"{name}@{place}") for name in known_types() for place in places[kind]]
    readers: Mapping[str, Reader[_Named]] = {
        "instance-type": lambda o: (o.id.partition("@")[0],),
        "location": lambda o: (o.id.partition("@")[2],),
    }
    asked = args.query(p, "Ids")
    asked.check_page(most=OFFERINGS_PAGE)
    ordinals = {one.id: place for place, one in enumerate(everything)}
    chosen = matching(everything, asked.filters, readers)
    page = paged(chosen, ordinals, asked.max_results or OFFERINGS_PAGE, asked.next_token)
    return {
        "InstanceTypeOfferings": [
            {
                "InstanceType": one.id.partition("@")[0],
                "LocationType": kind,
                "Location": one.id.partition("@")[2],
            }
            for one in page.items
        ],
        "NextToken": page.next_token,
    }


_IMAGES: Mapping[str, Reader[Image]] = {
    "image-id": lambda i: (i.id,),
    "name": lambda i: (i.name,),
    "description": lambda i: (i.description,),
    "architecture": lambda i: (i.architecture,),
    "owner-id": lambda i: (i.owner,),
    "owner-alias": lambda _: ("amazon",),
    "state": lambda _: ("available",),
    "is-public": lambda _: (True,),
    "image-type": lambda _: ("machine",),
    "root-device-type": lambda _: ("ebs",),
    "virtualization-type": lambda _: ("hvm",),
    "hypervisor": lambda _: ("xen",),
    "ena-support": lambda _: (True,),
}


def describe_images(_: Region, p: Parameters) -> dict[str, Any]:
    """DescribeImages."""
    known = {one.id: one for one in images()}
    asked = args.query(p, "ImageIds")
    missing = [one for one in asked.ids if one not in known]
    if missing:
        raise ApiError("InvalidAMIID.NotFound", f"The image id '[{', '.join(missing)}]' does not exist")
    owners = {account for owner in p.get("Owners", ("amazon",)) for account in _OWNERS.get(owner, (owner,))}
    candidates = (known[key] for key in dict.fromkeys(asked.ids or known) if known[key].owner in owners)
    ordinals = {key: place for place, key in enumerate(known)}
    page = paged(matching(candidates, asked.filters, _IMAGES), ordinals, asked.max_results, asked.next_token)
    return {"Images": [_image(one) for one in page.items], "NextToken": page.next_token}


def _image(one: Image) -> dict[str, Any]:
    return {
        "ImageId": one.id,
        "Name": one.name,
        "Description": one.description,
        "Architecture": one.architecture,
        "OwnerId": one.owner,
        "ImageOwnerAlias": "amazon",
        "ImageLocation": f"amazon/{one.name}",
        "ImageType": "machine",
        "State": "available",
        "Public": True,
        "CreationDate": "2025-11-12T00:00:00.000Z",
        "PlatformDetails": "Linux/UNIX",
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EnaSupport": True,
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "SnapshotId": items.derived_id("snap", one.id),
                    "VolumeSize": 20 if one.owner == EKS_AMAZON else 8,
                    "VolumeType": "gp2",
                    "DeleteOnTermination": True,
                    "Encrypted": False,
                },
            }
        ],
    }


OPERATIONS = {
    "DescribeRegions": operation(describe_regions, "RegionNames", "Filters", "AllRegions"),
    "DescribeAccountAttributes": operation(describe_account_attributes, "AttributeNames"),
    "DescribeInstanceTypeOfferings": operation(describe_type_offerings, "LocationType", *PAGED),
    "DescribeImages": operation(
        describe_images, "ImageIds", "Owners", "ExecutableUsers", "IncludeDeprecated", *PAGED
    ),
}
