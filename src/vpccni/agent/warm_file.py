"""What the adaptive warm target learned, on disk: a restart must not make a node that knows its load begin anew."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from vpccni.agent.files import write_whole
from vpccni.ipam.adaptive import Adaptive
from vpccni.ipam.decide import Ipam

log = logging.getLogger(__name__)
NAME = "warm.json"


def load_warmth(run_dir: Path, pools: Iterable[Ipam]) -> None:
    """What the last run learned; a file that cannot be read is said and forgotten: the node learns anew."""
    adaptive = _adaptive(pools)
    if not adaptive:
        return
    path = run_dir / NAME
    try:
        said = json.loads(path.read_text("utf-8"))
        for card, one in adaptive.items():
            if card in said:
                one.remember(said[card])
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s cannot be read (%s): the node learns its load anew", path, error)


class WarmFile:
    """Writes when something was learned since."""

    def __init__(self, run_dir: Path, pools: Iterable[Ipam]) -> None:
        self._path = run_dir / NAME
        self._adaptive = _adaptive(pools)
        self._written = {card: one.arrivals for card, one in self._adaptive.items()}

    async def save(self) -> None:
        """A full disk costs no more than the memory of it."""
        arrivals = {card: one.arrivals for card, one in self._adaptive.items()}
        if arrivals == self._written:
            return
        text = json.dumps({card: one.remembered() for card, one in self._adaptive.items()})
        try:
            await asyncio.to_thread(write_whole, self._path, text.encode(), 0o600)
        except OSError as error:
            log.warning("what the adaptive warm target learned cannot be written down: %s", error)
        else:
            self._written = arrivals


def _adaptive(pools: Iterable[Ipam]) -> dict[str, Adaptive]:
    return {str(p.state.card): p.warmth for p in pools if isinstance(p.warmth, Adaptive)}
