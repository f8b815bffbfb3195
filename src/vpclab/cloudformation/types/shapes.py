"""From templates' values to parameters of calls: numbers and truths that are texts, tags, the names of nested keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vpclab.cloudformation.resource_type import Context, ResourceType
from vpclab.cloudformation.values import Properties


class Tagged(ResourceType):
    """A type of EC2's whose physical id is what bears its tags."""

    def tagged_id(self, context: Context, physical_id: str) -> str:
        """The same."""
        return physical_id

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Tags."""
        retagged(context, physical_id, old, new)


class TaggedInEks(ResourceType):
    """A type of EKS's, which knows whatever is tagged by its ARN."""

    def tags(self, context: Context, p: Properties) -> dict[str, str]:
        """Its own, and the stack's."""
        return context.tags(p.get("Tags"))

    def retag(self, context: Context, arn: str, old: Properties, new: Properties) -> None:
        """UntagResource, TagResource."""
        had, wanted = self.tags(context, old), self.tags(context, new)
        gone = sorted(had.keys() - wanted.keys())
        if gone:
            context.call("eks", "UntagResource", resourceArn=arn, tagKeys=gone)
        if wanted != had:
            context.call("eks", "TagResource", resourceArn=arn, tags=wanted)


def flag(value: Any) -> bool | None:
    """A truth, which may be written as text. Raises ValueError."""
    if value is None or isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"expected type: Boolean, found: {value}")
    return str(value).lower() == "true"


def whole(value: Any) -> int | None:
    """A whole number, which may be written as text. Raises ValueError."""
    return None if value is None else int(value)


def specified(context: Context, kind: str, p: Properties) -> list[dict[str, Any]]:
    """TagSpecifications of EC2's calls."""
    tags = context.tags(p.get("Tags"))
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]


def retagged(context: Context, resource_id: str, old: Properties, new: Properties) -> None:
    """Bring an EC2 resource's tags to what they are to be: what the template no longer has goes."""
    wanted = context.tags(new.get("Tags"))
    gone = {str(tag["Key"]) for tag in old.get("Tags") or ()} - wanted.keys()
    if gone:
        context.call(
            "ec2", "DeleteTags", Resources=[resource_id], Tags=[{"Key": key} for key in sorted(gone)]
        )
    tags = [{"Key": key, "Value": value} for key, value in wanted.items()]
    context.call("ec2", "CreateTags", Resources=[resource_id], Tags=tags)


def lowered(value: Any, *, plain: Iterable[str] = ()) -> Any:
    """With the first letter of every key small, as EKS has its keys; the values of `plain` keys are left as they are."""
    if isinstance(value, Mapping):
        return {
            key[:1].lower() + key[1:]: inner if key in plain else lowered(inner, plain=plain)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [lowered(one, plain=plain) for one in value]
    return value


def only(answer: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The one thing that a describe by id answers."""
    found: Mapping[str, Any] = answer[key][0]
    return found
