"""The nft command: listings and transactions as its JSON, which does not change its words from release to release."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from vpccni.linux.errors import KernelError

TIMEOUT = 30.0
"""Seconds for one command."""

Expression = list[dict[str, Any]]
Chains = dict[str, tuple[dict[str, Any], list[Expression]]]
"""Chain → what kind it is, and its rules in order."""


class NftError(KernelError):
    """nft refused; the text has its words."""

    def __init__(self, said: str) -> None:
        super().__init__(0, f"nft failed: {said.strip() or 'it said nothing'}")


def listed(table: str) -> list[dict[str, Any]] | None:
    """What is in a table of IPv4's; None if there is no such table. Raises NftError."""
    text = run_nft(["-j", "list", "table", "ip", table], None, missing_is_fine=True)
    found: list[dict[str, Any]] | None = json.loads(text)["nftables"] if text else None
    return found


def change(commands: list[dict[str, Any]]) -> None:
    """All of it or nothing, in one transaction. Raises NftError."""
    run_nft(["-j", "-f", "-"], json.dumps({"nftables": commands}))


def chains_of(items: list[dict[str, Any]]) -> Chains:
    """A table's chains, without handles and counts; what is neither chain nor rule is a chain of its own."""
    chains: Chains = {}
    for item in items:
        [(kind, body)] = item.items()
        if kind == "chain":
            about = {key: body[key] for key in ("type", "hook", "prio", "policy") if key in body}
            chains[body["name"]] = (about, [])
        elif kind == "rule":
            chains[body["chain"]][1].append([_uncounted(expression) for expression in body["expr"]])
        elif kind not in {"metainfo", "table"}:
            chains[f"{kind} {body.get('name')}"] = ({}, [])
    return chains


def chain_commands(table: str, chains: Chains) -> list[dict[str, Any]]:
    """What makes chains with their rules; a chain must be there before a rule may jump to it."""
    where = {"family": "ip", "table": table}
    made = [{"add": {"chain": {**where, "name": name, **kind}}} for name, (kind, _) in chains.items()]
    return made + [
        {"add": {"rule": {**where, "chain": name, "expr": rule}}}
        for name, (_, rules) in chains.items()
        for rule in rules
    ]


def match(left: Mapping[str, Any], right: object) -> dict[str, Any]:
    """An expression that holds if both are equal."""
    return {"match": {"op": "==", "left": left, "right": right}}


def run_nft(arguments: list[str], script: str | None, *, missing_is_fine: bool = False) -> str:
    """One call of the command; what it printed. Raises NftError."""
    try:
        done = subprocess.run(
            ["nft", *arguments], input=script, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except FileNotFoundError:
        raise NftError("there is no nft command") from None
    except subprocess.TimeoutExpired:
        raise NftError(f"no answer within {TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        if missing_is_fine and "No such file or directory" in done.stderr:
            return ""
        raise NftError(done.stderr)
    return done.stdout


def _uncounted(expression: dict[str, Any]) -> dict[str, Any]:
    return {"counter": None} if "counter" in expression else expression
