"""Stacks as CloudFormation's calls show them."""

from __future__ import annotations

from typing import Any

from vpclab.aws.cloudformation.arguments import moment, pairs
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.cloudformation.values import Output, StackEvent, StackResource

DRIFT = {"StackDriftStatus": "NOT_CHECKED"}
RESOURCE_DRIFT = {"StackResourceDriftStatus": "NOT_CHECKED"}
HIDDEN = "****"
"""What is shown of a NoEcho parameter."""


def stack(one: Stack) -> dict[str, Any]:
    """One of DescribeStacks."""
    intent = one.intent
    return {
        "StackId": one.id,
        "StackName": one.name,
        "ChangeSetId": one.change_set_id or None,
        "Description": (intent.template.description or None) if intent else None,
        "Parameters": parameters(intent) if intent else [],
        "CreationTime": moment(one.created_at),
        "LastUpdatedTime": moment(one.updated_at),
        "DeletionTime": moment(one.deleted_at),
        "RollbackConfiguration": {},
        "StackStatus": one.status,
        "StackStatusReason": one.reason or None,
        "DisableRollback": one.disable_rollback,
        "NotificationARNs": list(intent.notification_arns) if intent else [],
        "TimeoutInMinutes": one.timeout_minutes,
        "Capabilities": list(intent.capabilities) if intent else [],
        "Outputs": [output(each) for each in one.outputs],
        "RoleARN": (intent.role_arn or None) if intent else None,
        "Tags": pairs(intent.tags) if intent else [],
        "EnableTerminationProtection": one.termination_protection,
        "DriftInformation": DRIFT,
    }


def summary(one: Stack) -> dict[str, Any]:
    """One of ListStacks."""
    return {
        "StackId": one.id,
        "StackName": one.name,
        "TemplateDescription": (one.intent.template.description or None) if one.intent else None,
        "CreationTime": moment(one.created_at),
        "LastUpdatedTime": moment(one.updated_at),
        "DeletionTime": moment(one.deleted_at),
        "StackStatus": one.status,
        "StackStatusReason": one.reason or None,
        "DriftInformation": DRIFT,
    }


def parameters(intent: Intent) -> list[dict[str, Any]]:
    """A stack's parameters."""
    return [
        {
            "ParameterKey": key,
            "ParameterValue": HIDDEN if one.no_echo else one.given,
            "ResolvedValue": one.resolved or None,
        }
        for key, one in intent.parameters.items()
    ]


def output(one: Output) -> dict[str, Any]:
    """A stack's output."""
    return {
        "OutputKey": one.key,
        "OutputValue": one.value,
        "Description": one.description or None,
        "ExportName": one.export or None,
    }


def event(of: Stack, one: StackEvent) -> dict[str, Any]:
    """One of DescribeStackEvents."""
    return {
        "StackId": of.id,
        "EventId": one.id,
        "StackName": of.name,
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id,
        "ResourceType": one.type,
        "Timestamp": moment(one.at),
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "ResourceProperties": one.properties or None,
        "ClientRequestToken": one.token or None,
    }


def resource(of: Stack, one: StackResource) -> dict[str, Any]:
    """One of DescribeStackResources."""
    return {
        "StackName": of.name,
        "StackId": of.id,
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id or None,
        "ResourceType": one.type,
        "Timestamp": moment(one.at),
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "DriftInformation": RESOURCE_DRIFT,
    }


def resource_detail(of: Stack, one: StackResource) -> dict[str, Any]:
    """DescribeStackResource."""
    found = resource(of, one)
    found["LastUpdatedTimestamp"] = found.pop("Timestamp")
    return found


def resource_summary(one: StackResource) -> dict[str, Any]:
    """One of ListStackResources."""
    return {
        "LogicalResourceId": one.logical_id,
        "PhysicalResourceId": one.physical_id or None,
        "ResourceType": one.type,
        "LastUpdatedTimestamp": moment(one.at),
        "ResourceStatus": one.status,
        "ResourceStatusReason": one.reason or None,
        "DriftInformation": RESOURCE_DRIFT,
    }
