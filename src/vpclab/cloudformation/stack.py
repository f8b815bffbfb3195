"""A stack: what it is made of, what it is in the middle of, what has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vpclab.cloudformation.template import Template
from vpclab.cloudformation.values import (
    DELETED,
    IN_PROGRESS,
    REVIEW,
    Output,
    ParameterValue,
    StackEvent,
    StackResource,
    Verb,
)

if TYPE_CHECKING:
    from vpclab.cloudformation.change_sets import ChangeSet
    from vpclab.cloudformation.jobs import Work


@dataclass(frozen=True, slots=True)
class Intent:
    """What a stack is to be."""

    template: Template
    parameters: Mapping[str, ParameterValue]
    tags: Mapping[str, str] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    notification_arns: tuple[str, ...] = ()
    role_arn: str = ""


@dataclass(slots=True)
class Operation:
    """What a stack is in the middle of."""

    verb: Verb
    work: Work
    began: float
    cleaning: bool = False
    """Whether only what is no longer needed is being deleted."""
    leftovers: list[StackResource] = field(default_factory=list)
    """What was replaced, or made for an update that failed."""
    before: Intent | None = None
    """With an update: what the stack was."""
    resources_before: dict[str, StackResource] = field(default_factory=dict)
    on_failure: str = "ROLLBACK"
    timeout: float | None = None
    """Seconds from `began`."""
    skipped: frozenset[str] = frozenset()
    """Resources that a delete leaves, or a continued rollback takes for rolled back."""


@dataclass(slots=True)
class Stack:
    """One stack; the engine alone changes it."""

    name: str
    id: str
    created_at: float
    intent: Intent | None = None
    status: str = REVIEW
    reason: str = ""
    updated_at: float | None = None
    deleted_at: float | None = None
    resources: dict[str, StackResource] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    imports: frozenset[str] = frozenset()
    """Names of the exports that it uses."""
    events: list[StackEvent] = field(default_factory=list)
    """Oldest first."""
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    """By id."""
    change_set_id: str = ""
    """The one that was executed last."""
    operation: Operation | None = None
    failed_rollback: Operation | None = None
    """The undoing of an update that failed and may be continued."""
    disable_rollback: bool = False
    timeout_minutes: int | None = None
    termination_protection: bool = False
    token: str = ""
    signals: dict[str, dict[str, str]] = field(default_factory=dict)
    """By resource: status by unique id, since its creation began."""

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self.operation is not None

    @property
    def gone(self) -> bool:
        """Whether it is deleted."""
        return self.status == DELETED

    @property
    def in_progress(self) -> bool:
        """By its status."""
        return self.status.endswith(IN_PROGRESS)

    def copies(self) -> dict[str, StackResource]:
        """Its resources as they are now."""
        return {name: replace(one) for name, one in self.resources.items()}
