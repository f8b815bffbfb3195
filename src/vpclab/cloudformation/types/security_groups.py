"""AWS::EC2: security groups, and rules that stand by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vpclab.cloudformation.resource_type import Context, ResourceType, properties
from vpclab.cloudformation.types.shapes import Tagged, only, retagged, specified, whole
from vpclab.cloudformation.values import Properties

_EVERYTHING = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
_RULE = "IpProtocol FromPort ToPort CidrIp CidrIpv6 Description"


def permission(rule: Properties) -> dict[str, Any]:
    """A template's rule as EC2's calls have it."""
    found: dict[str, Any] = {"IpProtocol": str(rule["IpProtocol"])}
    if found["IpProtocol"] != "-1":
        ports = {name: whole(rule.get(name)) for name in ("FromPort", "ToPort")}
        found |= {name: port for name, port in ports.items() if port is not None}
    group = rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId")
    if group:
        found["UserIdGroupPairs"] = [{"GroupId": group}]
    elif rule.get("CidrIpv6"):
        found["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"]}]
    else:
        found["IpRanges"] = [{"CidrIp": rule["CidrIp"]}]
    return found


def _permissions(rules: Iterable[Properties]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for rule in rules:
        one = permission(rule)
        if one not in found:
            found.append(one)
    return found


class SecurityGroup(Tagged):
    """AWS::EC2::SecurityGroup."""

    name = "AWS::EC2::SecurityGroup"
    properties = properties(
        replace="GroupName GroupDescription VpcId",
        modify="SecurityGroupIngress SecurityGroupEgress Tags",
        required="GroupDescription VpcId",
    )
    attributes = frozenset({"GroupId", "Id", "VpcId"})
    note = "`VpcId` is required: the lab has no default VPC."

    def create(self, context: Context, p: Properties) -> str:
        """CreateSecurityGroup, rules; with rules for egress, the one that lets everything out goes."""
        made = context.call(
            "ec2",
            "CreateSecurityGroup",
            VpcId=p["VpcId"],
            GroupName=p.get("GroupName") or context.name(),
            Description=p["GroupDescription"],
            TagSpecifications=specified(context, "security-group", p),
        )
        group_id = str(made["GroupId"])
        try:
            self._rules(context, group_id, {}, p)
        except Exception:
            context.call("ec2", "DeleteSecurityGroup", GroupId=group_id)
            raise
        return group_id

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        group = only(context.call("ec2", "DescribeSecurityGroups", GroupIds=[physical_id]), "SecurityGroups")
        return {"GroupId": physical_id, "Id": physical_id, "VpcId": str(group["VpcId"])}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Rules and tags."""
        self._rules(context, physical_id, old, new)
        retagged(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteSecurityGroup."""
        context.call("ec2", "DeleteSecurityGroup", GroupId=physical_id)

    def _rules(self, context: Context, group_id: str, old: Properties, new: Properties) -> None:
        for way, usual in (("Ingress", []), ("Egress", [_EVERYTHING])):
            had = _permissions(old.get(f"SecurityGroup{way}") or usual)
            wanted = _permissions(new.get(f"SecurityGroup{way}") or usual)
            gone = [one for one in had if one not in wanted]
            fresh = [one for one in wanted if one not in had]
            if fresh:
                context.call("ec2", f"AuthorizeSecurityGroup{way}", GroupId=group_id, IpPermissions=fresh)
            if gone:
                context.call("ec2", f"RevokeSecurityGroup{way}", GroupId=group_id, IpPermissions=gone)


class _Rule(ResourceType):
    way = ""

    def create(self, context: Context, p: Properties) -> str:
        """AuthorizeSecurityGroup…"""  # noqa: D415
        made = context.call(
            "ec2",
            f"AuthorizeSecurityGroup{self.way}",
            GroupId=p["GroupId"],
            IpPermissions=[permission(p)],
        )
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """RevokeSecurityGroup…"""  # noqa: D415
        context.call(
            "ec2", f"RevokeSecurityGroup{self.way}", GroupId=p["GroupId"], IpPermissions=[permission(p)]
        )


class Ingress(_Rule):
    """AWS::EC2::SecurityGroupIngress."""

    name = "AWS::EC2::SecurityGroupIngress"
    way = "Ingress"
    properties = properties(
        replace=f"GroupId SourceSecurityGroupId {_RULE}", required="GroupId IpProtocol", inert="Description"
    )
    attributes = frozenset({"Id"})


class Egress(_Rule):
    """AWS::EC2::SecurityGroupEgress."""

    name = "AWS::EC2::SecurityGroupEgress"
    way = "Egress"
    properties = properties(
        replace=f"GroupId DestinationSecurityGroupId {_RULE}",
        required="GroupId IpProtocol",
        inert="Description",
    )
    attributes = frozenset({"Id"})
    note = "The rule that lets everything out stays beside it, unless the group has `SecurityGroupEgress` of its own."


TYPES: tuple[ResourceType, ...] = (SecurityGroup(), Ingress(), Egress())
