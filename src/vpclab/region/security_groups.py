"""Security groups and their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from vpclab.region.errors import invalid, not_found
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, SecurityGroup, SecurityGroupRule, Tags, frozen

Direction = Literal["ingress", "egress"]
DIRECTIONS: tuple[Direction, Direction] = ("ingress", "egress")
ALL_TRAFFIC = SecurityGroupRule(cidr=IPv4Network("0.0.0.0/0"))
ALL_IPV6 = SecurityGroupRule(cidr=IPv6Network("::/0"))
MAX_RULES = 60
"""AWS's default quota of rules in one direction of a group, by kind of peer's address."""
MAX_PER_ENI = 5
"""AWS's default quota of groups per network interface."""
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
_MAX_PORT = 65535


class SecurityGroups:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(self, vpc_id: str, name: str, description: str = "", *, tags: Tags = NO_TAGS) -> SecurityGroup:
        """A group that lets everything out. Raises ApiError: InvalidVpcID.NotFound, InvalidGroup.Duplicate."""
        if vpc_id not in self._tables.vpcs:
            raise not_found(vpc_id, "vpc")
        if name == "default":
            raise invalid("Cannot use reserved security group name: default")
        if name.lower().startswith("sg-"):
            raise invalid(f"Invalid value '{name}' for groupName. Group names may not be in the format sg-*.")
        if self.named(vpc_id, name) is not None:
            raise ApiError(
                "InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'"
            )
        egress = (ALL_TRAFFIC, ALL_IPV6) if self._tables.vpcs[vpc_id].ipv6_cidrs else (ALL_TRAFFIC,)
        return self._tables.put_group(
            SecurityGroup(
                self._tables.new_id("sg"), name, vpc_id, description, egress=egress, tags=frozen(tags)
            )
        )

    def delete(self, group_id: str) -> None:
        """Remove. Raises ApiError: InvalidGroup.NotFound, DependencyViolation, CannotDelete."""
        group = self.get(group_id)
        if group.name == "default":
            raise ApiError(
                "CannotDelete",
                f'the specified group: "{group_id}" name: "default" cannot be deleted by a user',
            )
        used = any(group_id in eni.groups for eni in self._tables.enis.values())
        referred = any(
            rule.group_id == group_id
            for other in self._tables.groups.values()
            if other.id != group_id
            for rule in (*other.ingress, *other.egress)
        )
        if used or referred:
            raise ApiError("DependencyViolation", f"resource {group_id} has a dependent object")
        self._tables.drop_group(group_id)

    def authorize_ingress(self, group_id: str, rules: Sequence[SecurityGroupRule]) -> SecurityGroup:
        """Let in. Raises ApiError: InvalidGroup.NotFound, InvalidPermission.Duplicate, InvalidParameterValue."""
        return self._authorize(group_id, "ingress", rules)

    def authorize_egress(self, group_id: str, rules: Sequence[SecurityGroupRule]) -> SecurityGroup:
        """Let out. Raises ApiError as `authorize_ingress`."""
        return self._authorize(group_id, "egress", rules)

    def revoke_ingress(self, group_id: str, rules: Sequence[SecurityGroupRule]) -> SecurityGroup:
        """Take rules back. Raises ApiError: InvalidGroup.NotFound, InvalidPermission.NotFound."""
        return self._revoke(group_id, "ingress", rules)

    def revoke_egress(self, group_id: str, rules: Sequence[SecurityGroupRule]) -> SecurityGroup:
        """Take rules back. Raises ApiError as `revoke_ingress`."""
        return self._revoke(group_id, "egress", rules)

    def rule(self, rule_id: str) -> tuple[SecurityGroup, Direction, SecurityGroupRule]:
        """A rule by id, with its group and direction. Raises ApiError: InvalidSecurityGroupRuleId.NotFound."""
        group = self._tables.groups.get(self._tables.groups_by_rule.get(rule_id, ""))
        if group is not None:
            for direction in DIRECTIONS:
                for rule in getattr(group, direction):
                    if rule.id == rule_id:
                        return group, direction, rule
        raise not_found(rule_id, "sgr")

    def modify_rules(self, group_id: str, changed: Mapping[str, SecurityGroupRule]) -> SecurityGroup:
        """Replace rules, by id; each keeps its id and tags.

        Raises ApiError: InvalidGroup.NotFound, InvalidSecurityGroupRuleId.NotFound, InvalidPermission.Duplicate,
        InvalidParameterValue (a CIDR block becomes a group or the other family's).
        """
        group = self.get(group_id)
        after = {"ingress": list(group.ingress), "egress": list(group.egress)}
        for rule_id, wanted in changed.items():
            owner, direction, before = self.rule(rule_id)
            if owner.id != group_id:
                raise not_found(rule_id, "sgr")
            rule = replace(normal(wanted), id=before.id, tags=before.tags)
            if _kind(rule) != _kind(before):
                raise invalid(
                    f"You may not change the type of source or destination of the rule '{rule_id}'."
                )
            self._known(rule)
            rules = after[direction]
            if any(other == rule and other.id != rule_id for other in rules):
                raise _duplicate(rule)
            rules[[one.id for one in rules].index(rule_id)] = rule
        return self._tables.put_group(
            replace(group, ingress=tuple(after["ingress"]), egress=tuple(after["egress"]))
        )

    def describe_rules(
        self,
        group_id: str,
        direction: Direction,
        descriptions: Mapping[str, str],
        rules: Sequence[SecurityGroupRule],
    ) -> SecurityGroup:
        """Change descriptions: by rule id, and of those rules that are given with theirs.

        Raises ApiError: InvalidGroup.NotFound, InvalidPermission.NotFound, InvalidSecurityGroupRuleId.NotFound.
        """
        group = self.get(group_id)
        have: tuple[SecurityGroupRule, ...] = getattr(group, direction)
        wanted = {rule: rule.description for rule in map(normal, rules)}
        if wanted.keys() - set(have):
            raise _no_permission()
        for rule_id in descriptions:
            if all(rule.id != rule_id for rule in have):
                raise not_found(rule_id, "sgr")
        done = tuple(
            replace(rule, description=descriptions.get(rule.id, wanted.get(rule, rule.description)))
            for rule in have
        )
        return self._put(group, direction, done)

    def get(self, group_id: str) -> SecurityGroup:
        """By id. Raises ApiError: InvalidGroup.NotFound."""
        try:
            return self._tables.groups[group_id]
        except KeyError:
            raise not_found(group_id, "sg") from None

    def named(self, vpc_id: str, name: str) -> SecurityGroup | None:
        """A VPC's group of this name."""
        return next((g for g in self._tables.groups.values() if g.vpc_id == vpc_id and g.name == name), None)

    def for_interface(self, vpc_id: str, group_ids: Sequence[str]) -> tuple[str, ...]:
        """The groups of an ENI: those asked for, or the VPC's default. Raises ApiError as the calls on ENIs do."""
        if not group_ids:
            default = self.named(vpc_id, "default")
            return () if default is None else (default.id,)
        groups = tuple(dict.fromkeys(group_ids))
        for group in groups:
            if self.get(group).vpc_id != vpc_id:
                raise ApiError(
                    "InvalidGroup.NotFound", f"The security group '{group}' does not exist in VPC '{vpc_id}'"
                )
        if len(groups) > MAX_PER_ENI:
            raise ApiError(
                "SecurityGroupsPerInterfaceLimitExceeded",
                f"You have exceeded the maximum number of security groups allowed per network interface: {MAX_PER_ENI}",
            )
        return groups

    def _authorize(
        self, group_id: str, direction: Direction, rules: Sequence[SecurityGroupRule]
    ) -> SecurityGroup:
        group = self.get(group_id)
        have: tuple[SecurityGroupRule, ...] = getattr(group, direction)
        for rule in map(normal, rules):
            self._known(rule)
            if rule in have:
                raise _duplicate(rule)
            have += (rule,)
            if sum(_kind(one) == _kind(rule) for one in have) > MAX_RULES:
                raise ApiError(
                    "RulesPerSecurityGroupLimitExceeded",
                    "The maximum number of rules per security group has been reached.",
                )
        return self._put(group, direction, have)

    def _revoke(
        self, group_id: str, direction: Direction, rules: Sequence[SecurityGroupRule]
    ) -> SecurityGroup:
        group = self.get(group_id)
        have: tuple[SecurityGroupRule, ...] = getattr(group, direction)
        for rule in map(normal, rules):
            if rule not in have:
                raise _no_permission()
            have = tuple(other for other in have if other != rule)
        return self._put(group, direction, have)

    def _known(self, rule: SecurityGroupRule) -> None:
        if rule.group_id is not None:
            self.get(rule.group_id)

    def _put(
        self, group: SecurityGroup, direction: Direction, rules: tuple[SecurityGroupRule, ...]
    ) -> SecurityGroup:
        changed = replace(group, ingress=rules) if direction == "ingress" else replace(group, egress=rules)
        return self._tables.put_group(changed)


def normal(rule: SecurityGroupRule) -> SecurityGroupRule:
    """One spelling for each rule. Raises ApiError: InvalidParameterValue."""
    protocol = _PROTOCOLS.get(rule.protocol.lower(), rule.protocol.lower())
    if (rule.cidr is None) == (rule.group_id is None):
        raise invalid("A rule has one source or destination: a CIDR block or a security group")
    if protocol in ("tcp", "udp"):
        low, high = rule.from_port, rule.to_port
        if low is None or high is None or not 0 <= low <= high <= _MAX_PORT:
            raise invalid(
                f"Invalid value '{low}-{high}' for portRange. Must be within 0-{_MAX_PORT}, from before to."
            )
        return replace(rule, protocol=protocol)
    if protocol in ("icmp", "icmpv6"):  # type and code; -1 is any
        return replace(
            rule,
            protocol=protocol,
            from_port=-1 if rule.from_port is None else rule.from_port,
            to_port=-1 if rule.to_port is None else rule.to_port,
        )
    if protocol != "-1":
        raise invalid(
            f"Invalid value '{rule.protocol}' for IP protocol. The lab knows -1, tcp, udp, icmp and icmpv6."
        )
    return replace(rule, protocol=protocol, from_port=None, to_port=None)


def _kind(rule: SecurityGroupRule) -> str:
    return "group" if rule.cidr is None else f"IPv{rule.cidr.version}"


def _duplicate(rule: SecurityGroupRule) -> ApiError:
    return ApiError("InvalidPermission.Duplicate", f'the specified rule "{_spoken(rule)}" already exists')


def _no_permission() -> ApiError:
    return ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")


def _spoken(rule: SecurityGroupRule) -> str:
    protocol = "ALL" if rule.protocol == "-1" else rule.protocol.upper()
    ports = "" if rule.protocol == "-1" else f", from port: {rule.from_port}, to port: {rule.to_port}"
    return f"peer: {rule.cidr or rule.group_id}, {protocol}{ports}, ALLOW"
