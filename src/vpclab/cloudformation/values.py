"""The nouns of CloudFormation: stacks, their resources, events and outputs, and the states of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STACK_TYPE = "AWS::CloudFormation::Stack"
Properties = Mapping[str, Any]
"""A resource's properties with every function resolved."""


class Verb(enum.Enum):
    """What a stack or a resource is in the middle of; with `_IN_PROGRESS`, `_COMPLETE` or `_FAILED` it is a status."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    ROLLBACK = "ROLLBACK"
    UPDATE_ROLLBACK = "UPDATE_ROLLBACK"


IN_PROGRESS, COMPLETE, FAILED = "_IN_PROGRESS", "_COMPLETE", "_FAILED"
REVIEW = "REVIEW_IN_PROGRESS"
DELETED = "DELETE_COMPLETE"
UPDATE_CLEANUP = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
ROLLBACK_CLEANUP = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
STACK_STATUSES = (
    "CREATE_IN_PROGRESS", "CREATE_FAILED", "CREATE_COMPLETE",
    "ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS", "DELETE_FAILED", DELETED,
    "UPDATE_IN_PROGRESS", UPDATE_CLEANUP, "UPDATE_COMPLETE", "UPDATE_FAILED",
    "UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED", ROLLBACK_CLEANUP, "UPDATE_ROLLBACK_COMPLETE",
    REVIEW,
)  # fmt: skip
UPDATABLE = (
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_FAILED",
    "CREATE_FAILED",
)
"""Statuses from which a stack may be updated; the FAILED ones are those of stacks whose rollback was disabled."""


@dataclass(frozen=True, slots=True)
class StackEvent:
    """One line of DescribeStackEvents."""

    id: str
    at: float
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str = ""
    properties: str = ""
    """The resource's properties as JSON."""
    token: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """A stack's output."""

    key: str
    value: str
    description: str = ""
    export: str = ""


@dataclass(slots=True)
class StackResource:
    """A resource of a stack as it is; changed by the engine alone."""

    logical_id: str
    type: str
    status: str = ""
    at: float = 0.0
    reason: str = ""
    physical_id: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    """What Fn::GetAtt gives, as last read."""
    depends_on: frozenset[str] = frozenset()
    """Logical ids of what must be there before it, and go after it."""
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class ParameterValue:
    """A parameter as a stack has it."""

    given: str
    """What was given, or the default."""
    value: str | list[str]
    """What Ref gives."""
    resolved: str = ""
    """With an SSM type: the value that was found."""
    no_echo: bool = False
