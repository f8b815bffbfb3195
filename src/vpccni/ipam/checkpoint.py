"""The assignments as bytes: the original's checkpoint file (spec 6.4) and the lines of our journal beside it.

The file stays readable for the original's daemon: what we add (cooling addresses, which ENI an address is on) is under
keys of its own, which it does not know and ignores.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from vpccni.ipam.values import Address, Assignment, Cooling, EniId, Interface, Pod, SandboxKey

FORMAT, VERSION = "vpc-cni-ipam/", 1
NANO = 1_000_000_000


class CheckpointError(Exception):
    """The file or the journal is not what we write; the message says where."""


class NewerCheckpointError(CheckpointError):
    """A later agent wrote the file: its assignments are real, only this agent cannot read them."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What outlives the agent. An allocation of the original's names no ENI: `Assignment.eni` is then empty."""

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


def snapshot(allocations: Iterable[Assignment], cooling: Iterable[Cooling]) -> Checkpoint:
    """What the pool holds now."""
    return Checkpoint(tuple(allocations), tuple(cooling))


# --- the file -----------------------------------------------------------------------------------------------


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The file's whole content."""
    body: dict[str, Any] = {
        "version": f"{FORMAT}{VERSION}",
        "allocations": [_allocation(a) for a in checkpoint.allocations],
    }
    if enis := {str(a.address): a.eni for a in checkpoint.allocations if a.eni}:
        body["enis"] = enis
    if checkpoint.cooling:
        body["cooling"] = [_cooling(c) for c in checkpoint.cooling]
    return _line(body)


def decode_checkpoint(content: bytes) -> Checkpoint:
    """The file's content as values; unknown keys are ignored.

    Raises NewerCheckpointError, and CheckpointError for anything else that we do not write.
    """
    with _reading("the checkpoint"):
        body = _object(json.loads(content))
        _check_version(body.get("version"))
        enis = _object(body.get("enis") or {})
        items = [_object(item) for item in body.get("allocations") or ()]
        allocations = [
            _read_allocation(item, enis.get(item.get("ipv4") or item["ipv6"]))
            for item in items
            if item.get("ipv4") or item.get("ipv6")
        ]
        cooling = [_read_cooling(_object(item)) for item in body.get("cooling") or ()]
    return Checkpoint(tuple(allocations), tuple(cooling))


def _check_version(version: object) -> None:
    known = f"{FORMAT}{VERSION}"
    if version == known:
        return
    said = f"its version is {version!r}, this agent reads {known!r}"
    number = version.removeprefix(FORMAT) if isinstance(version, str) else ""
    if number.isdecimal() and int(number) > VERSION:
        raise NewerCheckpointError(
            f"{said}: run the agent that wrote it, or drain the node and remove the file"
        )
    raise CheckpointError(f"{said}: remove the file if nothing else uses it")


# --- the journal --------------------------------------------------------------------------------------------


def encode_entry(entry: JournalEntry) -> bytes:
    """One line."""
    match entry:
        case Given(assignment):
            body: dict[str, Any] = {"give": _allocation(assignment)}
            if assignment.eni:
                body["eni"] = assignment.eni
        case TakenBack(key, cooling):
            body = {"take": _key(key), "cool": _cooling(cooling)}
    return _line(body)


def apply_journal(checkpoint: Checkpoint, content: bytes) -> Checkpoint:
    """The checkpoint with the journal's lines applied, the last word on a sandbox or an address winning.

    So a journal may be applied again to a file that already holds it. A last line without its end was being written
    when the agent died: nobody was answered for it, and it is dropped. Raises CheckpointError on any other broken
    line, with its number.
    """
    book = _Book(checkpoint)
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        with _reading(f"line {number} of the journal"):
            entry = _read_entry(_object(json.loads(line)))
        if isinstance(entry, Given):
            book.give(entry.assignment)
        else:
            book.take(entry)
    return snapshot(book.allocations.values(), book.cooling.values())


class _Book:
    """A checkpoint by sandbox and by address."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.allocations = {a.key: a for a in checkpoint.allocations}
        self.owners = {a.address: a.key for a in checkpoint.allocations}
        self.cooling = {c.address: c for c in checkpoint.cooling}

    def give(self, assignment: Assignment) -> None:
        """What contradicts it goes: the sandbox's other address, the address's other sandbox."""
        self._drop(assignment.key)
        if (other := self.owners.get(assignment.address)) is not None:
            self._drop(other)
        self.allocations[assignment.key] = assignment
        self.owners[assignment.address] = assignment.key
        self.cooling.pop(assignment.address, None)

    def take(self, entry: TakenBack) -> None:
        """The address cools, unless somebody else has it by now."""
        self._drop(entry.key)
        if entry.cooling.address not in self.owners:
            self.cooling[entry.cooling.address] = entry.cooling

    def _drop(self, key: SandboxKey) -> None:
        old = self.allocations.pop(key, None)
        if old is not None and self.owners.get(old.address) == key:
            del self.owners[old.address]


def _read_entry(body: dict[str, Any]) -> JournalEntry:
    if "give" in body:
        return Given(_read_allocation(_object(body["give"]), body.get("eni")))
    return TakenBack(_read_key(_object(body["take"])), _read_cooling(_object(body["cool"])))


# --- their parts --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever is wrong with the bytes becomes one error that says where."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(f"{what} cannot be read: {error!r}") from None


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"a JSON object was expected, not {value!r:.40}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {value!r:.40}")
    return value


def _key(key: SandboxKey) -> dict[str, str]:
    return {"networkName": key.network, "containerID": key.container_id, "ifName": key.interface}


def _read_key(item: dict[str, Any]) -> SandboxKey:
    return SandboxKey(_text(item["networkName"]), _text(item["containerID"]), _text(item["ifName"]))


def _allocation(a: Assignment) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if a.pod.namespace:
        metadata["k8sPodNamespace"] = a.pod.namespace
    if a.pod.name:
        metadata["k8sPodName"] = a.pod.name
    metadata["interfacesCount"] = a.interface.of
    return {
        **_key(a.key),
        **_address(a.address),
        "allocationTimestamp": _nanoseconds(a.assigned_at),
        # ours: a reader that does not know it takes the interface's number from the card's
        **({"interfaceIndex": a.interface.index} if a.interface.index else {}),
        "metadata": metadata,
    }


def _read_allocation(item: dict[str, Any], eni: object) -> Assignment:
    metadata = _object(item.get("metadata") or {})
    pod = Pod(_text(metadata.get("k8sPodNamespace", "")), _text(metadata.get("k8sPodName", "")))
    at = _seconds(item.get("allocationTimestamp", 0))
    address = _read_address(item)
    # 0 in files from before the count was kept (spec 6.3)
    interface = Interface(
        _count(item.get("interfaceIndex", 0)), _count(metadata.get("interfacesCount", 1)) or 1
    )
    return Assignment(_read_key(item), pod, address, EniId(_text(eni or "")), at, interface)


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 16:
        raise ValueError(f"a small number was expected, not {value!r:.40}")
    return value


def _cooling(c: Cooling) -> dict[str, Any]:
    return {**_address(c.address), "until": _nanoseconds(c.until)}


def _read_cooling(item: dict[str, Any]) -> Cooling:
    return Cooling(_read_address(item), _seconds(item["until"]))


def _address(address: Address) -> dict[str, str]:
    return {f"ipv{address.version}": str(address)}


def _read_address(item: dict[str, Any]) -> Address:
    if item.get("ipv4"):
        return IPv4Address(_text(item["ipv4"]))
    return IPv6Address(_text(item["ipv6"]))


def _nanoseconds(seconds: float) -> int:
    """Exactly, so that reading gives the very same number: `seconds * NANO` would round at 128 ns."""
    numerator, denominator = seconds.as_integer_ratio()
    return (2 * numerator * NANO + denominator) // (2 * denominator)


def _seconds(nanoseconds: object) -> float:
    seconds = float(nanoseconds / NANO) if isinstance(nanoseconds, int | float) else math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"a time was expected, not {nanoseconds!r:.40}")
    return seconds
