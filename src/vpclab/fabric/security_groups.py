"""Security groups as one nftables table of the router: stateful, per ENI, groups as sources by their members' addresses.

The table is replaced whole in one transaction; connections that are open stay so, as in AWS, for the kernel's
connection table is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from vpclab.fabric.state import device_of, is_plugged
from vpclab.region.region import Region
from vpclab.region.values import NetworkInterface, SecurityGroupRule

TABLE = "security-groups"


def ruleset(region: Region) -> str:
    """The transaction for `nft -f -`."""
    plugged = [eni for eni in region.enis.values() if is_plugged(eni)]
    lines = [f"table inet {TABLE} {{", "}", f"delete table inet {TABLE}", f"table inet {TABLE} {{"]
    for group_id in region.groups:
        members = [
            network for eni in region.enis.values() if group_id in eni.groups for network in eni.networks
        ]
        lines += _set(group_id, members)
    for eni in plugged:
        lines += _chain(f"from-{device_of(eni)}", _rules(region, eni, egress=True), "goto to")
        lines += _chain(f"to-{device_of(eni)}", _rules(region, eni, egress=False), "accept")
    lines += ["  chain to {", *_vmap("oifname", "to", plugged), "    accept", "  }"]
    lines += [
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        "    ct state established,related accept",
        *_vmap("iifname", "from", plugged),
        "    goto to",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _vmap(what: str, prefix: str, plugged: Iterable[NetworkInterface]) -> list[str]:
    entries = ", ".join(f'"{device_of(eni)}" : goto {prefix}-{device_of(eni)}' for eni in plugged)
    return [f"    {what} vmap {{ {entries} }}"] if entries else []


def _set(group_id: str, members: Iterable[IPv4Network]) -> list[str]:
    listed = ", ".join(str(network) for network in members)
    elements = [f"    elements = {{ {listed} }}"] if listed else []
    return [f"  set {group_id} {{", "    type ipv4_addr; flags interval; auto-merge", *elements, "  }"]


def _rules(region: Region, eni: NetworkInterface, *, egress: bool) -> list[str]:
    """The matches of what an ENI's groups let through."""
    side = "daddr" if egress else "saddr"
    rules: list[str] = []
    for group_id in eni.groups:
        group = region.groups[group_id]
        for rule in group.egress if egress else group.ingress:
            peer = f"@{rule.group_id}" if rule.group_id else str(rule.cidr)
            rules.append(f"ip {side} {peer}{_ports(rule)}")
    return rules


def _ports(rule: SecurityGroupRule) -> str:
    if rule.protocol == "-1":
        return ""
    if rule.protocol in {"tcp", "udp"} and rule.from_port is not None:
        return f" {rule.protocol} dport {rule.from_port}-{rule.to_port}"
    return f" meta l4proto {rule.protocol}"


def _chain(name: str, matches: list[str], verdict: str) -> list[str]:
    return [f"  chain {name} {{", *(f"    {match} {verdict}" for match in matches), "    counter drop", "  }"]
