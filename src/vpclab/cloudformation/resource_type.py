"""What CloudFormation must know of a type of resource, and what it does with one: all by calls that a user could make."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from vpclab.cloudformation.functions import text_of
from vpclab.cloudformation.values import Properties

Answer = Mapping[str, Any]


class Cloud(Protocol):
    """AWS's API as this account sees it."""

    def call(self, service: str, action: str, parameters: Mapping[str, Any]) -> Answer:
        """One call, by the names of the service's model. Raises ApiError."""


class Update(enum.Enum):
    """What another value of a property means (the resource reference's "Update requires")."""

    REPLACE = "Replacement"
    MODIFY = "No interruption"


@dataclass(frozen=True, slots=True)
class Property:
    """One property of a type."""

    update: Update
    required: bool = False
    effect: bool = True
    """Whether the lab does anything with it."""


def properties(
    *, replace: str = "", modify: str = "", required: str = "", inert: str = ""
) -> Mapping[str, Property]:
    """Names by what a change of them means; `required` and `inert` (taken, without effect) are of those, or stand alone."""
    needed, idle = set(required.split()), set(inert.split())
    found = {
        name: Property(update, name in needed, name not in idle)
        for update, names in ((Update.REPLACE, replace), (Update.MODIFY, modify))
        for name in names.split()
    }
    for name in idle - found.keys():
        found[name] = Property(Update.MODIFY, name in needed, effect=False)
    return found


@dataclass(frozen=True, slots=True)
class Context:
    """Where and for whom a resource is made."""

    cloud: Cloud
    region: str
    account: str
    stack_name: str
    stack_id: str
    logical_id: str
    stack_tags: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0
    random: Callable[[int], str] = lambda _: ""
    """So many letters and digits, never the same."""
    signals: tuple[str, ...] = ()
    """SUCCESS or FAILURE, as they were signalled to the resource."""

    def call(self, service: str, action: str, **parameters: Any) -> Answer:
        """One call; parameters that are None are left out. Raises ApiError."""
        given = {key: value for key, value in parameters.items() if value is not None}
        return self.cloud.call(service, action, given)

    def name(self, most: int = 255) -> str:
        """A physical name as CloudFormation makes them: stack, logical id, something random."""
        tail = f"-{self.random(12)}"
        return f"{self.stack_name}-{self.logical_id}"[: most - len(tail)] + tail

    def tags(self, own: Any) -> dict[str, str]:
        """A resource's tags: its own, and the stack's."""
        listed = [(one["Key"], one["Value"]) for one in own or ()]
        return {**self.stack_tags, **{str(key): text_of(value) for key, value in listed}}

    @property
    def marks(self) -> dict[str, str]:
        """The tags by which AWS says whose the resource is."""
        return {
            "aws:cloudformation:stack-name": self.stack_name,
            "aws:cloudformation:stack-id": self.stack_id,
            "aws:cloudformation:logical-id": self.logical_id,
        }


class ResourceType:
    """One type. Methods raise ApiError for what AWS refuses, ResourceFailed for what came to nothing."""

    name: ClassVar[str]
    properties: ClassVar[Mapping[str, Property]]
    attributes: ClassVar[frozenset[str]] = frozenset()
    any_attribute: ClassVar[bool] = False
    note: ClassVar[str] = ""
    """What a user should know of it beside its properties."""

    @property
    def taggable(self) -> bool:
        """Whether the stack's tags are its tags."""
        return "Tags" in self.properties

    def create(self, context: Context, p: Properties) -> str:
        """Ask for it; -> its physical id."""
        raise NotImplementedError

    def tagged_id(self, context: Context, physical_id: str) -> str:
        """The EC2 resource that gets CloudFormation's own tags; nothing if there is none."""
        return ""

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether what `create` or `update` asked for is there now."""
        return True

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {}

    def replaces(self, context: Context, old: Properties, new: Properties) -> bool:
        """Whether these changes need another resource; by the properties' declarations."""
        return any(self.properties[key].update is Update.REPLACE for key in changed(old, new))

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Change what is different, and the tags."""

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """Ask for its end."""
        raise NotImplementedError

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether what `delete` asked for has happened."""
        return True


def changed(old: Properties, new: Properties) -> tuple[str, ...]:
    """The properties that are different."""
    return tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))


def complaints(kind: ResourceType, p: Properties) -> list[str]:
    """What is wrong with a resource's properties, as the resource type's schema would say it."""
    required = [name for name, one in kind.properties.items() if one.required and name not in p]
    strange = sorted(p.keys() - kind.properties.keys())
    return [
        *(f"#: required key [{name}] not found" for name in required),
        *(f"#: extraneous key [{name}] is not permitted" for name in strange),
    ]
