"""A change set: what a stack would become, kept to be looked at and carried out."""

from __future__ import annotations

from dataclasses import dataclass

from vpclab.cloudformation.plan import ResourceChange
from vpclab.cloudformation.stack import Intent

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."
)


@dataclass(slots=True)
class ChangeSet:
    """One change set."""

    id: str
    name: str
    stack_id: str
    stack_name: str
    kind: str
    """CREATE or UPDATE."""
    created_at: float
    intent: Intent
    changes: tuple[ResourceChange, ...]
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"
    reason: str = ""
    description: str = ""
    on_failure: str = ""
    """ROLLBACK, DO_NOTHING or DELETE, if it was said."""
    token: str = ""
