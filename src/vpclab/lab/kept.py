"""What of a lab outlives its process: a SQLite file in its directory, written before a change is answered.

Machines are not in it: they boot again, as after a power cut, with the addresses and ENIs that the region says they have.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from vpclab.lab.state import LabError

FILE = "cloud.db"
FORMAT = f"{version('vpc-cni')}/2/{sys.version_info.major}.{sys.version_info.minor}"
"""Whoever wrote the file must have been of the same version: it holds objects, not a format of its own."""


class KeptLab:
    """One lab's file. Used from one thread."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE
        self._connection: sqlite3.Connection | None = None
        self._written: dict[str, bytes] = {}
        """Since the file was opened: it has one writer."""

    @property
    def there(self) -> bool:
        """Whether anything was kept."""
        return self._file.exists()

    def settings(self) -> str:
        """The settings of the lab that was, as JSON. Raises LabError."""
        return self.read()["settings"].decode()

    def write(self, parts: Mapping[str, bytes]) -> None:
        """Keep these parts, all or none; others stay. A process that is killed meanwhile leaves what was there before.

        Only what is not yet in the file is written.
        """
        if self._connection is None:
            self._connection = sqlite3.connect(self._file, isolation_level=None)
            self._file.chmod(0o600)  # keys are in it, and whoever may write it runs what it says
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, written REAL NOT NULL, value BLOB NOT NULL)"
            )
        news = {
            name: value
            for name, value in {"format": FORMAT.encode(), **parts}.items()
            if self._written.get(name) != value
        }
        if not news:
            return
        with self._connection:  # undone if it fails
            self._connection.execute("BEGIN")
            rows = [(name, time.time(), value) for name, value in news.items()]
            self._connection.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", rows)
        self._written |= news

    def read(self) -> dict[str, bytes]:
        """Every part. Raises LabError: nothing was kept, or by another version."""
        if not self.there:
            raise LabError(
                f"nothing was kept of this lab ({self._file} is not there): vpc-lab up makes one anew"
            )
        try:
            with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
                parts = dict(connection.execute("SELECT name, value FROM parts").fetchall())
        except sqlite3.DatabaseError as error:
            raise LabError(
                f"{self._file} is damaged ({error}): vpc-lab down removes the lab, vpc-lab up makes one anew"
            ) from None
        written = parts.get("format", b"").decode()
        if written != FORMAT:
            raise LabError(
                f"this lab was kept by vpc-lab {written}, this is {FORMAT}: start it with that one, or vpc-lab down and up"
            )
        return parts

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._written = {}


def as_json(value: object) -> bytes:
    """A small plain part."""
    return json.dumps(value).encode()
