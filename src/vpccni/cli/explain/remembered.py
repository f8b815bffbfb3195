"""The decisions that an agent left on disk: all that is known while it does not answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = "decisions.json"


def remembered(run_dir: Path) -> list[dict[str, Any]]:
    """They, as the agent tells them over its socket; none if there is no such file or it cannot be read."""
    try:
        return [
            {**note, "at": _moment(note["at"]), "last_at": _moment(note["last_at"])}
            for note in json.loads((run_dir / NAME).read_text("utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
