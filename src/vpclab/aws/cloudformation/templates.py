"""Templates: looked at, with or without a stack."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vpclab.aws.cloudformation.arguments import template
from vpclab.aws.cloudformation.stacks import engine_of
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.parameter_types import Parameter
from vpclab.cloudformation.template import Template


def get(context: Context, p: Parameters) -> dict[str, Any]:
    """GetTemplate: of a stack, or of a change set."""
    engine = engine_of(context)
    if "ChangeSetName" in p:
        text = engine.change_set(p["ChangeSetName"], p.get("StackName")).intent.template.text
    elif "StackName" in p:
        intent = engine.stack(p["StackName"]).intent
        text = "" if intent is None else intent.template.text
    else:
        raise refused("StackName or ChangeSetName must be specified")
    return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}


def summary(context: Context, p: Parameters) -> dict[str, Any]:
    """GetTemplateSummary."""
    engine = engine_of(context)
    if "StackName" in p:
        intent = engine.stack(p["StackName"]).intent
        found = None if intent is None else intent.template
    else:
        found = engine.parsed(_text(p))
    if found is None:
        raise refused(f"Stack {p['StackName']} has no template yet")
    return {
        "Parameters": [_declared(one) for one in found.parameters.values()],
        "Description": found.description or None,
        **_capabilities(found),
        "ResourceTypes": sorted({one.type for one in found.resources.values()}),
        "Version": "2010-09-09",
        "Metadata": None if found.metadata is None else str(found.metadata),
        "DeclaredTransforms": list(found.transforms),
    }


def validate(context: Context, p: Parameters) -> dict[str, Any]:
    """ValidateTemplate."""
    found = engine_of(context).parsed(_text(p))
    parameters = [
        {
            "ParameterKey": one.name,
            "DefaultValue": one.default,
            "NoEcho": one.no_echo,
            "Description": one.description or None,
        }
        for one in found.parameters.values()
    ]
    return {
        "Parameters": parameters,
        "Description": found.description or None,
        **_capabilities(found),
        "DeclaredTransforms": list(found.transforms),
    }


def _text(p: Parameters) -> str:
    text = template(p)
    if text is None:
        raise refused("Either Template URL or Template Body must be specified.")
    return text


def _capabilities(found: Template) -> dict[str, Any]:
    if not found.capabilities:
        return {}
    guarded: Iterable[str] = sorted(
        {one.type for one in found.resources.values() if one.type.startswith("AWS::IAM::")}
    )
    return {
        "Capabilities": list(found.capabilities),
        "CapabilitiesReason": f"The following resource(s) require capabilities: [{', '.join(guarded)}]",
    }


def _declared(one: Parameter) -> dict[str, Any]:
    constraints = {"AllowedValues": list(one.allowed_values)} if one.allowed_values else {}
    return {
        "ParameterKey": one.name,
        "DefaultValue": one.default,
        "ParameterType": one.type,
        "NoEcho": one.no_echo,
        "Description": one.description or None,
        "ParameterConstraints": constraints,
    }


OPERATIONS = {
    "GetTemplate": operation(get, "StackName", "ChangeSetName", "TemplateStage"),
    "GetTemplateSummary": operation(summary, "StackName", "TemplateBody", "TemplateURL"),
    "ValidateTemplate": operation(validate, "TemplateBody", "TemplateURL"),
}
