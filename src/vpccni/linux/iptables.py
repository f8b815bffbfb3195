"""Rules of ours in iptables as a wanted set, changed by one iptables-restore transaction.

Rules are written as `iptables-save` prints them, so that what is there can be compared with what is wanted by text. Equal
means untouched: counters go on, and no packet meets half a rule set. The command decides which of the kernel's interfaces
is used, legacy or nf_tables.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from vpccni.linux.errors import KernelError

LOCK_WAIT = "5"
"""Seconds to wait for other users of iptables."""
TIMEOUT = 30.0
"""Seconds for one command."""
TRIES = 2
"""Somebody may change the tables between our look and our change, which then fails as a whole: looked again, once."""

Tables = dict[str, dict[str, list[str]]]
"""Table → chain → rules in order, as iptables-save prints them without -A and the chain."""


class IptablesError(KernelError):
    """iptables refused; the text has its words."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(0, f"{command} failed: {said.strip() or 'it said nothing'}")


@dataclass(frozen=True, slots=True)
class WantedTable:
    """What is ours in one table. Everything else in it is not touched."""

    chains: Mapping[str, tuple[str, ...]]
    """Chains of ours with all their rules, in order."""
    jumps: Mapping[str, tuple[str, ...]]
    """The kernel's chains, each with our rules in it in their order; to be looked at even if there is to be none."""
    is_stale: Callable[[str], bool]
    """Whether a rule in one of the kernel's chains that is not wanted is one of ours from earlier."""
    is_stale_chain: Callable[[str], bool] = lambda _: False
    """Whether a chain that is not wanted is one of ours from earlier."""


@dataclass(frozen=True, slots=True)
class IptablesKind:
    """What the `iptables` command is."""

    legacy: bool
    """Whether it uses the kernel's older interface instead of nf_tables."""
    fully_random: bool
    """Whether it knows SNAT --random-fully (from 1.6.2 on)."""


def iptables_kind(command: str = "iptables") -> IptablesKind:
    """Which iptables is first on PATH (spec 9.1), or ip6tables. Raises IptablesError."""
    return parse_version(run([command, "--version"]))


def parse_version(said: str) -> IptablesKind:
    """What `iptables --version` printed; releases before 1.8 do not name the backend and have but the older one.

    The original takes these for nf_tables' (spec 5.3).
    """
    numbers = re.search(r"v(\d+)\.(\d+)\.(\d+)", said)
    version = tuple(int(number) for number in numbers.groups()) if numbers else (1, 8, 0)
    return IptablesKind("legacy" in said, version >= (1, 6, 2))


def saved_tables(command: str = "iptables") -> Tables:
    """What there is now. Raises IptablesError."""
    return parse_save(run([f"{command}-save"]))


def settle_iptables(wanted: Mapping[str, WantedTable], command: str = "iptables") -> list[str]:
    """Compare and, only if something differs, change all of it at once; returns the changed tables. Raises IptablesError.

    `command` is iptables or ip6tables.
    """
    for attempt in range(TRIES):
        script = transaction(saved_tables(command), wanted)
        if not script:
            return []
        try:
            run([f"{command}-restore", "--noflush", "-w", LOCK_WAIT], script)
        except IptablesError:
            if attempt == TRIES - 1:
                raise
        else:
            break
    return [line[1:] for line in script.splitlines() if line.startswith("*")]


def transaction(present: Tables, wanted: Mapping[str, WantedTable]) -> str:
    """The input of iptables-restore --noflush that makes what is there as wanted; empty if it is."""
    return "".join(_table(name, present.get(name, {}), rules) for name, rules in wanted.items())


def parse_save(saved: str) -> Tables:
    """What iptables-save printed."""
    tables: Tables = {}
    table: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            table.setdefault(line[1:].split(" ", 1)[0], [])
        elif line.startswith("-A "):
            _, chain, *rule = line.split(" ", 2)
            table.setdefault(chain, []).append(rule[0].strip() if rule else "")
    return tables


def _table(name: str, present: Mapping[str, list[str]], wanted: WantedTable) -> str:
    lines: list[str] = []
    for chain, rules in wanted.chains.items():
        if present.get(chain) != list(rules):
            lines.append(f":{chain} - [0:0]")  # with --noflush this makes it, or empties just it
            lines += [f"-A {chain} {rule}" for rule in rules]
    for chain, jumps in wanted.jumps.items():
        missing, stale = _difference(present.get(chain, []), jumps, wanted.is_stale)
        lines += [f"-A {chain} {rule}" for rule in missing]
        lines += [f"-D {chain} {rule}" for rule in stale]
    gone = [chain for chain in present if chain not in wanted.chains and wanted.is_stale_chain(chain)]
    # others' rules may lead to it; ours do not any more
    gone = [chain for chain in gone if not _is_target(chain, present, {*wanted.chains, *gone}, wanted)]
    lines += [f"-F {chain}" for chain in gone]
    lines += [f"-X {chain}" for chain in gone]
    return "\n".join([f"*{name}", *lines, "COMMIT", ""]) if lines else ""


def _difference(
    present: Iterable[str], wanted: tuple[str, ...], is_stale: Callable[[str], bool]
) -> tuple[list[str], list[str]]:
    """What to append to a chain, and then what to delete: a deletion takes the first rule with that text."""
    ours = [rule for rule in present if rule in wanted or is_stale(rule)]
    stale: list[str] = []
    for rule in list(ours):
        if rule not in wanted or ours.count(rule) > 1:
            stale.append(rule)
            ours.remove(rule)
    right = 0
    while right < len(ours) and ours[right] == wanted[right]:
        right += 1
    return list(wanted[right:]), stale + ours[right:]


def _is_target(chain: str, present: Mapping[str, list[str]], own: set[str], wanted: WantedTable) -> bool:
    return any(
        rule.endswith((f"-j {chain}", f"-g {chain}"))
        for where, rules in present.items()
        if where not in own
        for rule in rules
        if not (where in wanted.jumps and wanted.is_stale(rule))
    )


def run(command: list[str], script: str | None = None) -> str:
    """What the command prints. Raises IptablesError."""
    try:
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise IptablesError(command[0], f"no answer within {TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        raise IptablesError(command[0], done.stderr)
    return done.stdout
