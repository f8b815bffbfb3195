"""The mark on connections that leave the VPC, in nftables: table `ip aws-cni` (spec 5.3).

Priority -90 is behind kube-proxy's DNAT, so that a Service's real destination decides. The table is compared as nft's JSON,
which does not change its words from release to release as the text does, and replaced whole in one transaction.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

from vpccni.linux.errors import KernelError

TABLE = "aws-cni"
FAMILY_AND_TABLE = {"family": "ip", "table": TABLE}
PRIORITY = -90
ALL_BITS = 0xFFFFFFFF
TIMEOUT = 30.0
"""Seconds for one command."""

Expression = list[dict[str, Any]]
Chains = dict[str, tuple[dict[str, Any], list[Expression]]]
"""Chain → what kind it is, and its rules in order."""


class NftError(KernelError):
    """nft refused; the text has its words."""

    def __init__(self, said: str) -> None:
        super().__init__(0, f"nft failed: {said.strip() or 'it said nothing'}")


def wanted_chains(veth_prefix: str, mark: int, exempt: Iterable[IPv4Network]) -> Chains:
    """The table's content; destinations in `exempt` see the pod's own address and get no mark."""
    counter = {"counter": None}
    ct_mark = {"ct": {"key": "mark"}}
    local = _match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    # all bits: nft leaves the operation out when it lists the rule
    restored = ct_mark if mark == ALL_BITS else {"&": [ct_mark, mark]}
    base = {"type": "nat", "hook": "prerouting", "prio": PRIORITY, "policy": "accept"}
    return {
        "nat-prerouting": (
            base,
            [
                [local, {"return": None}],
                [
                    _match({"meta": {"key": "iifname"}}, f"{veth_prefix}*"),
                    counter,
                    {"jump": {"target": "snat-mark"}},
                ],
                [counter, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": restored}}],
            ],
        ),
        "snat-mark": (
            {},
            [
                *([counter, _match(DESTINATION, _network(cidr)), {"return": None}] for cidr in exempt),
                [counter, {"mangle": {"key": ct_mark, "value": {"|": [ct_mark, mark]}}}],
            ],
        ),
    }


DESTINATION = {"payload": {"protocol": "ip", "field": "daddr"}}


def settle_connmark(wanted: Chains) -> list[str]:
    """Put the table in place unless it is there exactly so; returns the changes in words. Raises NftError."""
    if _present() == wanted:
        return []
    table = {"table": {"family": "ip", "name": TABLE}}
    # made, so that the deletion finds it even the first time; then all of it anew, in the same transaction
    commands: list[dict[str, Any]] = [{"add": table}, {"delete": table}, {"add": table}]
    # a chain must be there before a rule may jump to it
    for name, (kind, _) in wanted.items():
        commands.append({"add": {"chain": {**FAMILY_AND_TABLE, "name": name, **kind}}})
    for name, (_, rules) in wanted.items():
        commands += [{"add": {"rule": {**FAMILY_AND_TABLE, "chain": name, "expr": rule}}} for rule in rules]
    _nft(["-j", "-f", "-"], json.dumps({"nftables": commands}))
    return [f"made the nft table ip {TABLE}"]


def remove_connmark() -> list[str]:
    """Take the table away; returns the changes in words. Raises NftError."""
    if _present() is None:
        return []
    _nft(["-f", "-"], f"delete table ip {TABLE}\n")
    return [f"removed the nft table ip {TABLE}"]


def parse_listing(listed: Mapping[str, Any]) -> Chains:
    """What `nft -j list table` printed, without handles and counts; what is neither chain nor rule is a chain of its own."""
    chains: Chains = {}
    for item in listed["nftables"]:
        [(kind, body)] = item.items()
        if kind == "chain":
            about = {key: body[key] for key in ("type", "hook", "prio", "policy") if key in body}
            chains[body["name"]] = (about, [])
        elif kind == "rule":
            chains[body["chain"]][1].append([_uncounted(expression) for expression in body["expr"]])
        elif kind not in {"metainfo", "table"}:
            chains[f"{kind} {body.get('name')}"] = ({}, [])
    return chains


def _present() -> Chains | None:
    listed = _nft(["-j", "list", "table", "ip", TABLE], None, missing_is_fine=True)
    return parse_listing(json.loads(listed)) if listed else None


def _uncounted(expression: dict[str, Any]) -> dict[str, Any]:
    return {"counter": None} if "counter" in expression else expression


def _match(left: Mapping[str, Any], right: object) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def _network(cidr: IPv4Network) -> object:
    if cidr.prefixlen == cidr.max_prefixlen:
        return str(cidr.network_address)
    return {"prefix": {"addr": str(cidr.network_address), "len": cidr.prefixlen}}


def _nft(arguments: list[str], script: str | None, *, missing_is_fine: bool = False) -> str:
    try:
        done = subprocess.run(
            ["nft", *arguments], input=script, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise NftError(f"no answer within {TIMEOUT:.0f} s") from None
    if done.returncode != 0:
        if missing_is_fine and "No such file or directory" in done.stderr:
            return ""
        raise NftError(done.stderr)
    return done.stdout
