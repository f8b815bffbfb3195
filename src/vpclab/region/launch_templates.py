"""Launch templates: versions of what a launch is to be; what a version says is kept as it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Resource, Tags, frozen


@dataclass(frozen=True, slots=True)
class Version:
    """One version."""

    number: int
    data: Mapping[str, Any]
    """RequestLaunchTemplateData as EC2's model has it."""
    description: str
    created_at: float


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """A launch template; its versions count from 1."""

    id: str
    name: str
    created_at: float
    versions: tuple[Version, ...]
    default: int = 1
    tags: Tags = field(default_factory=dict, hash=False)

    def version(self, wanted: str = "$Default") -> Version:
        """By number, $Default or $Latest. Raises ApiError: InvalidLaunchTemplateId.VersionNotFound."""
        if wanted == "$Latest":
            return self.versions[-1]
        number = str(self.default) if wanted in ("", "$Default") else wanted
        for one in self.versions:
            if str(one.number) == number:
                return one
        raise ApiError(
            "InvalidLaunchTemplateId.VersionNotFound",
            f"Could not find the specified version {wanted} for {self.id}",
        )


class LaunchTemplates:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.by_id: dict[str, LaunchTemplate] = {}
        tables.further[Resource.LAUNCH_TEMPLATE] = self.by_id

    def create(
        self, name: str, data: Mapping[str, Any], *, description: str = "", tags: Tags = NO_TAGS
    ) -> LaunchTemplate:
        """With its first version. Raises ApiError: InvalidLaunchTemplateName.AlreadyExistsException."""
        if any(one.name == name for one in self.by_id.values()):
            raise ApiError(
                "InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use."
            )
        first = Version(1, dict(data), description, self._tables.now)
        return self._put(
            LaunchTemplate(self._tables.new_id("lt"), name, self._tables.now, (first,), tags=frozen(tags))
        )

    def create_version(self, id_or_name: str, data: Mapping[str, Any], *, description: str = "") -> Version:
        """Another one. Raises ApiError as `get`."""
        template = self.get(id_or_name)
        made = Version(template.versions[-1].number + 1, dict(data), description, self._tables.now)
        self._put(replace(template, versions=(*template.versions, made)))
        return made

    def set_default(self, id_or_name: str, version: str) -> LaunchTemplate:
        """What $Default is. Raises ApiError as `get` and `LaunchTemplate.version`."""
        template = self.get(id_or_name)
        return self._put(replace(template, default=template.version(version).number))

    def delete(self, id_or_name: str) -> LaunchTemplate:
        """With all versions. Raises ApiError as `get`."""
        template = self.get(id_or_name)
        del self.by_id[template.id]
        self._tables.note(Resource.LAUNCH_TEMPLATE, template.id)
        return template

    def get(self, id_or_name: str) -> LaunchTemplate:
        """By either. Raises ApiError: InvalidLaunchTemplateId.NotFound, InvalidLaunchTemplateName.NotFoundException."""
        for one in self.by_id.values():
            if id_or_name in (one.id, one.name):
                return one
        if id_or_name.startswith("lt-"):
            raise ApiError(
                "InvalidLaunchTemplateId.NotFound",
                f"The specified launch template, with template ID {id_or_name}, does not exist.",
            )
        raise ApiError(
            "InvalidLaunchTemplateName.NotFoundException",
            f"The specified launch template, with template name {id_or_name}, does not exist.",
        )

    def _put(self, template: LaunchTemplate) -> LaunchTemplate:
        self.by_id[template.id] = template
        self._tables.note(Resource.LAUNCH_TEMPLATE, template.id)
        return template
