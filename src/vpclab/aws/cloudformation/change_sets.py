"""Change sets."""

from __future__ import annotations

from typing import Any

from vpclab.aws.cloudformation import views
from vpclab.aws.cloudformation.arguments import WISH, moment, page, pairs, wish
from vpclab.aws.cloudformation.clockwork import Stacks
from vpclab.aws.cloudformation.stacks import engine_of
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.cloudformation.change_sets import ChangeSet
from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.plan import ResourceChange


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateChangeSet: there at once."""
    kind = p.get("ChangeSetType", "UPDATE")
    if kind not in ("CREATE", "UPDATE"):
        raise refused(f"The lab's change sets create and update; {kind} it does not emulate.")
    made = engine_of(context).create_change_set(
        p["StackName"],
        p["ChangeSetName"],
        kind,
        wish(p),
        description=p.get("Description", ""),
        on_failure=p.get("OnStackFailure", ""),
        token=p.get("ClientToken", ""),
    )
    return {"Id": made.id, "StackId": made.stack_id}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeChangeSet."""
    one = engine_of(context).change_set(p["ChangeSetName"], p.get("StackName"))
    changes, more = page(one.changes, p.get("NextToken"))
    return {
        **_summary(one),
        "Parameters": views.parameters(one.intent),
        "NotificationARNs": list(one.intent.notification_arns),
        "RollbackConfiguration": {},
        "Capabilities": list(one.intent.capabilities),
        "Tags": pairs(one.intent.tags),
        "OnStackFailure": one.on_failure or None,
        "Changes": [{"Type": "Resource", "ResourceChange": _change(each)} for each in changes],
        "NextToken": more,
    }


def list_all(context: Context, p: Parameters) -> dict[str, Any]:
    """ListChangeSets."""
    stack = engine_of(context).stack(p["StackName"])
    found, more = page(list(stack.change_sets.values()), p.get("NextToken"))
    return {"Summaries": [_summary(one) for one in found], "NextToken": more}


def execute(context: Context, p: Parameters) -> dict[str, Any]:
    """ExecuteChangeSet."""
    stacks = context.kept(Stacks)
    stacks.wound().execute_change_set(
        p["ChangeSetName"],
        p.get("StackName"),
        disable_rollback=p.get("DisableRollback", False),
        token=p.get("ClientRequestToken", ""),
    )
    stacks.wind()
    return {}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteChangeSet."""
    engine_of(context).delete_change_set(p["ChangeSetName"], p.get("StackName"))
    return {}


def _summary(one: ChangeSet) -> dict[str, Any]:
    return {
        "StackId": one.stack_id,
        "StackName": one.stack_name,
        "ChangeSetId": one.id,
        "ChangeSetName": one.name,
        "Description": one.description or None,
        "CreationTime": moment(one.created_at),
        "ExecutionStatus": one.execution,
        "Status": one.status,
        "StatusReason": one.reason or None,
        "IncludeNestedStacks": False,
    }


def _change(one: ResourceChange) -> dict[str, Any]:
    details = [
        {
            "Target": {
                "Attribute": "Tags" if each.name == "Tags" else "Properties",
                "Name": None if each.name == "Tags" else each.name,
                "RequiresRecreation": each.recreation,
            },
            "Evaluation": "Static" if each.static else "Dynamic",
            "ChangeSource": "DirectModification",
        }
        for each in one.details
    ]
    scope = sorted({"Tags" if each.name == "Tags" else "Properties" for each in one.details})
    return {
        "Action": one.action,
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id or None,
        "ResourceType": one.type,
        "Replacement": one.replacement or None,
        "Scope": scope,
        "Details": details,
    }


OPERATIONS = {
    "CreateChangeSet": operation(
        create,
        "StackName",
        "ChangeSetName",
        "ChangeSetType",
        "Description",
        "OnStackFailure",
        "IncludeNestedStacks",
        *WISH,
        "ResourceTypes",
        "RollbackConfiguration",
    ),
    "DescribeChangeSet": operation(
        describe, "ChangeSetName", "StackName", "NextToken", "IncludePropertyValues"
    ),
    "ListChangeSets": operation(list_all, "StackName", "NextToken"),
    "ExecuteChangeSet": operation(
        execute, "ChangeSetName", "StackName", "DisableRollback", "ClientRequestToken", "RetainExceptOnCreate"
    ),
    "DeleteChangeSet": operation(delete, "ChangeSetName", "StackName"),
}
