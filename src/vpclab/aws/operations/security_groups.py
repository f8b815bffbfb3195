"""Security groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import not_found
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.region import Region
from vpclab.region.security_groups import DIRECTIONS, Direction, normal
from vpclab.region.values import ApiError, SecurityGroup, SecurityGroupRule, Tags


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
    return _authorize(region, p, "ingress")


def authorize_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """AuthorizeSecurityGroupEgress."""
    return _authorize(region, p, "egress")


def _authorize(region: Region, p: Parameters, direction: Direction) -> dict[str, Any]:
    tags = args.tags_for(p, "security-group-rule")
    rules = [replace(rule, tags=tags) for rule in _rules(p)]
    group_id = _group(region, p)
    change = region.authorize_ingress if direction == "ingress" else region.authorize_egress
    group = change(group_id, rules)
    return {"Return": True, "SecurityGroupRules": _items(region, group, direction, rules)}


def revoke_ingress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupIngress."""
    return _revoke(region, p, "ingress")


def revoke_egress(region: Region, p: Parameters) -> dict[str, Any]:
    """RevokeSecurityGroupEgress."""
    return _revoke(region, p, "egress")


def _revoke(region: Region, p: Parameters, direction: Direction) -> dict[str, Any]:
    group_id = _group(region, p)
    before = region.security_group(group_id)
    if "SecurityGroupRuleIds" in p:
        found = [region.security_group_rule(rule_id) for rule_id in p["SecurityGroupRuleIds"]]
        for owner, where, rule in found:
            if (owner.id, where) != (group_id, direction):
                raise not_found(rule.id, "sgr")
        rules = [rule for _, _, rule in found]
    else:
        rules = list(_rules(p))
    gone = _items(region, before, direction, rules)
    change = region.revoke_ingress if direction == "ingress" else region.revoke_egress
    change(group_id, rules)
    keys = (
        "SecurityGroupRuleId",
        "GroupId",
        "IsEgress",
        "IpProtocol",
        "FromPort",
        "ToPort",
        "CidrIpv4",
        "CidrIpv6",
    )
    revoked = [{key: item[key] for key in keys} for item in gone]
    return {"Return": True, "RevokedSecurityGroupRules": revoked}


def modify_rules(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifySecurityGroupRules."""
    changed: dict[str, SecurityGroupRule] = {}
    for entry in p["SecurityGroupRules"]:
        wanted = entry.get("SecurityGroupRule", {})
        if "PrefixListId" in wanted:
            raise ApiError("UnsupportedOperation", "The lab's security groups know no PrefixListId.")
        cidr = args.network(wanted["CidrIpv4"]) if "CidrIpv4" in wanted else None
        changed[args.one_of(entry, "SecurityGroupRuleId")] = SecurityGroupRule(
            args.one_of(wanted, "IpProtocol"),
            wanted.get("FromPort"),
            wanted.get("ToPort"),
            cidr=args.network6(wanted["CidrIpv6"]) if "CidrIpv6" in wanted else cidr,
            group_id=wanted.get("ReferencedGroupId"),
            description=wanted.get("Description", ""),
        )
    region.modify_security_group_rules(p["GroupId"], changed)
    return {"Return": True}


def update_ingress_descriptions(region: Region, p: Parameters) -> dict[str, Any]:
    """UpdateSecurityGroupRuleDescriptionsIngress."""
    return _update_descriptions(region, p, "ingress")


def update_egress_descriptions(region: Region, p: Parameters) -> dict[str, Any]:
    """UpdateSecurityGroupRuleDescriptionsEgress."""
    return _update_descriptions(region, p, "egress")


def _update_descriptions(region: Region, p: Parameters, direction: Direction) -> dict[str, Any]:
    by_id = {
        args.one_of(one, "SecurityGroupRuleId"): one.get("Description", "")
        for one in p.get("SecurityGroupRuleDescriptions", ())
    }
    rules = list(_rules(p)) if "IpPermissions" in p or not by_id else []
    region.describe_security_group_rules(_group(region, p), direction, by_id, rules)
    return {"Return": True}


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rule with where it is, for filters and pages."""

    group: SecurityGroup
    direction: Direction
    rule: SecurityGroupRule

    @property
    def id(self) -> str:
        return self.rule.id

    @property
    def tags(self) -> Tags:
        return self.rule.tags


_READERS: Mapping[str, Reader[_Placed]] = {
    "group-id": lambda placed: (placed.group.id,),
    "security-group-rule-id": lambda placed: (placed.rule.id,),
}


def describe_rules(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeSecurityGroupRules."""
    asked = args.query(p, "SecurityGroupRuleIds")
    asked.check_page()
    if asked.ids:
        placed = [_Placed(*region.security_group_rule(key)) for key in dict.fromkeys(asked.ids)]
    else:
        placed = [
            _Placed(group, direction, rule)
            for group in region.groups.values()
            for direction in DIRECTIONS
            for rule in getattr(group, direction)
        ]
    places = {one.id: place for place, one in enumerate(placed)}
    page = paged(matching(placed, asked.filters, _READERS), places, asked.max_results, asked.next_token)
    return {
        "SecurityGroupRules": [items.rule(region, one.group, one.direction, one.rule) for one in page.items],
        "NextToken": page.next_token,
    }


def _group(region: Region, p: Parameters) -> str:
    """The group's id. A group of a VPC is not to be had by its name alone."""
    if "GroupId" in p:
        return str(p["GroupId"])
    if "GroupName" in p:
        raise ApiError(
            "InvalidGroup.NotFound",
            f"The security group '{p['GroupName']}' does not exist in default VPC: {region.account} has none",
        )
    raise ApiError("MissingParameter", "The request must contain the parameter groupName or groupId")


def _items(
    region: Region, group: SecurityGroup, direction: Direction, rules: Iterable[SecurityGroupRule]
) -> list[dict[str, Any]]:
    """The group's own rules that are these."""
    own = {rule: rule for rule in getattr(group, direction)}
    wanted = map(normal, rules)
    return [items.rule(region, group, direction, own[rule]) for rule in wanted if rule in own]


def _rules(p: Parameters) -> Iterator[SecurityGroupRule]:
    """The permissions of a request, one rule for each source or destination."""
    alone = {name: p[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in p}
    if "CidrIp" in p:
        alone["IpRanges"] = [{"CidrIp": p["CidrIp"]}]
    permissions = [*p.get("IpPermissions", ()), *([alone] if alone else ())]
    if not permissions:
        raise ApiError("MissingParameter", "The request must contain the parameter ipPermissions")
    for permission in permissions:
        if permission.get("PrefixListIds"):
            raise ApiError("UnsupportedOperation", "The lab's security groups know no PrefixListIds.")
        what = (args.one_of(permission, "IpProtocol"), permission.get("FromPort"), permission.get("ToPort"))
        cidrs, pairs = permission.get("IpRanges", ()), permission.get("UserIdGroupPairs", ())
        cidrs6 = permission.get("Ipv6Ranges", ())
        if not cidrs and not pairs and not cidrs6:
            raise ApiError("MissingParameter", "The request must contain a source or destination")
        for entry in cidrs:
            cidr = args.network(args.one_of(entry, "CidrIp"))
            yield SecurityGroupRule(*what, cidr=cidr, description=entry.get("Description", ""))
        for entry in cidrs6:
            cidr6 = args.network6(args.one_of(entry, "CidrIpv6"))
            yield SecurityGroupRule(*what, cidr=cidr6, description=entry.get("Description", ""))
        for pair in pairs:
            group_id = args.one_of(pair, "GroupId")
            yield SecurityGroupRule(*what, group_id=group_id, description=pair.get("Description", ""))


_RULES = ("GroupId", "GroupName", "IpPermissions", "IpProtocol", "FromPort", "ToPort", "CidrIp")
_EGRESS = ("GroupId", "IpPermissions", "IpProtocol", "FromPort", "ToPort", "CidrIp")
_DESCRIPTIONS = ("GroupId", "GroupName", "IpPermissions", "SecurityGroupRuleDescriptions")
OPERATIONS = {
    "CreateSecurityGroup": operation(create, "VpcId", "GroupName", "Description", "TagSpecifications"),
    "DeleteSecurityGroup": operation(delete, "GroupId"),
    "DescribeSecurityGroups": operation(describe, "GroupIds", *PAGED),
    "AuthorizeSecurityGroupIngress": operation(authorize_ingress, *_RULES, "TagSpecifications"),
    "AuthorizeSecurityGroupEgress": operation(authorize_egress, *_EGRESS, "TagSpecifications"),
    "RevokeSecurityGroupIngress": operation(revoke_ingress, *_RULES, "SecurityGroupRuleIds"),
    "RevokeSecurityGroupEgress": operation(revoke_egress, *_EGRESS, "SecurityGroupRuleIds"),
    "DescribeSecurityGroupRules": operation(describe_rules, "SecurityGroupRuleIds", *PAGED),
    "ModifySecurityGroupRules": operation(modify_rules, "GroupId", "SecurityGroupRules"),
    "UpdateSecurityGroupRuleDescriptionsIngress": operation(update_ingress_descriptions, *_DESCRIPTIONS),
    "UpdateSecurityGroupRuleDescriptionsEgress": operation(update_egress_descriptions, *_DESCRIPTIONS),
}
