"""Pods with branch ENIs as values: numbers, names and tables (spec 4.2, 5.1)."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.rules import Rule

BY_BRANCH = 10
"""Priority of the strict mode's rules (spec 5.1): before the local table, which that mode has at 20."""
FIRST_TABLE = 100
"""A branch ENI's table is this and its VLAN's number (spec 4.2)."""
MOST_VLAN = 4094
VLAN_DEVICE = re.compile(r"vlan\.eth\.([0-9]{1,4})")
STRICT_PREFIX = "vlan"
"""Of the host's end of the veth pair, in the strict mode (spec 4.2)."""


class Enforcing(enum.Enum):
    """POD_SECURITY_GROUP_ENFORCING_MODE."""

    STRICT = "strict"
    STANDARD = "standard"


def device_of(vlan: int) -> str:
    """The name of a VLAN's device (spec 4.2)."""
    return f"vlan.eth.{vlan}"


def table_of(vlan: int) -> int:
    """The routing table of a branch ENI (spec 4.2)."""
    return FIRST_TABLE + vlan


def is_branch_table(table: int) -> bool:
    """Whether a table may be a branch ENI's; 253 to 255 are the kernel's, whatever the VLAN."""
    return FIRST_TABLE < table <= FIRST_TABLE + MOST_VLAN and table not in (253, MAIN_TABLE, 255)


def branch_addresses(rules: Iterable[Rule]) -> frozenset[IPv4Address]:
    """The pods of the standard mode, by the tables that their rules lead to."""
    return frozenset(
        rule.source.network_address
        for rule in rules
        if isinstance(rule.source, IPv4Network)
        and rule.source.prefixlen == 32
        and is_branch_table(rule.table)
    )
