"""An nftables table as a value, and the script that turns one such value into another.

Only the difference is sent: chains whose rules are the same keep their counters, sets and maps gain and lose single
elements while packets pass. One script is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order; `hook` (`type filter hook forward priority filter; policy accept;`) makes it a base chain."""

    rules: tuple[str, ...]
    hook: str = ""


@dataclass(frozen=True, slots=True)
class Elements:
    """A set, or a map where `elements` has values. `spec` is what nft says between the braces."""

    spec: str
    elements: Mapping[str, str] = field(default_factory=dict)
    is_map: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """All of one table; names within follow nft's rules (letters, digits, `_`; not a reserved word)."""

    family: str
    name: str
    chains: Mapping[str, Chain] = field(default_factory=dict)
    sets: Mapping[str, Elements] = field(default_factory=dict)
    counters: frozenset[str] = frozenset()

    def script(self, before: Table | None = None) -> str:
        """What to give to `nft -f` to have this instead of `before` (nothing at all, if not given).

        Empty if there is no difference; what is the same object is not looked into. References come after what they refer to, and go before it.
        """
        if self is before:
            return ""
        old = before or Table(self.family, self.name)
        lines = [*self._declare(old), *self._refill(old), *self._drop(old)]
        if before is None:
            lines.insert(0, f"add table {self.family} {self.name}")
        return "\n".join(lines) + "\n" if lines else ""

    def _declare(self, old: Table) -> Iterator[str]:
        here = f"{self.family} {self.name}"
        for counter in sorted(self.counters - old.counters):
            yield f"add counter {here} {counter}"
        for name, wanted in self.sets.items():
            if name not in old.sets:
                yield f"add {_kind(wanted)} {here} {name} {{ {wanted.spec} }}"
        for name, chain in self.chains.items():
            if name not in old.chains:
                yield f"add chain {here} {name}" + (f" {{ {chain.hook} }}" if chain.hook else "")

    def _refill(self, old: Table) -> Iterator[str]:
        here = f"{self.family} {self.name}"
        # Rules first lose what they refer to: an element or chain still in use cannot go.
        for name in _gone_or_different(old.chains, self.chains):
            yield f"flush chain {here} {name}"
        for name, was in old.sets.items():
            if self.sets.get(name) is was:
                continue
            now = self.sets.get(name, Elements("")).elements
            gone = [key for key, value in was.elements.items() if now.get(key) != value]
            if gone:
                yield f"delete element {here} {name} {{ {', '.join(gone)} }}"
        for name, chain in self.chains.items():
            if old.chains.get(name) != chain:
                yield from (f"add rule {here} {name} {rule}" for rule in chain.rules)
        for name, wanted in self.sets.items():
            if old.sets.get(name) is wanted:
                continue
            had = old.sets.get(name, Elements("")).elements
            new = [
                f"{key} : {value}" if wanted.is_map else key
                for key, value in wanted.elements.items()
                if had.get(key) != value
            ]
            if new:
                yield f"add element {here} {name} {{ {', '.join(new)} }}"

    def _drop(self, old: Table) -> Iterator[str]:
        here = f"{self.family} {self.name}"
        for name in old.chains.keys() - self.chains.keys():
            yield f"delete chain {here} {name}"
        for name in old.sets.keys() - self.sets.keys():
            yield f"delete {_kind(old.sets[name])} {here} {name}"
        for name in sorted(old.counters - self.counters):
            yield f"delete counter {here} {name}"


def _kind(elements: Elements) -> str:
    return "map" if elements.is_map else "set"


def _gone_or_different(old: Mapping[str, Chain], new: Mapping[str, Chain]) -> Iterator[str]:
    return (name for name, chain in old.items() if new.get(name) != chain)
