"""A template as a value, and what can be found wrong with it before anything is resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vpclab.cloudformation import template_text
from vpclab.cloudformation.errors import bad_format, bad_template, refused
from vpclab.cloudformation.graph import check_circles
from vpclab.cloudformation.parameter_types import Parameter, read_parameter
from vpclab.cloudformation.references import Kind, Reference, condition_references, references

PSEUDO = frozenset(
    f"AWS::{name}"
    for name in (
        "AccountId", "NotificationARNs", "NoValue", "Partition", "Region", "StackId", "StackName", "URLSuffix",
    )
)  # fmt: skip
EXTENSIONS = "AWS::LanguageExtensions"
_SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Rules", "Mappings", "Conditions",
        "Transform", "Resources", "Outputs",
    }
)  # fmt: skip
_RESOURCE_KEYS = frozenset(
    {
        "Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "CreationPolicy",
        "UpdatePolicy", "Metadata",
    }
)  # fmt: skip
_POLICIES = ("Delete", "Retain", "Snapshot", "RetainExceptOnCreate")
_MOST_RESOURCES = 500


class KnownType(Protocol):
    """What a template's check asks of a resource type."""

    @property
    def attributes(self) -> frozenset[str]:
        """What Fn::GetAtt knows."""

    @property
    def any_attribute(self) -> bool:
        """Whether Fn::GetAtt knows whatever it is asked for."""


KnownTypes = Mapping[str, KnownType]


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as its template says it."""

    name: str
    type: str
    properties: Mapping[str, Any]
    depends_on: frozenset[str]
    """By DependsOn alone."""
    condition: str = ""
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    creation_policy: Mapping[str, Any] = field(default_factory=dict)
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class Template:
    """A template that is well formed."""

    text: str
    description: str
    parameters: Mapping[str, Parameter]
    mappings: Mapping[str, Any]
    conditions: Mapping[str, Any]
    rules: Mapping[str, Any]
    resources: Mapping[str, Declared]
    outputs: Mapping[str, Mapping[str, Any]]
    metadata: Any
    transforms: tuple[str, ...]

    @property
    def extended(self) -> bool:
        """Whether AWS::LanguageExtensions is on."""
        return EXTENSIONS in self.transforms

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What a request has to acknowledge, by what is in the template."""
        found: list[str] = []
        iam = [one for one in self.resources.values() if one.type.startswith("AWS::IAM::")]
        if any(key.endswith("Name") and key in _IAM_NAMES for one in iam for key in one.properties):
            found.append("CAPABILITY_NAMED_IAM")
        elif any(one.type in _IAM_GUARDED for one in iam):
            found.append("CAPABILITY_IAM")
        if self.transforms:
            found.append("CAPABILITY_AUTO_EXPAND")
        return tuple(found)

    def needs(self, name: str, holds: Any = None) -> frozenset[str]:
        """The resources that one waits for: by DependsOn and by what its properties speak of."""
        declared = self.resources[name]
        spoken = (one.name for one in references(declared.properties, holds) if one.name in self.resources)
        return frozenset((*declared.depends_on, *spoken))


_IAM_GUARDED = frozenset(
    f"AWS::IAM::{name}"
    for name in ("AccessKey", "Group", "InstanceProfile", "ManagedPolicy", "Policy", "Role", "User")
)
_IAM_NAMES = frozenset({"RoleName", "InstanceProfileName", "ManagedPolicyName", "UserName", "GroupName"})


def parse(text: str, types: KnownTypes) -> Template:
    """The template of a text. Raises ApiError: ValidationError."""
    whole = template_text.read(text)
    strange = sorted(whole.keys() - _SECTIONS)
    if strange:
        raise bad_format(f"Invalid template property or properties [{', '.join(strange)}]")
    if str(whole.get("AWSTemplateFormatVersion", "2010-09-09")) != "2010-09-09":
        raise bad_format("Template format version not supported.")
    sections = {name: _section(whole, name) for name in _SECTIONS - {"Transform", "Description", "Metadata"}}
    if not sections["Resources"]:
        raise bad_format("At least one Resources member must be defined.")
    if len(sections["Resources"]) > _MOST_RESOURCES:
        raise bad_format(
            f"Number of resources, {len(sections['Resources'])}, is greater than maximum allowed, {_MOST_RESOURCES}"
        )
    template = Template(
        text=text,
        description=str(whole.get("Description", "")),
        parameters={name: read_parameter(name, one) for name, one in sections["Parameters"].items()},
        mappings=sections["Mappings"],
        conditions=sections["Conditions"],
        rules=sections["Rules"],
        resources={name: _declared(name, one) for name, one in sections["Resources"].items()},
        outputs={name: _output(name, one) for name, one in sections["Outputs"].items()},
        metadata=whole.get("Metadata"),
        transforms=_transforms(whole.get("Transform")),
    )
    unknown = sorted({one.type for one in template.resources.values()} - types.keys())
    if unknown:
        raise bad_format(f"Unrecognized resource types: [{', '.join(unknown)}]")
    _check_names(template, types)
    check_circles({name: template.needs(name) for name in template.resources})
    return template


def _section(whole: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = whole.get(name)
    if section is None or name == "AWSTemplateFormatVersion":
        return {}
    if not isinstance(section, dict):
        raise bad_format(
            f"'{name}' section must be a map of objects"
            if name != "Resources"
            else f"{name} must be an object."
        )
    return section


def _transforms(given: Any) -> tuple[str, ...]:
    names = () if given is None else (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if name != EXTENSIONS:
            raise refused(f"No transform named {name} found.")
    return names


def _declared(name: str, given: Any) -> Declared:
    at = f"[/Resources/{name}]"
    if not isinstance(given, dict):
        raise bad_format(f"{at} resource definition is malformed")
    if not name.isalnum() or not name.isascii():
        raise bad_format(f"Resource name {name} is non alphanumeric.")
    strange = sorted(given.keys() - _RESOURCE_KEYS)
    if strange:
        raise bad_format(f"Invalid template resource property '{strange[0]}'")
    if not isinstance(given.get("Type"), str):
        raise bad_format(f"{at} Every Resources object must contain a Type member.")
    depends = given.get("DependsOn", [])
    depends = [depends] if isinstance(depends, str) else depends
    if not isinstance(depends, list) or not all(isinstance(one, str) for one in depends):
        raise bad_format(f"{at} Every DependsOn value must be a string or a list of strings")
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        if given.get(policy, "Delete") not in _POLICIES:
            raise bad_format(f"Unrecognized {policy} {given[policy]} for resource {name}")
    properties = given.get("Properties") or {}
    if not isinstance(properties, dict):
        raise bad_format(f"{at} Properties must be an object.")
    return Declared(
        name,
        given["Type"],
        properties,
        frozenset(depends),
        condition=str(given.get("Condition", "")),
        deletion_policy=given.get("DeletionPolicy", "Delete"),
        update_replace_policy=given.get("UpdateReplacePolicy", "Delete"),
        creation_policy=given.get("CreationPolicy") or {},
        metadata=given.get("Metadata"),
    )


def _output(name: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, dict) or given.keys() - {"Value", "Description", "Export", "Condition"}:
        raise bad_format(
            f"[/Outputs/{name}] Invalid output: Value, Description, Export and Condition are known"
        )
    if not name.isalnum() or not name.isascii():
        raise bad_format(f"Output name {name} is non alphanumeric.")
    if given.get("Value") is None:
        raise bad_format(f"[/Outputs/{name}] Every Outputs member must contain a Value object")
    return given


def _check_names(template: Template, types: KnownTypes) -> None:
    known = PSEUDO | template.parameters.keys()
    for part, named, values in (
        ("Resources", known | template.resources.keys(), _resource_values(template)),
        ("Outputs", known | template.resources.keys(), list(template.outputs.values())),
    ):
        found = [one for value in values for one in references(value)]
        depends = {one for each in template.resources.values() for one in each.depends_on}
        refs = {one.name for one in found if one.kind in (Kind.REF, Kind.SUB)}
        unresolved = sorted(refs - named)
        if part == "Resources":
            unresolved = sorted({*unresolved, *(depends - template.resources.keys())})
        if unresolved:
            raise bad_format(
                f"Unresolved resource dependencies [{', '.join(unresolved)}] in the {part} block of the template"
            )
        _check_attributes(template, types, found)
        _check_mappings(template, found)
        _check_conditions(template, part, (one.name for one in found if one.kind is Kind.CONDITION))
    uses = [one.condition for one in template.resources.values() if one.condition]
    _check_conditions(template, "Resources", uses)
    _check_conditions(
        template, "Outputs", [one["Condition"] for one in template.outputs.values() if "Condition" in one]
    )
    _check_condition_block(template, known)


def _resource_values(template: Template) -> list[Any]:
    return [[one.properties, one.creation_policy] for one in template.resources.values()]


def _check_attributes(template: Template, types: KnownTypes, found: Iterable[Reference]) -> None:
    for one in found:
        if one.kind is not Kind.ATTRIBUTE:
            continue
        if one.name not in template.resources:
            raise bad_template(f"instance of Fn::GetAtt references undefined resource {one.name}")
        kind = types[template.resources[one.name].type]
        if one.attribute and not kind.any_attribute and one.attribute not in kind.attributes:
            raise bad_template(
                f"resource {one.name} does not support attribute type {one.attribute} in Fn::GetAtt"
            )


def _check_mappings(template: Template, found: Iterable[Reference]) -> None:
    for one in found:
        if one.kind is Kind.MAPPING and one.name not in template.mappings:
            raise bad_template(
                f"Mapping named '{one.name}' is not present in the 'Mappings' section of template."
            )


def _check_conditions(template: Template, part: str, names: Iterable[str]) -> None:
    for name in names:
        if name not in template.conditions:
            raise bad_format(f"Unresolved condition dependency {name} in the {part} block of the template")


def _check_condition_block(template: Template, known: frozenset[str]) -> None:
    needs: dict[str, frozenset[str]] = {}
    for name, value in template.conditions.items():
        found = list(condition_references(value))
        strange = sorted(
            {one.name for one in found if one.kind in (Kind.REF, Kind.SUB, Kind.ATTRIBUTE)} - known
        )
        if strange:
            raise bad_format(
                f"Unresolved dependencies [{', '.join(strange)}]. Cannot reference resources in the Conditions block"
                " of the template"
            )
        conditions = [one.name for one in found if one.kind is Kind.CONDITION]
        _check_conditions(template, "Conditions", conditions)
        _check_mappings(template, found)
        needs[name] = frozenset(conditions)
    _check_condition_circles(needs)


def _check_condition_circles(needs: Mapping[str, frozenset[str]]) -> None:
    def reached(name: str, seen: frozenset[str]) -> Iterator[str]:
        for below in needs[name]:
            yield below
            if below not in seen:
                yield from reached(below, seen | {below})

    circular = sorted(name for name in needs if name in set(reached(name, frozenset({name}))))
    if circular:
        raise bad_format(f"Circular dependencies for conditions [{', '.join(circular)}]")
