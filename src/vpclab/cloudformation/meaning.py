"""What a stack's template stands for at a moment: properties with every function done, outputs, where a resource is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vpclab.cloudformation.account import Account
from vpclab.cloudformation.dynamic import with_dynamic
from vpclab.cloudformation.exports import Exports
from vpclab.cloudformation.functions import text_of
from vpclab.cloudformation.references import Kind, Reference, references
from vpclab.cloudformation.resource_type import Context, ResourceType
from vpclab.cloudformation.scope import Scope, output_text, resolved_properties
from vpclab.cloudformation.stack import Intent, Stack
from vpclab.cloudformation.values import Output
from vpclab.region.draws import Draws
from vpclab.region.values import ApiError

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Meaning:
    """Of every stack of an account."""

    def __init__(
        self,
        account: Account,
        types: Mapping[str, ResourceType],
        draws: Draws,
        exports: Exports,
        time: Callable[[], float],
    ) -> None:
        self.types = types
        self._account = account
        self._draws = draws
        self._exports = exports
        self._time = time

    def scope(self, stack: Stack, intent: Intent, unknown: frozenset[str] = frozenset()) -> Scope:
        """What names stand for in a stack."""
        return Scope(
            intent.template,
            intent.parameters,
            self._account.pseudo(stack, intent),
            stack.resources,
            self._exports.value,
            self._account.zones,
            unknown,
        )

    def resolved(self, stack: Stack, intent: Intent, name: str) -> dict[str, Any]:
        """A resource's properties with every function done. Raises ApiError: ValidationError."""
        scope = self.scope(stack, intent)
        self._refresh(
            stack, intent.tags, references(intent.template.resources[name].properties, scope.condition)
        )
        found: dict[str, Any] = with_dynamic(resolved_properties(scope, name), self._account.stored)
        stack.imports |= scope.imported_names
        return found

    def _refresh(self, stack: Stack, tags: Mapping[str, str], spoken: Iterable[Reference]) -> None:
        """Attributes are what they are when they are asked for: another resource may have added to them."""
        for name in {one.name for one in spoken if one.kind is Kind.ATTRIBUTE}:
            resource = stack.resources.get(name)
            if resource is None or not resource.physical_id:
                continue
            with contextlib.suppress(ApiError, LookupError):  # what is gone is as it was last seen
                kind, at = self.types[resource.type], self.context(stack, name, tags)
                resource.attributes = kind.read(at, resource.physical_id, resource.properties)

    def planned_properties(
        self, stack: Stack, intent: Intent, name: str, unknown: frozenset[str]
    ) -> dict[str, Any]:
        """A resource's properties where some others' names are not known yet. Raises ApiError: ValidationError."""
        scope = self.scope(stack, intent, unknown)
        found: dict[str, Any] = with_dynamic(resolved_properties(scope, name), self._account.stored)
        return found

    def outputs(self, stack: Stack) -> tuple[list[Output], set[str]]:
        """Its outputs, and what they import of other stacks. Raises ApiError: ValidationError."""
        assert stack.intent is not None  # noqa: S101 -- it was created
        scope = self.scope(stack, stack.intent)
        template = stack.intent.template.outputs
        self._refresh(stack, stack.intent.tags, references(list(template.values()), scope.condition))
        outputs: list[Output] = []
        for name, given in template.items():
            if "Condition" in given and not scope.condition(given["Condition"]):
                continue
            export = text_of(output_text(given["Export"]["Name"], scope, name)) if "Export" in given else ""
            value = output_text(given["Value"], scope, name)
            outputs.append(Output(name, value, str(given.get("Description", "")), export))
        return outputs, set(scope.imported_names)

    def context(self, stack: Stack, logical_id: str, tags: Mapping[str, str]) -> Context:
        """Where a resource is made."""
        signals = tuple(stack.signals.get(logical_id, {}).values())
        return Context(
            self._account.cloud,
            self._account.region,
            self._account.number,
            stack.name,
            stack.id,
            logical_id,
            tags,
            self._time(),
            self._random,
            signals,
        )

    def _random(self, length: int) -> str:
        return "".join(_LETTERS[self._draws.bits(32) % len(_LETTERS)] for _ in range(length))
