"""What iptables-save prints, as values: tables, chains with their policies, rules as matches and a target."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

SINGLE = frozenset(
    {
        "--random", "--random-fully", "--persistent", "--save-mark", "--restore-mark", "--limit-iface-in",
        "--limit-iface-out", "--syn", "--return-nomatch", "--queue-bypass", "--rcheck", "--update", "--set", "--remove",
        "--rttl", "--reap", "--physdev-is-bridged", "--physdev-is-in", "--physdev-is-out", "--transparent", "--nowildcard",
        "--restore-skmark", "--log-uid", "--log-ip-options", "--log-tcp-options", "--log-tcp-sequence", "--update-counters",
        "--exist", "--socket-exists", "--validmark", "--loose", "--invert", "--accept-local", "--fragment", "-f", "--first",
        "--last", "--all", "--hashlimit-rate-match", "--vproto",
    }
)  # fmt: skip
"""Options without a value."""
TWO = frozenset({"--tcp-flags", "--match-set", "--add-set", "--del-set", "--map-set"})
"""Options with two values."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a match or a target; `inverted` by a `!` before it."""

    name: str
    values: tuple[str, ...] = ()
    inverted: bool = False

    @property
    def value(self) -> str:
        """The first value."""
        return self.values[0] if self.values else ""


@dataclass(frozen=True, slots=True)
class IptablesRule:
    """One rule: the packet's own selectors and those of matches, in order; where it leads."""

    text: str
    matches: tuple[tuple[str, tuple[Option, ...]], ...] = ()
    """Match module ("" for the selectors of every rule) → its options."""
    target: str = ""
    goto: bool = False
    options: tuple[Option, ...] = ()
    """The target's."""


@dataclass(frozen=True, slots=True)
class IptablesChain:
    """A chain; `policy` of the kernel's own, "" of others."""

    name: str
    policy: str = ""
    rules: tuple[IptablesRule, ...] = ()


Table = Mapping[str, IptablesChain]


@dataclass(frozen=True, slots=True)
class Saved:
    """One kind of iptables: all its tables."""

    backend: str
    """legacy or nf_tables."""
    tables: Mapping[str, Table] = field(default_factory=dict, hash=False)

    @property
    def rules(self) -> int:
        """How many there are."""
        return sum(len(chain.rules) for table in self.tables.values() for chain in table.values())


def parse_saved(backend: str, text: str) -> Saved:
    """What iptables-save printed."""
    tables: dict[str, dict[str, tuple[str, list[IptablesRule]]]] = {}
    table: dict[str, tuple[str, list[IptablesRule]]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split(" ")
            table.setdefault(name, ("" if policy == "-" else policy, []))
        elif line.startswith("-A "):
            _, chain, *rest = line.split(" ", 2)
            table.setdefault(chain, ("", []))[1].append(parse_rule(rest[0] if rest else ""))
    return Saved(
        backend,
        {
            name: {chain: IptablesChain(chain, policy, tuple(rules)) for chain, (policy, rules) in chains.items()}
            for name, chains in tables.items()
        },
    )  # fmt: skip


def parse_rule(text: str) -> IptablesRule:
    """One rule, without -A and its chain."""
    matches: list[tuple[str, list[Option]]] = [("", [])]
    target, goto = "", False
    options: list[Option] = []
    for option in _options(shlex.split(text)):
        match option.name:
            case "-m" | "--match":
                matches.append((option.value, []))
            case "-j" | "--jump" | "-g" | "--goto":
                target, goto = option.value, option.name in ("-g", "--goto")
            case _ if target:
                options.append(option)
            case "-s" | "-d" | "-i" | "-o" | "-p" | "-f":
                matches[0][1].append(option)
            case _:
                matches[-1][1].append(option)
    return IptablesRule(
        text.strip(),
        tuple((module, tuple(given)) for module, given in matches if module or given),
        target,
        goto,
        tuple(options),
    )


def _options(words: list[str]) -> Iterator[Option]:
    position = 0
    inverted = False
    while position < len(words):
        word = words[position]
        position += 1
        if word == "!":
            inverted = True
            continue
        count = 0 if word in SINGLE else 2 if word in TWO else 1
        values = words[position : position + count]
        if values and values[0] == "!":  # an old way to write it
            inverted, position = True, position + 1
            values = words[position : position + count]
        position += count
        yield Option(word, tuple(values), inverted)
        inverted = False
