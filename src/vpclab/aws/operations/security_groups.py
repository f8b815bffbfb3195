"""Security groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.region import Region
from vpclab.region.security_groups import Direction, normal
from vpclab.region.values import ApiError, SecurityGroupRule


def create(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateSecurityGroup."""
    group = region.create_security_group(
        args.one_of(p, "VpcId"), p["GroupName"], p["Description"], tags=args.tags_for(p, "security-group")
    )
    return {
        "GroupId": group.id,
        "Tags": items.tag_set(group.tags),
        "SecurityGroupArn": items.arn(region, "security-group", group.id),
    }


def delete(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteSecurityGroup."""
    group_id = args.one_of(p, "GroupId")
    region.delete_security_group(group_id)
    return {"Return": True, "GroupId": group_id}


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeSecurityGroups."""
    page = region.describe.security_groups(args.query(p, "GroupIds"))
    return {
        "SecurityGroups": [items.security_group(region, one) for one in page.items],
        "NextToken": page.next_token,
    }


def authorize_ingress(region: Region, p: Parameters) -> dict[str, Any]:
    """AuthorizeSecurityGroupIngress."""
    rules = list(_rules(p))
    group = region.authorize_ingress(args.one_of(p, "GroupId"), rules)
    return _answer(region, group.id, "ingress", rules)


def authorize_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """AuthorizeSecurityGroupEgress."""
    rules = list(_rules(p))
    group = region.authorize_egress(args.one_of(p, "GroupId"), rules)
    return _answer(region, group.id, "egress", rules)


def revoke_ingress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupIngress."""
    region.revoke_ingress(args.one_of(p, "GroupId"), list(_rules(p)))
    return {"Return": True}


def revoke_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupEgress."""
    region.revoke_egress(args.one_of(p, "GroupId"), list(_rules(p)))
    return {"Return": True}


def _answer(
    region: Region, group_id: str, direction: Direction, rules: Iterable[SecurityGroupRule]
) -> dict[str, Any]:
    group = region.security_group(group_id)
    return {
        "Return": True,
        "SecurityGroupRules": [items.rule(region, group, direction, normal(one)) for one in rules],
    }


def _rules(p: Parameters) -> Iterator[SecurityGroupRule]:
    """The permissions of a request, one rule for each source or destination."""
    alone = {name: p[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in p}
    if "CidrIp" in p:
        alone["IpRanges"] = [{"CidrIp": p["CidrIp"]}]
    permissions = [*p.get("IpPermissions", ()), *([alone] if alone else ())]
    if not permissions:
        raise ApiError("MissingParameter", "The request must contain the parameter IpPermissions")
    for permission in permissions:
        if permission.get("PrefixListIds"):
            raise ApiError("UnsupportedOperation", "The lab's security groups know no PrefixListIds.")
        what = (args.one_of(permission, "IpProtocol"), permission.get("FromPort"), permission.get("ToPort"))
        cidrs, pairs = permission.get("IpRanges", ()), permission.get("UserIdGroupPairs", ())
        cidrs6 = permission.get("Ipv6Ranges", ())
        if not cidrs and not pairs and not cidrs6:
            raise ApiError("MissingParameter", "The request must contain a source or destination")
        for entry in cidrs:
            yield SecurityGroupRule(*what, cidr=args.network(args.one_of(entry, "CidrIp")))
        for entry in cidrs6:
            yield SecurityGroupRule(*what, cidr=args.network6(args.one_of(entry, "CidrIpv6")))
        for pair in pairs:
            yield SecurityGroupRule(*what, group_id=args.one_of(pair, "GroupId"))


_RULES = ("GroupId", "IpPermissions", "IpProtocol", "FromPort", "ToPort", "CidrIp")
OPERATIONS = {
    "CreateSecurityGroup": operation(create, "VpcId", "GroupName", "Description", "TagSpecifications"),
    "DeleteSecurityGroup": operation(delete, "GroupId"),
    "DescribeSecurityGroups": operation(describe, "GroupIds", *PAGED),
    "AuthorizeSecurityGroupIngress": operation(authorize_ingress, *_RULES),
    "AuthorizeSecurityGroupEgress": operation(authorize_egress, *_RULES),
    "RevokeSecurityGroupIngress": operation(revoke_ingress, *_RULES),
    "RevokeSecurityGroupEgress": operation(revoke_egress, *_RULES),
}
