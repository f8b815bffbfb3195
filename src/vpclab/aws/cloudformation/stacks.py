"""Stacks: made, changed, deleted, looked at."""

from __future__ import annotations

import json
from typing import Any

from vpclab.aws.cloudformation import views
from vpclab.aws.cloudformation.arguments import UNHEEDED, WISH, page, wish
from vpclab.aws.cloudformation.clockwork import Stacks
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.cloudformation import Engine
from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.stack import Stack
from vpclab.cloudformation.values import STACK_STATUSES, StackResource


def engine_of(context: Context) -> Engine:
    """The engine, told the time."""
    return context.kept(Stacks).wound()


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateStack."""
    stacks = context.kept(Stacks)
    if "OnFailure" in p and "DisableRollback" in p:
        raise refused("Either DisableRollback or OnFailure can be specified, not both.")
    made = stacks.wound().create_stack(
        p["StackName"],
        wish(p),
        on_failure=p.get("OnFailure") or ("DO_NOTHING" if p.get("DisableRollback") else "ROLLBACK"),
        timeout_minutes=p.get("TimeoutInMinutes"),
        termination_protection=p.get("EnableTerminationProtection", False),
        token=p.get("ClientRequestToken", ""),
    )
    stacks.wind()
    return {"StackId": made}


def update(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateStack."""
    stacks = context.kept(Stacks)
    if ("TemplateBody" in p) == bool(p.get("UsePreviousTemplate")) and "TemplateURL" not in p:
        raise refused("Either Template URL or Template Body must be specified.")
    stack_id = stacks.wound().update_stack(
        p["StackName"],
        wish(p),
        roll_back=not p.get("DisableRollback"),
        token=p.get("ClientRequestToken", ""),
    )
    stacks.wind()
    return {"StackId": stack_id}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteStack."""
    stacks = context.kept(Stacks)
    stacks.wound().delete_stack(
        p["StackName"], p.get("RetainResources", ()), token=p.get("ClientRequestToken", "")
    )
    stacks.wind()
    return {}


def cancel_update(context: Context, p: Parameters) -> dict[str, Any]:
    """CancelUpdateStack."""
    stacks = context.kept(Stacks)
    stacks.wound().cancel_update(p["StackName"])
    stacks.wind()
    return {}


def continue_rollback(context: Context, p: Parameters) -> dict[str, Any]:
    """ContinueUpdateRollback."""
    stacks = context.kept(Stacks)
    stacks.wound().continue_rollback(p["StackName"], p.get("ResourcesToSkip", ()))
    stacks.wind()
    return {}


def protect(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateTerminationProtection."""
    return {"StackId": engine_of(context).protect(p["StackName"], enabled=p["EnableTerminationProtection"])}


def signal(context: Context, p: Parameters) -> dict[str, Any]:
    """SignalResource."""
    stacks = context.kept(Stacks)
    stacks.wound().signal(p["StackName"], p["LogicalResourceId"], p["UniqueId"], p["Status"])
    stacks.wind()
    return {}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeStacks."""
    engine = engine_of(context)
    if "StackName" in p:
        return {"Stacks": [views.stack(engine.stack(p["StackName"]))]}
    found, more = page(engine.live(), p.get("NextToken"))
    return {"Stacks": [views.stack(one) for one in found], "NextToken": more}


def list_stacks(context: Context, p: Parameters) -> dict[str, Any]:
    """ListStacks: deleted ones as well."""
    wanted = p.get("StackStatusFilter") or STACK_STATUSES
    known = [one for one in reversed(engine_of(context).stacks.values()) if one.status in wanted]
    found, more = page(known, p.get("NextToken"))
    return {"StackSummaries": [views.summary(one) for one in found], "NextToken": more}


def events(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeStackEvents: newest first."""
    stack = engine_of(context).stack(p["StackName"])
    found, more = page(stack.events[::-1], p.get("NextToken"))
    return {"StackEvents": [views.event(stack, one) for one in found], "NextToken": more}


def resources(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeStackResources: of a stack, or of the stack that a physical resource is of."""
    engine = engine_of(context)
    if ("StackName" in p) == ("PhysicalResourceId" in p):
        raise refused("Either StackName or PhysicalResourceId must be specified, not both.")
    if "StackName" in p:
        stack = engine.stack(p["StackName"])
        logical = p.get("LogicalResourceId")
        chosen = [one for one in _shown(stack) if logical in (None, one.logical_id)]
        if logical is not None and not chosen:
            raise _no_resource(logical, stack)
        return {"StackResources": [views.resource(stack, one) for one in chosen]}
    for stack in engine.live():
        if any(one.physical_id == p["PhysicalResourceId"] for one in _shown(stack)):
            return {"StackResources": [views.resource(stack, one) for one in _shown(stack)]}
    raise refused(f"Stack for {p['PhysicalResourceId']} does not exist")


def resource(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeStackResource."""
    stack = engine_of(context).stack(p["StackName"])
    for one in _shown(stack):
        if one.logical_id == p["LogicalResourceId"]:
            detail = views.resource_detail(stack, one)
            metadata = json.dumps(one.metadata) if one.metadata is not None else None
            return {"StackResourceDetail": detail | {"Metadata": metadata}}
    raise _no_resource(p["LogicalResourceId"], stack)


def list_resources(context: Context, p: Parameters) -> dict[str, Any]:
    """ListStackResources."""
    stack = engine_of(context).stack(p["StackName"])
    found, more = page(_shown(stack), p.get("NextToken"))
    return {"StackResourceSummaries": [views.resource_summary(one) for one in found], "NextToken": more}


def exports(context: Context, p: Parameters) -> dict[str, Any]:
    """ListExports."""
    known = sorted(engine_of(context).progress.exports.by_name.items())
    found, more = page(known, p.get("NextToken"))
    listed = [{"ExportingStackId": owner, "Name": name, "Value": value} for name, (owner, value) in found]
    return {"Exports": listed, "NextToken": more}


def imports(context: Context, p: Parameters) -> dict[str, Any]:
    """ListImports."""
    users = engine_of(context).progress.exports.importers(p["ExportName"])
    if not users:
        raise refused(f"Export '{p['ExportName']}' is not imported by any stack.")
    found, more = page(users, p.get("NextToken"))
    return {"Imports": list(found), "NextToken": more}


def _shown(stack: Stack) -> list[StackResource]:
    return [one for one in sorted(stack.resources.values(), key=lambda one: one.logical_id) if one.status]


def _no_resource(logical: str, stack: Stack) -> Exception:
    return refused(f"Resource {logical} does not exist for stack {stack.name}")


OPERATIONS = {
    "CreateStack": operation(
        create,
        "StackName",
        *(name for name in WISH if name != "UsePreviousTemplate"),
        "OnFailure",
        "DisableRollback",
        "TimeoutInMinutes",
        "EnableTerminationProtection",
        "ClientRequestToken",
        *UNHEEDED,
    ),
    "UpdateStack": operation(update, "StackName", *WISH, "DisableRollback", "ClientRequestToken", *UNHEEDED),
    "DeleteStack": operation(delete, "StackName", "RetainResources", "RoleARN", "ClientRequestToken"),
    "CancelUpdateStack": operation(cancel_update, "StackName", "ClientRequestToken"),
    "ContinueUpdateRollback": operation(
        continue_rollback, "StackName", "ResourcesToSkip", "RoleARN", "ClientRequestToken"
    ),
    "UpdateTerminationProtection": operation(protect, "StackName", "EnableTerminationProtection"),
    "SignalResource": operation(signal, "StackName", "LogicalResourceId", "UniqueId", "Status"),
    "DescribeStacks": operation(describe, "StackName", "NextToken"),
    "ListStacks": operation(list_stacks, "StackStatusFilter", "NextToken"),
    "DescribeStackEvents": operation(events, "StackName", "NextToken"),
    "DescribeStackResources": operation(resources, "StackName", "LogicalResourceId", "PhysicalResourceId"),
    "DescribeStackResource": operation(resource, "StackName", "LogicalResourceId"),
    "ListStackResources": operation(list_resources, "StackName", "NextToken"),
    "ListExports": operation(exports, "NextToken"),
    "ListImports": operation(imports, "ExportName", "NextToken"),
}
