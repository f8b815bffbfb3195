"""Launch templates: what RunInstances is to be told, kept in versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters
from vpclab.aws.service import Context, Remembered, operation
from vpclab.aws.times import moment
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.values import ApiError, Tags


@dataclass
class Template:
    """A template; `versions[0]` is version 1, None where one was deleted."""

    id: str
    name: str
    created: float
    creator: str
    versions: list[tuple[Mapping[str, Any], str, float] | None]
    """Data, description and time of each."""
    default: int = 1
    tags: Tags = field(default_factory=dict)

    @property
    def latest(self) -> int:
        """The newest version's number."""
        return max(n for n, one in enumerate(self.versions, 1) if one is not None)

    def number(self, version: str) -> int:
        """A version by its number, `$Latest` or `$Default`. Raises ApiError: InvalidLaunchTemplateId.VersionNotFound."""
        named = {"$Latest": self.latest, "$Default": self.default}
        found = named.get(version, int(version) if version.isascii() and version.isdigit() else 0)
        if not 1 <= found <= len(self.versions) or self.versions[found - 1] is None:
            raise ApiError(
                "InvalidLaunchTemplateId.VersionNotFound",
                f"Could not find the specified version {version} for the launch template with ID {self.id}.",
            )
        return found

    def data(self, version: str) -> Mapping[str, Any]:
        """What a version says. Raises ApiError as `number`."""
        kept = self.versions[self.number(version) - 1]
        return {} if kept is None else kept[0]


class Templates(Remembered):
    """The region's, by id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Template] = {}

    def named(self, name: str) -> Template | None:
        """By name."""
        return next((one for one in self.by_id.values() if one.name == name), None)

    def find(self, p: Parameters) -> Template:
        """By what a request says. Raises ApiError: MissingParameter, InvalidLaunchTemplateId.NotFound, …Name.NotFoundException."""
        if "LaunchTemplateId" in p:
            wanted = p["LaunchTemplateId"]
            if wanted not in self.by_id:
                raise ApiError(
                    "InvalidLaunchTemplateId.NotFound",
                    f"The specified launch template, with template ID {wanted}, does not exist.",
                )
            return self.by_id[wanted]
        name = args.one_of(p, "LaunchTemplateName", "LaunchTemplateId")
        found = self.named(name)
        if found is None:
            raise ApiError(
                "InvalidLaunchTemplateName.NotFoundException",
                f"The specified launch template, with template name {name}, does not exist.",
            )
        return found


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateLaunchTemplate."""
    templates = context.kept(Templates)
    name = p["LaunchTemplateName"]
    if templates.named(name) is not None:
        raise ApiError(
            "InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use."
        )
    now = context.region.now
    made = Template(
        items.derived_id("lt", name, context.request_id),
        name,
        now,
        context.caller.arn,
        [(p["LaunchTemplateData"], p.get("VersionDescription", ""), now)],
        tags=args.tags_for(p, "launch-template"),
    )
    templates.by_id[made.id] = made
    return {"LaunchTemplate": _item(made)}


def create_version(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateLaunchTemplateVersion: on top of a source version if one is named."""
    template = context.kept(Templates).find(p)
    source = template.data(p["SourceVersion"]) if "SourceVersion" in p else {}
    entry = ({**source, **p["LaunchTemplateData"]}, p.get("VersionDescription", ""), context.region.now)
    template.versions.append(entry)
    return {"LaunchTemplateVersion": _version(template, len(template.versions))}


def modify(context: Context, p: Parameters) -> dict[str, Any]:
    """ModifyLaunchTemplate: another default version."""
    template = context.kept(Templates).find(p)
    template.default = template.number(args.one_of(p, "DefaultVersion"))
    return {"LaunchTemplate": _item(template)}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteLaunchTemplate."""
    templates = context.kept(Templates)
    template = templates.find(p)
    del templates.by_id[template.id]
    return {"LaunchTemplate": _item(template)}


_READERS: Mapping[str, Reader[Template]] = {
    "launch-template-name": lambda t: (t.name,),
    "create-time": lambda t: (moment(t.created).isoformat(),),
}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeLaunchTemplates."""
    templates = context.kept(Templates)
    asked = args.query(p, "LaunchTemplateIds")
    named = [templates.find({"LaunchTemplateName": name}) for name in p.get("LaunchTemplateNames", ())]
    by_id = [templates.find({"LaunchTemplateId": one}) for one in asked.ids]
    candidates = [*by_id, *named] if asked.ids or named else list(templates.by_id.values())
    ordinals = {key: place for place, key in enumerate(templates.by_id)}
    page = paged(matching(candidates, asked.filters, _READERS), ordinals, asked.max_results, asked.next_token)
    return {"LaunchTemplates": [_item(one) for one in page.items], "NextToken": page.next_token}


def describe_versions(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeLaunchTemplateVersions: of one template, or the latest or default ones of all."""
    templates = context.kept(Templates)
    wanted = p.get("Versions", ())
    if "LaunchTemplateId" in p or "LaunchTemplateName" in p:
        template = templates.find(p)
        there = [n for n, kept in enumerate(template.versions, 1) if kept is not None]
        low, high = int(p.get("MinVersion", 1)), int(p.get("MaxVersion", len(template.versions)))
        numbers = [template.number(one) for one in wanted] or [n for n in reversed(there) if low <= n <= high]
        return {"LaunchTemplateVersions": [_version(template, n) for n in numbers]}
    if not wanted or set(wanted) - {"$Latest", "$Default"}:
        raise ApiError(
            "MissingParameter",
            "When you do not specify a launch template, Versions must be $Latest or $Default",
        )
    return {
        "LaunchTemplateVersions": [
            _version(one, one.number(version)) for one in templates.by_id.values() for version in wanted
        ]
    }


def launch_parameters(context: Context, p: Parameters) -> dict[str, Any]:
    """What a launch is told by its template, under what it says itself. Raises ApiError as `Templates.find`."""
    said = dict(p)
    specification = said.pop("LaunchTemplate", None)
    if specification is None:
        return said
    template = context.kept(Templates).find(specification)
    data = dict(template.data(specification.get("Version", "$Default")))
    if "NetworkInterfaces" in said or "SubnetId" in said or "SecurityGroupIds" in said:
        for interface in data.get("NetworkInterfaces", ())[:1]:
            # groups of the template's interface hold where the launch names none
            if "Groups" in interface and "NetworkInterfaces" not in said:
                said.setdefault("SecurityGroupIds", interface["Groups"])
        data.pop("NetworkInterfaces", None)
    tags = {"TagSpecifications": [*data.pop("TagSpecifications", ()), *said.pop("TagSpecifications", ())]}
    return {**data, **said, **tags}


def _item(template: Template) -> dict[str, Any]:
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "CreateTime": moment(template.created),
        "CreatedBy": template.creator,
        "DefaultVersionNumber": template.default,
        "LatestVersionNumber": template.latest,
        "Tags": items.tag_set(template.tags),
    }


def _version(template: Template, number: int) -> dict[str, Any]:
    data, description, created = template.versions[number - 1] or ({}, "", 0.0)
    return {
        "LaunchTemplateId": template.id,
        "LaunchTemplateName": template.name,
        "VersionNumber": number,
        "VersionDescription": description or None,
        "CreateTime": moment(created),
        "CreatedBy": template.creator,
        "DefaultVersion": number == template.default,
        "LaunchTemplateData": data,
    }


_WHICH = ("LaunchTemplateId", "LaunchTemplateName")
OPERATIONS = {
    "CreateLaunchTemplate": operation(
        create, "LaunchTemplateName", "VersionDescription", "LaunchTemplateData", "TagSpecifications"
    ),
    "CreateLaunchTemplateVersion": operation(
        create_version, *_WHICH, "SourceVersion", "VersionDescription", "LaunchTemplateData"
    ),
    "ModifyLaunchTemplate": operation(modify, *_WHICH, "DefaultVersion"),
    "DeleteLaunchTemplate": operation(delete, *_WHICH),
    "DescribeLaunchTemplates": operation(describe, "LaunchTemplateIds", "LaunchTemplateNames", *PAGED),
    "DescribeLaunchTemplateVersions": operation(
        describe_versions,
        *_WHICH,
        "Versions",
        "MinVersion",
        "MaxVersion",
        "MaxResults",
        "NextToken",
        "Filters",
    ),
}
