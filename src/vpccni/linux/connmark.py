"""The mark on connections that leave the VPC, in nftables: table `ip aws-cni` (spec 5.3).

Priority -90 is behind kube-proxy's DNAT, so that a Service's real destination decides. The table is compared as nft's JSON,
which does not change its words from release to release as the text does, and replaced whole in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from vpccni.linux.nft import Chains, chain_commands, chains_of, change, listed, match, run_nft

TABLE = "aws-cni"
PRIORITY = -90
ALL_BITS = 0xFFFFFFFF


def wanted_chains(veth_prefix: str, mark: int, exempt: Iterable[IPv4Network]) -> Chains:
    """The table's content; destinations in `exempt` see the pod's own address and get no mark."""
    counter = {"counter": None}
    ct_mark = {"ct": {"key": "mark"}}
    local = match({"fib": {"result": "type", "flags": ["daddr"]}}, "local")
    # all bits: nft leaves the operation out when it lists the rule
    restored = ct_mark if mark == ALL_BITS else {"&": [ct_mark, mark]}
    base = {"type": "nat", "hook": "prerouting", "prio": PRIORITY, "policy": "accept"}
    return {
        "nat-prerouting": (
            base,
            [
                [local, {"return": None}],
                [
                    match({"meta": {"key": "iifname"}}, f"{veth_prefix}*"),
                    counter,
                    {"jump": {"target": "snat-mark"}},
                ],
                [counter, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": restored}}],
            ],
        ),
        "snat-mark": (
            {},
            [
                *([counter, match(DESTINATION, _network(cidr)), {"return": None}] for cidr in exempt),
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
    change([{"add": table}, {"delete": table}, {"add": table}, *chain_commands(TABLE, wanted)])
    return [f"made the nft table ip {TABLE}"]


def remove_connmark() -> list[str]:
    """Take the table away; returns the changes in words. Raises NftError."""
    if _present() is None:
        return []
    run_nft(["-f", "-"], f"delete table ip {TABLE}\n")
    return [f"removed the nft table ip {TABLE}"]


def _present() -> Chains | None:
    items = listed(TABLE)
    return None if items is None else chains_of(items)


def _network(cidr: IPv4Network) -> object:
    if cidr.prefixlen == cidr.max_prefixlen:
        return str(cidr.network_address)
    return {"prefix": {"addr": str(cidr.network_address), "len": cidr.prefixlen}}
