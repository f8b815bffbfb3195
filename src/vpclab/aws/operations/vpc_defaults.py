"""What every VPC has by itself and the lab does not let one change: DHCP options, the default network ACL; and no endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.aws.operations.listing import listed
from vpclab.region.filters import Reader
from vpclab.region.region import Region
from vpclab.region.values import ApiError, Tags

RULE, LAST_RULE = 100, 32767
"""Numbers of the default ACL's rules: everything may pass; and what no rule names may not (VPC user guide)."""


@dataclass(frozen=True, slots=True)
class _Options:
    id: str
    tags: Tags = field(default_factory=dict, hash=False)


def describe_dhcp_options(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeDhcpOptions: the region's one set."""
    domain = f"{region.name}.compute.internal"
    one = _Options(items.dhcp_options_id(region))
    readers: Mapping[str, Reader[_Options]] = {
        "dhcp-options-id": lambda o: (o.id,),
        "owner-id": lambda _: (region.account,),
        "key": lambda _: ("domain-name", "domain-name-servers"),
        "value": lambda _: (domain, "AmazonProvidedDNS"),
    }
    page = listed(p, "DhcpOptionsIds", "dopt", {one.id: one}, readers)
    return {
        "DhcpOptions": [
            {
                "DhcpOptionsId": found.id,
                "OwnerId": region.account,
                "DhcpConfigurations": [
                    {"Key": "domain-name", "Values": [{"Value": domain}]},
                    {"Key": "domain-name-servers", "Values": [{"Value": "AmazonProvidedDNS"}]},
                ],
                "Tags": [],
            }
            for found in page.items
        ],
        "NextToken": page.next_token,
    }


@dataclass(frozen=True, slots=True)
class _Acl:
    id: str
    vpc_id: str
    subnets: tuple[str, ...]
    tags: Tags = field(default_factory=dict, hash=False)


_ACLS: Mapping[str, Reader[_Acl]] = {
    "network-acl-id": lambda a: (a.id,),
    "vpc-id": lambda a: (a.vpc_id,),
    "default": lambda _: (True,),
    "association.subnet-id": lambda a: a.subnets,
    "association.network-acl-id": lambda a: (a.id,) if a.subnets else (),
}


def describe_network_acls(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeNetworkAcls: each VPC's default one, which lets everything through."""
    known = {}
    for vpc in region.vpcs.values():
        subnets = tuple(one.id for one in region.subnets.values() if one.vpc_id == vpc.id)
        acl = _Acl(items.derived_id("acl", vpc.id), vpc.id, subnets)
        known[acl.id] = acl
    page = listed(p, "NetworkAclIds", "acl", known, _ACLS)
    return {"NetworkAcls": [_acl(region, one) for one in page.items], "NextToken": page.next_token}


def _acl(region: Region, acl: _Acl) -> dict[str, Any]:
    return {
        "NetworkAclId": acl.id,
        "VpcId": acl.vpc_id,
        "IsDefault": True,
        "OwnerId": region.account,
        "Tags": [],
        "Associations": [
            {
                "NetworkAclAssociationId": items.derived_id("aclassoc", acl.id, subnet),
                "NetworkAclId": acl.id,
                "SubnetId": subnet,
            }
            for subnet in acl.subnets
        ],
        "Entries": [
            {"Egress": egress, "Protocol": "-1", "CidrBlock": "0.0.0.0/0", "RuleNumber": number, "RuleAction": action}
            for egress in (True, False)
            for number, action in ((RULE, "allow"), (LAST_RULE, "deny"))
        ],
    }  # fmt: skip


def describe_vpc_endpoints(_: Region, p: Parameters) -> dict[str, Any]:
    """DescribeVpcEndpoints: there are none."""
    asked = args.query(p, "VpcEndpointIds")
    for wanted in asked.ids:
        raise ApiError("InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{wanted}' does not exist")
    return {"VpcEndpoints": []}


OPERATIONS = {
    "DescribeDhcpOptions": operation(describe_dhcp_options, "DhcpOptionsIds", *PAGED),
    "DescribeNetworkAcls": operation(describe_network_acls, "NetworkAclIds", *PAGED),
    "DescribeVpcEndpoints": operation(describe_vpc_endpoints, "VpcEndpointIds", *PAGED),
}
