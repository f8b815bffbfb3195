"""The assignments as bytes: the original's checkpoint file (spec 6.4) and our journal's lines.

The file stays readable for the original's daemon: cooling addresses are under a key it does not know and ignores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from vpccni.ipam.values import Assignment, Cooling, EniId, Pod, SandboxKey

VERSION = "vpc-cni-ipam/1"
NANO = 1_000_000_000


class CheckpointError(Exception):
    """The file or the journal is not what we write; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What outlives the agent. An assignment's ENI is not in it: who holds an address is EC2's to say."""

    allocations: tuple[Assignment, ...] = ()
    cooling: tuple[Cooling, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """Journal: the sandbox has the address."""

    assignment: Assignment


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Journal: the address is the sandbox's no more and cools."""

    key: SandboxKey
    cooling: Cooling


JournalEntry = Given | TakenBack


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The file's whole content."""
    body: dict[str, Any] = {
        "version": VERSION,
        "allocations": [_allocation(a) for a in checkpoint.allocations],
    }
    if checkpoint.cooling:
        body["cooling"] = [_cooling(c) for c in checkpoint.cooling]
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode_checkpoint(content: bytes) -> Checkpoint:
    """The file's content as values. Raises CheckpointError if it is torn or of another version."""
    try:
        body = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"not whole JSON: {error}") from None
    version = body.get("version") if isinstance(body, dict) else None
    if version != VERSION:
        raise CheckpointError(
            f"version {version!r}, this agent knows {VERSION!r}: run the agent that wrote it, or remove the file"
        )
    try:
        allocations = tuple(
            _read_allocation(item) for item in body.get("allocations") or () if item.get("ipv4")
        )
        cooling = tuple(_read_cooling(item) for item in body.get("cooling") or ())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"an entry that cannot be read: {error!r}") from None
    return Checkpoint(allocations, cooling)


def encode_entry(entry: JournalEntry) -> bytes:
    """One line."""
    match entry:
        case Given(assignment):
            body: dict[str, Any] = {"give": _allocation(assignment)}
        case TakenBack(key, cooling):
            body = {"take": _key(key), "cool": _cooling(cooling)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def apply_journal(checkpoint: Checkpoint, content: bytes) -> Checkpoint:
    """The checkpoint with the journal's lines applied, the last word on a sandbox or an address winning.

    So a journal may be applied again to a file that already holds it. A last line without its end was being written
    when the agent died: nobody was answered for it, and it is dropped. Raises CheckpointError on any other broken line.
    """
    allocations = {a.key: a for a in checkpoint.allocations}
    owners = {a.address: a.key for a in checkpoint.allocations}
    cooling = {c.address: c for c in checkpoint.cooling}
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        entry = _read_entry(line, number)
        if isinstance(entry, Given):
            given = entry.assignment
            before = owners.pop(given.address, None)
            if before is not None and before != given.key:
                allocations.pop(before, None)
            old = allocations.pop(given.key, None)
            if old is not None:
                owners.pop(old.address, None)
            allocations[given.key] = given
            owners[given.address] = given.key
            cooling.pop(given.address, None)
        else:
            taken = allocations.pop(entry.key, None)
            if taken is not None:
                owners.pop(taken.address, None)
            if entry.cooling.address not in owners:
                cooling[entry.cooling.address] = entry.cooling
    last = sorted(cooling.values(), key=lambda c: (c.until, c.address))
    return Checkpoint(tuple(allocations.values()), tuple(last))


def snapshot(allocations: Iterable[Assignment], cooling: Iterable[Cooling]) -> Checkpoint:
    """What the pool holds now."""
    return Checkpoint(tuple(allocations), tuple(cooling))


def _read_entry(line: bytes, number: int) -> JournalEntry:
    try:
        body = json.loads(line)
        if "give" in body:
            return Given(_read_allocation(body["give"]))
        return TakenBack(_read_key(body["take"]), _read_cooling(body["cool"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"line {number} of the journal cannot be read: {error!r}") from None


def _key(key: SandboxKey) -> dict[str, str]:
    return {"networkName": key.network, "containerID": key.container_id, "ifName": key.interface}


def _read_key(item: dict[str, Any]) -> SandboxKey:
    return SandboxKey(item["networkName"], item["containerID"], item["ifName"])


def _allocation(a: Assignment) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if a.pod.namespace:
        metadata["k8sPodNamespace"] = a.pod.namespace
    if a.pod.name:
        metadata["k8sPodName"] = a.pod.name
    metadata["interfacesCount"] = 1
    return {
        **_key(a.key),
        "ipv4": str(a.address),
        "allocationTimestamp": round(a.assigned_at * NANO),
        "metadata": metadata,
    }


def _read_allocation(item: dict[str, Any]) -> Assignment:
    metadata = item.get("metadata") or {}
    pod = Pod(metadata.get("k8sPodNamespace", ""), metadata.get("k8sPodName", ""))
    at = item.get("allocationTimestamp", 0) / NANO
    return Assignment(_read_key(item), pod, IPv4Address(item["ipv4"]), EniId(""), at)


def _cooling(c: Cooling) -> dict[str, Any]:
    return {"ipv4": str(c.address), "until": round(c.until * NANO)}


def _read_cooling(item: dict[str, Any]) -> Cooling:
    return Cooling(IPv4Address(item["ipv4"]), item["until"] / NANO)
