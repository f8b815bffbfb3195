"""The agent's pods beside what the kernel has of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any, cast

from vpccni.cli.kernel.values import Network
from vpccni.ipam.values import MAIN_TABLE, Address
from vpccni.linux.layout import PODS_TABLE
from vpccni.linux.names import HOST_VETH
from vpccni.linux.routes import Route
from vpccni.linux.rules import Rule
from vpccni.linux.wiring import FROM_POD

SINGLE = 32
HEADS = ("POD", "ADDRESS", "ENI", "VETH", "TABLE", "")


@dataclass(frozen=True, slots=True)
class OnHost:
    """What the kernel has."""

    routed: Mapping[Address, str]
    """By which host veth packets to an address go."""
    tables: Mapping[Address, int]
    """The table that packets from an address follow, where that is not main."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pod."""

    pod: str
    address: Address
    eni: str
    veth: str
    table: int
    drift: tuple[str, ...]
    """What is not as it should be, in words."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "pod": self.pod,
            "address": str(self.address),
            "eni": self.eni,
            "veth": self.veth,
            "table": self.table,
            "drift": list(self.drift),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Row:
        """What `as_json` gave."""
        return cls(
            row["pod"],
            ip_address(row["address"]),
            row["eni"],
            row["veth"],
            row["table"],
            tuple(row["drift"]),
        )


def on_host(network: Network, sources: Mapping[IPv4Address, int]) -> OnHost:
    """Of the kernel's tables; `sources`: which address leaves by which table in the compact layout."""
    routed: dict[Address, str] = {
        route.destination.network_address: network.name_of(route.hops[0].index)
        for route in network.routes
        if route.table in (MAIN_TABLE, PODS_TABLE)
        and route.destination.prefixlen == SINGLE
        and len(route.hops) == 1
        and HOST_VETH.fullmatch(network.name_of(route.hops[0].index))
    }
    tables = {cast("Address", source): table for source, table in sources.items()}
    for rule in reversed(network.rules):  # the first of several counts
        if rule.priority == FROM_POD and rule.source is not None and rule.source.prefixlen == SINGLE:
            tables[rule.source.network_address] = rule.table
    return OnHost(routed, tables)


def on_host6(found: Iterable[Route], rules: Iterable[Rule], names: Mapping[int, str]) -> OnHost:
    """The same of IPv6; `names`: the devices' by their indexes. There is one layout only."""
    routed = {
        route.destination.network_address: names[route.index]
        for route in found
        if route.destination is not None
        and route.destination.prefixlen == route.destination.max_prefixlen
        and HOST_VETH.fullmatch(names.get(route.index, ""))
    }
    tables = {
        rule.source.network_address: rule.table
        for rule in rules
        if rule.priority == FROM_POD and rule.source is not None
    }
    return OnHost(routed, tables)


def rows(pods: Iterable[Mapping[str, Any]], tables: Mapping[str, int], host: OnHost) -> list[Row]:
    """By address. `tables`: each ENI's routing table."""
    found = [_row(pod, tables, host) for pod in pods]
    return sorted(found, key=lambda row: int(row.address))


def to_text(found: Iterable[Row]) -> list[tuple[str, bool]]:
    """Lines, and whether each tells of a drift."""
    listed = list(found)
    cells = [
        (row.pod, str(row.address), row.eni, row.veth or "-", "main" if row.table == MAIN_TABLE else str(row.table),
         "; ".join(row.drift))
        for row in listed
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in [HEADS, *cells]) for column in range(len(HEADS) - 1)]

    def line(values: tuple[str, ...]) -> str:
        padded = (value.ljust(width) for value, width in zip(values, widths, strict=False))
        return "  ".join([*padded, values[-1]]).rstrip()

    return [
        (line(HEADS), False),
        *((line(cell), bool(row.drift)) for cell, row in zip(cells, listed, strict=True)),
    ]


def _row(pod: Mapping[str, Any], tables: Mapping[str, int], host: OnHost) -> Row:
    address = ip_address(pod["address"])
    veth, wanted = host.routed.get(address, ""), tables.get(pod["eni"])
    table = host.tables.get(address, MAIN_TABLE)
    drift = [] if veth else ["no route leads to it by a pod's veth"]
    if wanted is None:
        drift.append(f"its ENI {pod['eni']} is not in the pool")
    elif table != wanted:
        drift.append(f"leaves by table {_name(table)}, its ENI's is {_name(wanted)}")
    return Row(f"{pod['namespace']}/{pod['name']}", address, pod["eni"], veth, table, tuple(drift))


def _name(table: int) -> str:
    return "main" if table == MAIN_TABLE else str(table)
