"""What a stack's template may ask of the account it is in: zones, parameters, exports, whether something exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.cloudformation.parameters import Lookups
from vpclab.cloudformation.resource_type import Cloud
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.region.values import ApiError

_FINDERS: Mapping[str, tuple[str, str]] = {
    "zone": ("DescribeAvailabilityZones", "ZoneNames"),
    "image": ("DescribeImages", "ImageIds"),
    "instance": ("DescribeInstances", "InstanceIds"),
    "key": ("DescribeKeyPairs", "KeyNames"),
    "group": ("DescribeSecurityGroups", "GroupIds"),
    "subnet": ("DescribeSubnets", "SubnetIds"),
    "vpc": ("DescribeVpcs", "VpcIds"),
}
_NOT_HERE = frozenset({"InvalidAction", "UnsupportedOperation"})


class Account:
    """One account in one region."""

    def __init__(self, cloud: Cloud, region: str, number: str) -> None:
        self.cloud = cloud
        self.region = region
        self.number = number
        self.lookups = Lookups(self.exists, self.stored)

    def exists(self, kind: str, value: str) -> bool:
        """Whether there is such a thing; what the region cannot say is taken to be there."""
        if kind not in _FINDERS:
            return True
        action, ids = _FINDERS[kind]
        try:
            self.cloud.call("ec2", action, {ids: [value]})
        except ApiError as error:
            return error.code in _NOT_HERE
        return True

    def stored(self, name: str) -> str | None:
        """The parameter store's value."""
        try:
            found = self.cloud.call("ssm", "GetParameter", {"Name": name})
        except ApiError:
            return None
        return str(found["Parameter"]["Value"])

    def zones(self, region: str) -> list[str]:
        """The availability zones of this region; those of others by the usual letters."""
        if region != self.region:
            return [f"{region}{letter}" for letter in "abc"]
        found = self.cloud.call("ec2", "DescribeAvailabilityZones", {})
        return [str(zone["ZoneName"]) for zone in found["AvailabilityZones"]]

    def pseudo(self, stack: Stack, intent: Intent) -> dict[str, Any]:
        """The pseudo parameters of a stack."""
        return {
            "AWS::AccountId": self.number,
            "AWS::NotificationARNs": list(intent.notification_arns),
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }
