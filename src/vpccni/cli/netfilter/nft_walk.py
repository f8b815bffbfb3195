"""A packet's walk through nftables' chains, as nft's JSON tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from operator import ge, gt, le, lt
from typing import Any

from vpccni.cli.netfilter.nft_text import rule_text
from vpccni.cli.netfilter.nft_values import (
    NoSuchField,
    Sets,
    Unknown,
    Value,
    chosen,
    elements,
    evaluate,
    holds,
)
from vpccni.cli.netfilter.packet import NAT_SIDE, Hook, Verdict, Walk

FAMILIES = frozenset({"ip", "inet"})
DEEPEST = 64
"""Chains below chains: nft refuses more than 16."""
ORDER = {"<": lt, ">": gt, "<=": le, ">=": ge}
QUIET = frozenset({"counter", "log", "limit", "quota", "notrack", "set", "comment", "ct helper", "flow"})
"""Statements that do nothing that decides about the way; a rate is taken as not reached."""


class _End(Exception):  # noqa: N818 -- a way out of the walk, not an error
    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


class _Return(Exception):  # noqa: N818 -- as above
    pass


class _NextRule(Exception):  # noqa: N818 -- as above
    pass


ENDS: Mapping[str, Callable[[], Exception]] = {
    "accept": partial(_End, Verdict.ACCEPT),
    "drop": partial(_End, Verdict.DROP),
    "reject": partial(_End, Verdict.REJECT),
    "return": _Return,
    "continue": _NextRule,
}
"""Statements after which the rule is over."""


@dataclass(frozen=True, slots=True)
class NftTable:
    """One table: its chains' rules, its sets and maps."""

    family: str
    name: str
    chains: Mapping[str, list[list[dict[str, Any]]]] = field(default_factory=dict, hash=False)
    sets: Sets = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NftBase:
    """A chain on a hook."""

    table: NftTable
    name: str
    hook: Hook
    priority: int
    is_nat: bool
    policy: str

    def run(self, walk: Walk) -> Verdict:
        """The packet meets the chain."""
        try:
            self._chain(walk, self.name, 0)
        except _End as end:
            return end.verdict
        if self.policy == "drop":
            walk.hit(self._where(self.name), "the chain's policy", "drop")
            return Verdict.DROP
        return Verdict.ACCEPT

    def _chain(self, walk: Walk, name: str, depth: int) -> None:
        """Returns where the calling chain goes on. Raises _End."""
        if depth > DEEPEST:
            return
        for rule in self.table.chains.get(name, []):
            try:
                for statement in rule:
                    self._statement(walk, name, rule, statement, depth)
            except (NoSuchField, _NextRule):
                continue
            except Unknown:
                walk.doubt(
                    f"{self._where(name)}: cannot tell what `{rule_text(rule)}` does; taken as not matching"
                )
            except _Return:
                return

    def _statement(
        self, walk: Walk, chain: str, rule: list[dict[str, Any]], statement: dict[str, Any], depth: int
    ) -> None:
        [(kind, body)] = statement.items()
        where = self._where(chain)
        match kind:
            case "match":
                if not _matches(body, walk, self.table.sets):
                    raise _NextRule
            case "mangle":
                self._mangle(walk, where, rule, body)
            case "vmap":
                key = evaluate(body["key"], walk, self.table.sets)
                verdict = chosen(key, elements(body["data"], self.table.sets), self.table.sets, walk)
                if verdict is not None:
                    self._statement(walk, chain, rule, verdict, depth)
            case "jump" | "goto":
                self._chain(walk, body["target"], depth + 1)
                if kind == "goto":
                    raise _Return
            case "snat" | "dnat" | "masquerade" | "redirect":
                self._nat(walk, where, rule, kind, body)
                raise _End(Verdict.ACCEPT)
            case _ if kind in ENDS:
                walk.hit(where, rule_text(rule), kind)
                over = ENDS[kind]()
                raise over
            case _ if kind not in QUIET:
                raise Unknown

    def _mangle(self, walk: Walk, where: str, rule: list[dict[str, Any]], body: dict[str, Any]) -> None:
        value = evaluate(body["value"], walk, self.table.sets)
        match body["key"]:
            case {"meta": {"key": "mark"}}:
                if value != walk.packet.mark:
                    walk.change(mark=value)
                    walk.hit(where, rule_text(rule), f"the packet's mark becomes {value:#x}")
            case {"ct": {"key": "mark"}}:
                walk.change(ct_mark=value)
                walk.hit(where, rule_text(rule), f"the connection's mark becomes {value:#x}")

    def _nat(self, walk: Walk, where: str, rule: list[dict[str, Any]], kind: str, body: Any) -> None:
        side = NAT_SIDE[self.hook]
        body = body or {}
        given = evaluate(body["addr"], walk, self.table.sets) if "addr" in body else None
        port = evaluate(body["port"], walk, self.table.sets) if "port" in body else None
        if isinstance(given, tuple):  # a map to an address and a port
            given, port = given
        if kind == "masquerade":
            walk.doubt(f"{where}: masquerade takes the address of {walk.packet.oif}")
        address = IPv4Address(given) if isinstance(given, str | IPv4Address) else None
        walk.translate(
            where, rule_text(rule), side, address, int(port) if isinstance(port, int | str) else None
        )

    def _where(self, chain: str) -> str:
        return f"nft {self.table.family} {self.table.name} {chain}"


def parse_nft(listing: str) -> tuple[tuple[NftTable, ...], tuple[NftBase, ...]]:
    """What `nft -j list ruleset` printed: IPv4's tables and their chains on hooks."""
    items: list[dict[str, Any]] = json.loads(listing)["nftables"]
    chains: dict[tuple[str, str], dict[str, list[list[dict[str, Any]]]]] = {}
    sets: dict[tuple[str, str], dict[str, Any]] = {}
    hooked: list[dict[str, Any]] = []
    for item in items:
        [(kind, body)] = item.items()
        where = (body.get("family", ""), body.get("table", ""))
        if where[0] not in FAMILIES:
            continue
        if kind == "table":
            chains.setdefault((where[0], body["name"]), {})
        elif kind == "chain":
            chains.setdefault(where, {})[body["name"]] = []
            if body.get("hook") in {hook.value for hook in Hook}:
                hooked.append(body)
        elif kind == "rule":
            chains.setdefault(where, {}).setdefault(body["chain"], []).append(body.get("expr", []))
        elif kind in ("set", "map"):
            sets.setdefault(where, {})[body["name"]] = body.get("elem", [])
    tables = {
        where: NftTable(*where, chains=of_table, sets=sets.get(where, {}))
        for where, of_table in chains.items()
    }
    return tuple(tables.values()), tuple(
        NftBase(
            tables[body["family"], body["table"]],
            body["name"],
            Hook(body["hook"]),
            int(body["prio"]),
            body["type"] == "nat",
            body.get("policy", "accept"),
        )
        for body in hooked
    )


def without(bases: Iterable[NftBase], tables: Iterable[str]) -> Iterator[NftBase]:
    """Those that are not iptables' own tables, which nft shows too but cannot read."""
    hidden = frozenset(tables)
    return (base for base in bases if base.table.family != "ip" or base.table.name not in hidden)


def _matches(body: dict[str, Any], walk: Walk, sets: Sets) -> bool:
    left: Value = evaluate(body["left"], walk, sets)
    right = body["right"]
    if isinstance(right, dict) and not right.keys() & {"set", "prefix", "range", "concat", "elem"}:
        right = evaluate(right, walk, sets)
    operator = body["op"]
    if operator in ("==", "in"):
        return holds(left, right, sets)
    if operator == "!=":
        return not holds(left, right, sets)
    if operator in ORDER and isinstance(left, int) and isinstance(right, int):
        return bool(ORDER[operator](left, right))
    raise Unknown
