"""The bundle as a file: a compressed tar of texts, the analysis first."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vpccni.cli.errors import CliError

FIRST_PAGE = "ANALYSIS.md"
ABOUT = "about.json"
AGENT = "agent"
"""Folder of the agent's answers, named as the paths that were asked."""
PODS, DOCTOR = "pods.json", "doctor.json"
SUBNETS, LOGS, HOST = "subnets", "logs", "host"
TOP = "vpc-cni-bundle"
"""The folder that everything is in, when unpacked."""
FORMAT = 1
MOST_BYTES = 64 * 1024 * 1024
"""Of one text in a bundle that is read: one made by us has a few hundred kB at most."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Texts by their name, in the order in which they stand."""

    texts: Mapping[str, str] = field(hash=False)

    def plain(self, name: str) -> Any:
        """A JSON text. Raises CliError if it is not there or is none."""
        if name not in self.texts:
            missed = self.missed.get(name)
            raise CliError(f"the bundle has no {name}" + (f": {missed}" if missed else ""))
        try:
            return json.loads(self.texts[name])
        except ValueError as error:
            raise CliError(f"{name} in the bundle is damaged: {error}") from None

    @property
    def missed(self) -> Mapping[str, str]:
        """What could not be had when it was made, and why."""
        about = json.loads(self.texts.get(ABOUT, "{}"))
        return dict(about.get("missing", {}))

    def write(self, file: Path, mtime: int) -> None:
        """Make the file, readable by its owner only; it appears whole or not at all. `mtime`: seconds since 1970. Raises OSError."""
        unfinished = file.with_name(f".{file.name}.tmp")
        unfinished.touch(mode=0o600)
        with tarfile.open(unfinished, "w:gz") as archive:
            for name, text in self.texts.items():
                content = text.encode()
                entry = tarfile.TarInfo(f"{TOP}/{name}")
                entry.size, entry.mtime, entry.mode = len(content), mtime, 0o600
                archive.addfile(entry, io.BytesIO(content))
        unfinished.rename(file)

    @classmethod
    def read(cls, file: Path) -> Bundle:
        """What `write` made. Nothing is unpacked to the disk. Raises CliError."""
        texts: dict[str, str] = {}
        try:
            with tarfile.open(file, "r:gz") as archive:
                for entry in archive:
                    content = archive.extractfile(entry) if entry.isfile() else None
                    if content is not None and entry.size <= MOST_BYTES:
                        texts[entry.name.removeprefix(f"{TOP}/")] = content.read().decode(errors="replace")
        except (tarfile.TarError, OSError, EOFError) as error:
            raise CliError(f"{file} cannot be read as a bundle: {error}") from None
        bundle = cls(texts)
        made = bundle.plain(ABOUT).get("format") if ABOUT in texts else None
        if made != FORMAT:
            raise CliError(f"{file} is not a bundle that this version reads (format {made}, not {FORMAT})")
        return bundle


def is_bundle(file: Path) -> bool:
    """Whether it begins as a compressed file does."""
    with file.open("rb") as opened:
        return opened.read(2) == b"\x1f\x8b"
