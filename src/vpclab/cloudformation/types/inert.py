"""Types that are records only: service-linked roles, log groups, handles to wait on."""

from __future__ import annotations

from typing import Any, ClassVar

from vpclab.cloudformation.deeds import seconds_of
from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.resource_type import Context, ResourceType, properties
from vpclab.cloudformation.types.shapes import whole
from vpclab.cloudformation.values import Properties


class Inert(ResourceType):
    """Made by being written down."""

    named_by: ClassVar[str] = ""
    """The property that is its physical id, if it is given."""
    longest: ClassVar[int] = 128

    def create(self, context: Context, p: Properties) -> str:
        """Its name."""
        given = p.get(self.named_by)
        return str(given) if given else context.name(self.longest)

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Nothing else is to be done."""

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """Nothing is to be done."""


class ServiceLinkedRole(Inert):
    """AWS::IAM::ServiceLinkedRole."""

    name = "AWS::IAM::ServiceLinkedRole"
    properties = properties(
        replace="AWSServiceName CustomSuffix", modify="Description", required="AWSServiceName"
    )
    attributes = frozenset({"RoleName"})

    def create(self, context: Context, p: Properties) -> str:
        """Its name."""
        return f"AWSServiceRoleFor{str(p['AWSServiceName']).partition('.')[0].upper()}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"RoleName": physical_id}


class LogGroup(Inert):
    """AWS::Logs::LogGroup."""

    name = "AWS::Logs::LogGroup"
    named_by = "LogGroupName"
    properties = properties(replace="LogGroupName", modify="RetentionInDays KmsKeyId Tags LogGroupClass")
    attributes = frozenset({"Arn"})

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        where = f"{context.region}:{context.account}"
        return {"Arn": f"arn:aws:logs:{where}:log-group:{physical_id}:*"}


class WaitHandle(Inert):
    """AWS::CloudFormation::WaitConditionHandle."""

    name = "AWS::CloudFormation::WaitConditionHandle"
    properties = properties()
    note = (
        "Ref is a URL that nobody serves: signal the WaitCondition with `aws cloudformation signal-resource`."
    )

    def create(self, context: Context, p: Properties) -> str:
        """Its URL."""
        return f"https://cloudformation-waitcondition-{context.region}.s3.amazonaws.com/{context.name()}"


class WaitCondition(Inert):
    """AWS::CloudFormation::WaitCondition."""

    name = "AWS::CloudFormation::WaitCondition"
    properties = properties(modify="Handle Timeout Count")
    attributes = frozenset({"Data"})
    note = "Waits for `Count` signals by `aws cloudformation signal-resource`; also with a CreationPolicy of its own."

    def create(self, context: Context, p: Properties) -> str:
        """A name, which ends with when it began."""
        return f"{context.name()}/{context.now:.3f}"

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether the signals are there. Raises ResourceFailed."""
        if not p:
            return True
        wanted = whole(p.get("Count", 1)) or 1
        if "FAILURE" in context.signals:
            raise ResourceFailed("WaitCondition received failed message")
        patience = seconds_of(f"PT{whole(p.get('Timeout', 300))}S")
        if len(context.signals) < wanted and context.now - float(physical_id.rpartition("/")[2]) >= patience:
            raise ResourceFailed(
                f"WaitCondition timed out. Received {len(context.signals)} conditions when expecting {wanted}"
            )
        return len(context.signals) >= wanted

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Data": "{}"}


TYPES: tuple[ResourceType, ...] = (
    ServiceLinkedRole(),
    LogGroup(),
    WaitHandle(),
    WaitCondition(),
)
