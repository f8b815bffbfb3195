"""What an update would do to each resource, before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpclab.cloudformation.functions import Unknown
from vpclab.cloudformation.meaning import Meaning
from vpclab.cloudformation.resource_type import ResourceType, Update, changed
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.cloudformation.values import StackResource


@dataclass(frozen=True, slots=True)
class Detail:
    """One property that will be another."""

    name: str
    recreation: str
    """Never, Conditionally or Always."""
    static: bool
    """Whether the new value is known."""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One line of DescribeChangeSet."""

    action: str
    logical_id: str
    type: str
    physical_id: str = ""
    replacement: str = ""
    """True, Conditional or False, of a Modify."""
    details: tuple[Detail, ...] = ()


def planned(meaning: Meaning, stack: Stack, intent: Intent) -> tuple[ResourceChange, ...]:
    """Every change, in the order of the template; removals last. Raises ApiError: ValidationError."""
    there = {
        name: one
        for name, one in stack.resources.items()
        if one.physical_id and one.status != "DELETE_COMPLETE"
    }
    wanted = meaning.scope(stack, intent).wanted
    added = wanted.keys() - there.keys()
    unknown = frozenset(added)
    found: dict[str, ResourceChange] = {}
    # what is replaced has another name, which its dependants' properties speak of: until nothing more follows
    while True:
        found = {
            name: change
            for name in wanted.keys() - added
            if (change := _modified(meaning, stack, intent, there[name], unknown)) is not None
        }
        more = unknown | {name for name, change in found.items() if change.replacement == "True"}
        if more == unknown:
            break
        unknown = more
    for name in added:
        found[name] = ResourceChange("Add", name, intent.template.resources[name].type)
    order = {name: place for place, name in enumerate(intent.template.resources)}
    ordered = sorted(found.values(), key=lambda change: order[change.logical_id])
    removed = [
        ResourceChange("Remove", name, one.type, one.physical_id)
        for name, one in there.items()
        if name not in wanted
    ]
    return (*ordered, *removed)


def nothing_to_do(meaning: Meaning, stack: Stack, intent: Intent) -> bool:
    """Whether a stack is already what this says; metadata and outputs included."""
    before = stack.intent
    if before is None:
        return False
    same = (
        before.template.outputs == intent.template.outputs
        and dict(before.tags) == dict(intent.tags)
        and {k: v.metadata for k, v in before.template.resources.items()}
        == {k: v.metadata for k, v in intent.template.resources.items()}
        and _values_of_outputs(before) == _values_of_outputs(intent)
    )
    return same and not planned(meaning, stack, intent)


def _values_of_outputs(intent: Intent) -> Mapping[str, Any]:
    # an output may speak of a parameter alone, which no resource does
    return {name: one.value for name, one in intent.parameters.items()} if intent.template.outputs else {}


def _modified(
    meaning: Meaning, stack: Stack, intent: Intent, there: StackResource, unknown: frozenset[str]
) -> ResourceChange | None:
    name = there.logical_id
    declared = intent.template.resources[name]
    if declared.type != there.type:
        return ResourceChange("Modify", name, declared.type, there.physical_id, "True")
    wanted = meaning.planned_properties(stack, intent, name, unknown)
    kind = meaning.types[there.type]
    details = [_detail(kind, key, wanted.get(key)) for key in changed(there.properties, wanted)]
    before = {} if stack.intent is None else dict(stack.intent.tags)
    if kind.taggable and before != dict(intent.tags) and all(one.name != "Tags" for one in details):
        details.append(Detail("Tags", "Never", static=True))
    if not details:
        return None
    if any(one.recreation == "Always" for one in details):
        replacement = "True"
    else:
        replacement = "Conditional" if any(one.recreation == "Conditionally" for one in details) else "False"
        known = {key: value for key, value in wanted.items() if not _is_unknown(value)}
        settled = {key: value for key, value in there.properties.items() if key in known}
        at = meaning.context(stack, name, intent.tags)
        if replacement == "False" and known.keys() == wanted.keys() and kind.replaces(at, settled, known):
            replacement = "True"
    return ResourceChange("Modify", name, there.type, there.physical_id, replacement, tuple(details))


def _detail(kind: ResourceType, name: str, value: Any) -> Detail:
    declared = kind.properties.get(name)
    unknown = _is_unknown(value)
    if declared is None or declared.update is Update.MODIFY:
        return Detail(name, "Never", not unknown)
    return Detail(name, "Conditionally" if unknown else "Always", not unknown)


def _is_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_is_unknown, value))
    return isinstance(value, str) and (isinstance(value, Unknown) or "{{changeSet:KNOWN_AFTER_APPLY" in value)
