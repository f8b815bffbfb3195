"""The last decisions on disk: why a pod has no address is often asked after the agent was restarted."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict
from pathlib import Path

from vpccni.agent.decisions import Decisions, Kind, Note
from vpccni.agent.files import write_whole

log = logging.getLogger(__name__)
NAME = "decisions.json"


def load_decisions(run_dir: Path, decisions: Decisions) -> None:
    """What the last run remembered; a file that cannot be read is said and forgotten, for nothing depends on it."""
    path = run_dir / NAME
    try:
        found = [Note(**{**each, "kind": Kind(each["kind"])}) for each in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read (%s): what was decided before this start is forgotten", path, error)
        return
    decisions.restore(found)


async def save_decisions(run_dir: Path, decisions: Decisions) -> None:
    """Write them down, if there are new ones. A full disk costs no more than the memory of them."""
    if not decisions.unsaved:
        return
    text = json.dumps([{**asdict(note), "kind": note.kind.value} for note in decisions.notes()])
    decisions.unsaved = False  # what is noted while this is written makes it true again
    try:
        await asyncio.to_thread(write_whole, run_dir / NAME, text.encode(), 0o600)
    except OSError as error:
        decisions.unsaved = True
        log.warning("the last decisions cannot be written down: %s", error)
