"""What requests share: a template with its parameters and tags, pages, dates."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from typing import Any, TypeVar

from vpclab.aws.protocols.form import Parameters
from vpclab.cloudformation import Wish
from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.template_text import LONGEST

T = TypeVar("T")
PAGE = 100
WISH = (
    "TemplateBody",
    "TemplateURL",
    "UsePreviousTemplate",
    "Parameters",
    "Tags",
    "Capabilities",
    "NotificationARNs",
    "RoleARN",
)
"""The parameters of what a stack is to be."""
UNHEEDED = (
    "ResourceTypes",
    "RollbackConfiguration",
    "StackPolicyBody",
    "StackPolicyURL",
    "RetainExceptOnCreate",
)
"""Taken, without effect: alarms, policies and limits of who may do what."""


def wish(p: Parameters) -> Wish:
    """What a stack is to be. Raises ApiError: ValidationError."""
    tags = {tag["Key"]: tag["Value"] for tag in p["Tags"]} if "Tags" in p else None
    return Wish(
        None if p.get("UsePreviousTemplate") else template(p),
        {
            one["ParameterKey"]: None if one.get("UsePreviousValue") else one.get("ParameterValue", "")
            for one in p.get("Parameters", ())
        },
        tags,
        tuple(p.get("Capabilities", ())),
        tuple(p["NotificationARNs"]) if "NotificationARNs" in p else None,
        p.get("RoleARN", ""),
    )


def template(p: Parameters) -> str | None:
    """The template's text, if one was given. Raises ApiError: ValidationError."""
    if "TemplateURL" in p:
        raise refused("The lab has no S3: give the template as TemplateBody, which may have 51200 bytes.")
    body = p.get("TemplateBody")
    if body is not None and len(body.encode()) > LONGEST:
        raise refused(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length"
            f" less than or equal to {LONGEST}"
        )
    return body


def page(found: Sequence[T], token: str | None, size: int = PAGE) -> tuple[Sequence[T], str | None]:
    """One page, and the token of the next. Raises ApiError: ValidationError."""
    try:
        start = int(base64.b64decode(token, validate=True)) if token else 0
    except (ValueError, binascii.Error):
        raise refused(f"Next token {token} is invalid") from None
    end = start + size
    more = base64.b64encode(str(end).encode()).decode() if end < len(found) else None
    return found[start:end], more


def moment(seconds: float | None) -> dt.datetime | None:
    """A time as a date."""
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)


def pairs(tags: Any) -> list[dict[str, str]]:
    """Tags as a list."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
