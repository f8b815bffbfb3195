"""Launch templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import contradiction
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.launch_templates import LaunchTemplate, Version
from vpclab.region.region import Region

CALLER = "arn:aws:iam::{account}:user/admin"


def named(p: Mapping[str, Any]) -> str:
    """The template that is spoken of. Raises ApiError: InvalidParameterCombination."""
    if ("LaunchTemplateId" in p) == ("LaunchTemplateName" in p):
        raise contradiction("Specify either the launch template's ID or its name, and not both")
    return str(p.get("LaunchTemplateId") or p["LaunchTemplateName"])


def create(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateLaunchTemplate."""
    made = region.launch_templates.create(
        p["LaunchTemplateName"],
        p["LaunchTemplateData"],
        description=p.get("VersionDescription", ""),
        tags=args.tags_for(p, "launch-template"),
    )
    return {"LaunchTemplate": _template(region, made)}


def create_version(region: Region, p: Parameters) -> dict[str, Any]:
    """CreateLaunchTemplateVersion."""
    templates = region.launch_templates
    data = dict(p["LaunchTemplateData"])
    if "SourceVersion" in p:
        data = {**templates.get(named(p)).version(p["SourceVersion"]).data, **data}
    made = templates.create_version(named(p), data, description=p.get("VersionDescription", ""))
    return {"LaunchTemplateVersion": _version(region, templates.get(named(p)), made)}


def modify(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyLaunchTemplate: the default version."""
    changed = region.launch_templates.set_default(named(p), p.get("DefaultVersion", "$Default"))
    return {"LaunchTemplate": _template(region, changed)}


def delete(region: Region, p: Parameters) -> dict[str, Any]:
    """DeleteLaunchTemplate."""
    return {"LaunchTemplate": _template(region, region.launch_templates.delete(named(p)))}


_READERS: Mapping[str, Reader[LaunchTemplate]] = {"launch-template-name": lambda one: (one.name,)}


def describe(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeLaunchTemplates."""
    templates = region.launch_templates
    chosen = [
        templates.get(one) for one in (*p.get("LaunchTemplateIds", ()), *p.get("LaunchTemplateNames", ()))
    ]
    asked = args.query({key: value for key, value in p.items() if key in PAGED}, "LaunchTemplateIds")
    everything = chosen or list(templates.by_id.values())
    found = matching(everything, asked.filters, _READERS)
    places = {one.id: place for place, one in enumerate(templates.by_id.values())}
    page = paged(found, places, asked.max_results, asked.next_token)
    return {"LaunchTemplates": [_template(region, one) for one in page.items], "NextToken": page.next_token}


def describe_versions(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeLaunchTemplateVersions, of one template."""
    template = region.launch_templates.get(named(p))
    wanted = p.get("Versions") or [str(one.number) for one in template.versions]
    found = [_version(region, template, template.version(one)) for one in wanted]
    return {"LaunchTemplateVersions": found}


def _template(region: Region, one: LaunchTemplate) -> dict[str, Any]:
    return {
        "LaunchTemplateId": one.id,
        "LaunchTemplateName": one.name,
        "CreateTime": items.moment(one.created_at),
        "CreatedBy": CALLER.format(account=region.account),
        "DefaultVersionNumber": one.default,
        "LatestVersionNumber": one.versions[-1].number,
        "Tags": items.tag_set(one.tags),
    }


def _version(region: Region, template: LaunchTemplate, one: Version) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": one.number,
        "VersionDescription": one.description or None,
        "CreateTime": items.moment(one.created_at),
        "CreatedBy": CALLER.format(account=region.account),
        "DefaultVersion": one.number == template.default,
        "LaunchTemplateData": dict(one.data),
    }


_NAMED = ("LaunchTemplateId", "LaunchTemplateName")
OPERATIONS = {
    "CreateLaunchTemplate": operation(
        create, "LaunchTemplateName", "LaunchTemplateData", "VersionDescription", "TagSpecifications"
    ),
    "CreateLaunchTemplateVersion": operation(
        create_version, *_NAMED, "LaunchTemplateData", "VersionDescription", "SourceVersion"
    ),
    "ModifyLaunchTemplate": operation(modify, *_NAMED, "DefaultVersion"),
    "DeleteLaunchTemplate": operation(delete, *_NAMED),
    "DescribeLaunchTemplates": operation(describe, "LaunchTemplateIds", "LaunchTemplateNames", *PAGED),
    "DescribeLaunchTemplateVersions": operation(describe_versions, *_NAMED, "Versions"),
}
