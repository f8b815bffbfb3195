"""What outlives a simulated agent: its checkpoint and its journal, through the very bytes that a node's disk would hold."""

from __future__ import annotations

from collections.abc import Iterable

from vpccni.ipam.checkpoint import (
    Checkpoint,
    JournalEntry,
    apply_journal,
    decode_checkpoint,
    encode_checkpoint,
    encode_entry,
    snapshot,
)
from vpccni.ipam.values import Assignment, Cooling

COMPACT_AT = 4096
"""Journal lines after which the file is written anew."""


class Memory:
    """One node's files. Entries become bytes when they are read: a day without a crash costs none."""

    def __init__(self) -> None:
        self._file = encode_checkpoint(Checkpoint())
        self._journal: list[JournalEntry] = []

    def note(self, entry: JournalEntry) -> bool:
        """A line more; True if the file should be written anew."""
        self._journal.append(entry)
        return len(self._journal) >= COMPACT_AT

    def rewrite(self, allocations: Iterable[Assignment], cooling: Iterable[Cooling]) -> None:
        """The whole file."""
        self._file = encode_checkpoint(snapshot(allocations, cooling))
        self._journal.clear()

    def read(self, *, torn: bytes = b"") -> Checkpoint:
        """What a new agent finds; `torn` is a last line without its end."""
        lines = b"".join(map(encode_entry, self._journal))
        return apply_journal(decode_checkpoint(self._file), lines + torn)
