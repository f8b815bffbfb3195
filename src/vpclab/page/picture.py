"""What the map shows, as plain values: zones, subnets with every address, machines with their ENIs' places, pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from vpclab.region import Region
from vpclab.region.values import NetworkInterface, Subnet

Plain = Mapping[str, Any]
AWS, PRIMARY, POD, WARM, COOLING, LEAVING, PREFIX, HELD, FREE = "a", "e", "p", "w", "c", "l", "x", "h", "."
"""What an address is: AWS's own, an ENI's own, a pod's, ready for one, cooling, on its way back, in a prefix and unused, held by
somebody without an agent that we hear, free."""
DRAWN_WHOLE = 256
"""Addresses of a subnet that are drawn one by one; of a larger one, a cell is a /28."""
BLOCK = 16


def picture(
    region: Region, machines: Iterable[Plain], pods: Iterable[Plain], told: Mapping[str, Plain | None]
) -> dict[str, Any]:
    """The whole map.

    Args:
        region: EC2's view.
        machines: as `vpclab.lab.view` shows them.
        pods: likewise.
        told: each node's agent's /v2/status; None: it does not answer.
    """
    pods = list(pods)
    by_node: dict[str, list[Plain]] = {}
    for pod in pods:
        by_node.setdefault(str(pod["node"]), []).append(pod)
    return {
        "region": region.name,
        "vpcs": [
            {"id": vpc.id, "name": vpc.tags.get("Name", vpc.id), "cidrs": [str(cidr) for cidr in vpc.cidrs]}
            for vpc in region.vpcs.values()
        ],
        "subnets": [_subnet(region, subnet, pods, told) for subnet in region.subnets.values()],
        "machines": [
            _machine(region, machine, by_node.get(str(machine["name"]), []), told) for machine in machines
        ],
    }


def _subnet(
    region: Region, subnet: Subnet, pods: Sequence[Plain], told: Mapping[str, Plain | None]
) -> dict[str, Any]:
    cells = _cells(subnet, region.enis_in(subnet.id), pods, told)
    whole = subnet.cidr.num_addresses <= DRAWN_WHOLE
    return {
        "id": subnet.id,
        "vpc": subnet.vpc_id,
        "name": subnet.tags.get("Name", subnet.id),
        "zone": subnet.zone,
        "cidr": str(subnet.cidr),
        "public": subnet.public,
        "size": subnet.cidr.num_addresses,
        "free": region.free_addresses(subnet.id),
        "counts": {kind: cells.count(kind) for kind in sorted(set(cells))},
        "cells": cells if whole else None,
        "blocks": None if whole else _blocks(cells),
        "freeBlocks": sum(
            cells[start : start + BLOCK] == FREE * BLOCK for start in range(0, len(cells) - BLOCK + 1, BLOCK)
        ),
    }


def _cells(
    subnet: Subnet,
    enis: Iterable[NetworkInterface],
    pods: Iterable[Plain],
    told: Mapping[str, Plain | None],
) -> str:
    """A character for each address of a subnet, the first one's first."""
    base, size = int(subnet.cidr.network_address), subnet.cidr.num_addresses
    cells = [FREE] * size
    for offset in (0, 1, 2, 3, size - 1):
        cells[offset] = AWS
    for eni in enis:
        for prefix in eni.prefixes:
            start = int(prefix.network_address) - base
            cells[start : start + BLOCK] = [PREFIX] * BLOCK
        for address in eni.secondary:
            cells[int(address) - base] = HELD
        cells[int(eni.primary) - base] = PRIMARY
    for kind, address in _pooled(told):
        if address in subnet.cidr and cells[int(address) - base] == HELD:
            cells[int(address) - base] = kind
    for pod in pods:
        if ":" not in str(pod["ip"]) and (own := IPv4Address(pod["ip"])) in subnet.cidr:
            cells[int(own) - base] = POD
    return "".join(cells)


def _pooled(told: Mapping[str, Plain | None]) -> Iterable[tuple[str, IPv4Address]]:
    """Single addresses of the agents' pools and what they are."""
    for status in told.values():
        for eni in _enis(status):
            for slot in eni["content"]:
                if slot["kind"] != "prefix" and ":" not in slot["block"]:
                    yield slot_kind(slot), IPv4Network(slot["block"]).network_address


def slot_kind(slot: Plain) -> str:
    """What a place of an ENI that holds a single address is."""
    if slot["leaving"]:
        return LEAVING
    return POD if slot["assigned"] else COOLING if slot["cooling"] else WARM


def _enis(status: Plain | None) -> Iterable[Plain]:
    if status is not None:
        for pool in status["pools"]:
            yield from pool["enis"]


def _blocks(cells: str) -> str:
    """For each /28: x if it is a prefix, else how many of its addresses are used, 0 to g (all 16)."""
    found = []
    for start in range(0, len(cells), BLOCK):
        block = cells[start : start + BLOCK]
        used = BLOCK - block.count(FREE)
        found.append(PREFIX if PREFIX in block else "0123456789abcdefg"[used])
    return "".join(found)


def _machine(
    region: Region, machine: Plain, pods: Sequence[Plain], told: Mapping[str, Plain | None]
) -> dict[str, Any]:
    status = told.get(str(machine["name"]))
    known = {eni["id"]: eni for eni in _enis(status)}
    enis = [_eni(eni, known.get(str(eni["id"]))) for eni in machine["enis"]]
    pools = status["pools"] if status is not None else []
    first = region.enis.get(str(machine["enis"][0]["id"])) if machine["enis"] else None
    return {
        "name": machine["name"],
        "instanceId": machine["instanceId"],
        "type": machine["type"],
        "zone": machine["zone"],
        "subnet": first.subnet_id if first is not None else None,
        "privateIp": machine["privateIp"],
        "publicIp": machine["publicIp"],
        "isNode": "agent" in machine,
        "agent": _agent(machine, status) if "agent" in machine else None,
        "pool": [
            {
                "numbers": pool["numbers"],
                "targets": pool["targets"]["in_force"],
                "short": pool["targets"]["short"],
                "surplus": pool["targets"]["surplus"],
                "underWay": list(pool["under_way"]),
                "blocker": pool["blocker"],
            }
            for pool in pools
        ],
        "enis": enis,
        "pods": sorted(
            (
                {key: pod.get(key) for key in ("namespace", "name", "ip", "eni", "device", "hostVeth")}
                for pod in pods
            ),
            key=lambda pod: (str(pod["namespace"]), str(pod["name"])),
        ),
    }


def _agent(machine: Plain, status: Plain | None) -> dict[str, Any]:
    agent = machine["agent"] or {}
    if status is None:
        return {"answers": False, "ready": False, "condition": "silent", "starts": agent.get("starts")}
    readiness = status["readiness"]
    return {
        "answers": True,
        "ready": readiness["ready"],
        "condition": readiness["condition"],
        "because": [f"{why['reason']}: {why['detail']}" for why in readiness["because"]],
        "version": status["version"],
        "starts": agent.get("starts"),
    }


def _eni(eni: Plain, known: Plain | None) -> dict[str, Any]:
    """An ENI with its places: as its agent tells, or as EC2 does where no agent has it."""
    if known is not None:
        places = [
            {
                "kind": PREFIX if slot["kind"] == "prefix" else slot_kind(slot),
                "block": slot["block"].removesuffix("/32"),
                "assigned": slot["assigned"],
                "cooling": slot["cooling"],
                "leaving": slot["leaving"],
            }
            for slot in known["content"]
        ]
        empty = max(0, known["slots"] - known["slots_used"])
    else:
        places = [
            {"kind": HELD, "block": block, "assigned": 0, "cooling": 0, "leaving": False}
            for block in (*eni["secondary"], *eni["prefixes"])
        ]
        empty = 0
    return {
        "id": eni["id"],
        "device": eni["device"],
        "status": eni["status"],
        "primary": eni["primary"],
        "places": places,
        "empty": empty,
        "underWay": known["under_way"] if known is not None else None,
        "table": known["route_table"] if known is not None else None,
    }
