"""The assignments on disk: the original's checkpoint file at rest, a journal beside it for each ADD and DEL.

An assignment is on disk before the pod is wired (design, idea 5). A line of journal and one fsync serve all the
calls that wait at that moment, so the cost of an ADD does not grow with the pods on the node (idea 6).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vpccni.agent.files import write_whole
from vpccni.ipam.checkpoint import (
    Checkpoint,
    JournalEntry,
    apply_journal,
    decode_checkpoint,
    encode_checkpoint,
    encode_entry,
)

log = logging.getLogger(__name__)

COMPACT_AFTER = 4096
"""Journal lines after which the file is written whole: about a megabyte."""


class Store:
    """One writer thread; entries that come while it syncs go to disk together with the next sync."""

    def __init__(self, checkpoint: Path, snapshot: Callable[[], Checkpoint] = Checkpoint) -> None:
        self.path = checkpoint
        self.journal = checkpoint.with_name(f"{checkpoint.stem}.journal")
        self.snapshot = snapshot
        self._queue: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._lines = 0
        self._fd: int | None = None

    def load(self) -> Checkpoint:
        """What the last run left: the file, then the journal. Raises CheckpointError, OSError."""
        try:
            checkpoint = decode_checkpoint(self.path.read_bytes())
        except FileNotFoundError:
            checkpoint = Checkpoint()
        try:
            lines = self.journal.read_bytes()
        except FileNotFoundError:
            return checkpoint
        return apply_journal(checkpoint, lines)

    def rewrite(self, checkpoint: Checkpoint) -> None:
        """Put everything into the file and begin an empty journal. Blocking; raises OSError.

        Killed between the two, the journal is applied again to a file that already holds it, which changes nothing.
        """
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_whole(self.path, encode_checkpoint(checkpoint), 0o600)
        if self._fd is None:
            self._fd = os.open(self.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, 0)
        os.fsync(self._fd)
        self._lines = 0

    async def append(self, entry: JournalEntry) -> None:
        """Return when the entry is safe on disk; raises OSError if it is not."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.append((encode_entry(entry), done))
        if self._writer is None:
            self._writer = loop.create_task(self._write_out())
        await done

    async def close(self, checkpoint: Checkpoint) -> None:
        """Leave the file at rest: whole, with an empty journal."""
        if self._writer is not None:
            await self._writer
        await asyncio.get_running_loop().run_in_executor(self._thread, self.rewrite, checkpoint)
        self._thread.shutdown()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    async def _write_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch, self._queue = self._queue, []
            lines = b"".join(line for line, _ in batch)
            try:
                await loop.run_in_executor(self._thread, self._sync, lines)
            except OSError as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            self._lines += len(batch)
            for _, done in batch:
                if not done.done():
                    done.set_result(None)
            if self._lines >= COMPACT_AFTER:
                await self._compact(self.snapshot())
        self._writer = None

    async def _compact(self, checkpoint: Checkpoint) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self.rewrite, checkpoint)
        except OSError:
            log.exception("cannot rewrite %s; the journal goes on growing", self.path)

    def _sync(self, lines: bytes) -> None:
        if self._fd is None:
            raise OSError(f"{self.journal} is not open")
        end = os.fstat(self._fd).st_size
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, end)  # a torn line must not stand before the next good one
            raise
