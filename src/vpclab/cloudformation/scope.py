"""What the names in one stack's template stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.cloudformation.errors import bad_template, refused
from vpclab.cloudformation.functions import NO_VALUE, Unknown, holds, resolve, text_of
from vpclab.cloudformation.template import Template
from vpclab.cloudformation.values import ParameterValue, StackResource


@dataclass(slots=True)
class Scope:
    """`Names` (functions.py) for a template with its parameters, over the resources that are there."""

    template: Template
    parameters: Mapping[str, ParameterValue]
    pseudo: Mapping[str, Any]
    resources: Mapping[str, StackResource]
    imports: Callable[[str], str | None]
    zones_of: Callable[[str], list[str]]
    unknown: frozenset[str] = frozenset()
    """Resources whose names and attributes will be other ones than now."""
    imported_names: set[str] = field(default_factory=set)
    """Exports that were asked for."""
    _holds: dict[str, bool] = field(default_factory=dict)

    @property
    def extended(self) -> bool:
        """Whether AWS::LanguageExtensions is on."""
        return self.template.extended

    def ref(self, name: str) -> Any:
        """Of a parameter, a pseudo parameter or a resource."""
        if name in self.parameters:
            return self.parameters[name].value
        if name in self.pseudo:
            return self.pseudo[name]
        if name in self.unknown:
            return Unknown(name)
        return self._resource(name).physical_id

    def attribute(self, name: str, attribute: str) -> Any:
        """Of a resource."""
        if name in self.unknown:
            return Unknown(f"{name}.{attribute}")
        found = self._resource(name).attributes
        if attribute not in found:
            raise bad_template(f"resource {name} does not support attribute type {attribute} in Fn::GetAtt")
        return found[attribute]

    def mapped(self, mapping: str, top: str, second: str) -> Any:
        """Of a mapping."""
        if mapping not in self.template.mappings:
            raise bad_template(
                f"Mapping named '{mapping}' is not present in the 'Mappings' section of template."
            )
        return self.template.mappings[mapping][top][second]

    def condition(self, name: str) -> bool:
        """Whether a condition holds; each is looked at once."""
        if name not in self._holds:
            if name not in self.template.conditions:
                raise bad_template(f"Unresolved condition dependency {name}")
            self._holds[name] = holds(self.template.conditions[name], self)
        return self._holds[name]

    def imported(self, name: str) -> str:
        """Another stack's export."""
        found = self.imports(name)
        if found is None:
            raise refused(f"No export named {name} found.")
        self.imported_names.add(name)
        return found

    def zones(self, region: str) -> list[str]:
        """A region's availability zones."""
        return self.zones_of(region)

    @property
    def wanted(self) -> dict[str, frozenset[str]]:
        """The resources whose conditions hold: what each waits for.

        Raises ApiError: ValidationError where one of these speaks of another whose condition does not hold.
        """
        template = self.template
        here = {
            name
            for name, one in template.resources.items()
            if not one.condition or self.condition(one.condition)
        }
        needs = {name: template.needs(name, self.condition) for name in template.resources if name in here}
        missing = sorted({one for of in needs.values() for one in of} - here - _only_ordered(self, here))
        if missing:
            raise refused(
                f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] in the Resources block"
                " of the template"
            )
        return {name: of & here for name, of in needs.items()}

    def _resource(self, name: str) -> StackResource:
        found = self.resources.get(name)
        if found is None or not found.physical_id:
            raise refused(
                f"Template format error: Unresolved resource dependencies [{name}] in the Resources block of the template"
            )
        return found


def _only_ordered(scope: Scope, here: set[str]) -> set[str]:
    """DependsOn of a resource whose condition does not hold is no dependency."""
    ordered = {one for name in here for one in scope.template.resources[name].depends_on}
    spoken = {
        one
        for name in here
        for one in scope.template.needs(name, scope.condition)
        if one not in scope.template.resources[name].depends_on
    }
    return ordered - spoken


def resolved_properties(scope: Scope, name: str) -> dict[str, Any]:
    """A resource's properties with every function done. Raises ApiError: ValidationError."""
    found = resolve(dict(scope.template.resources[name].properties), scope)
    return {} if found is NO_VALUE else dict(found)


def output_text(value: Any, scope: Scope, name: str) -> str:
    """An output's value. Raises ApiError: ValidationError."""
    found = resolve(value, scope)
    if found is NO_VALUE or isinstance(found, list | dict):
        raise refused(
            f"Template format error: Output {name} is malformed. The Value field of every Outputs member must evaluate"
            " to a String."
        )
    return text_of(found)
