"""What stacks give to other stacks of the region by name, and who uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from vpclab.cloudformation.errors import refused
from vpclab.cloudformation.stack import Stack


class Exports:
    """Those of all stacks. Values that are in use stay as they are."""

    def __init__(self, stacks: Callable[[], Iterable[Stack]]) -> None:
        self._stacks = stacks
        self.by_name: dict[str, tuple[str, str]] = {}
        """The stack's id and the value."""

    def value(self, name: str) -> str | None:
        """What is exported by a name."""
        return self.by_name[name][1] if name in self.by_name else None

    def importers(self, export: str) -> list[str]:
        """The names of stacks that use an export."""
        return sorted(one.name for one in self._stacks() if export in one.imports and not one.gone)

    def used(self, stack: Stack) -> list[str]:
        """Those of a stack that others use."""
        return [
            name for name, (owner, _) in self.by_name.items() if owner == stack.id and self.importers(name)
        ]

    def put(self, stack: Stack, exports: Mapping[str, str]) -> None:
        """A stack has these, and no others. Raises ApiError: ValidationError, and then nothing is changed."""
        self._check(stack, exports)
        self.withdraw(stack)
        for name, value in exports.items():
            self.by_name[name] = (stack.id, value)

    def withdraw(self, stack: Stack) -> None:
        """A stack has none."""
        for name in [key for key, (owner, _) in self.by_name.items() if owner == stack.id]:
            del self.by_name[name]

    def _check(self, stack: Stack, exports: Mapping[str, str]) -> None:
        for name in exports:
            owner = self.by_name.get(name, (stack.id, ""))[0]
            if owner != stack.id:
                other = next(one.name for one in self._stacks() if one.id == owner)
                raise refused(
                    f"Export with name {name} is already exported by stack {other}. Rollback requested by user."
                )
        for name, (owner, value) in self.by_name.items():
            users = self.importers(name) if owner == stack.id and exports.get(name) != value else []
            if users:
                deed = "updated" if name in exports else "deleted"
                raise refused(f"Export {name} cannot be {deed} as it is in use by {', '.join(users)}")
