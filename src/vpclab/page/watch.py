"""Looks at the lab for as long as somebody looks at the page, and tells each of them what is new."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5
"""Seconds between two looks."""
SIGN_OF_LIFE = 10.0
"""Seconds after which a viewer is told that there is nothing new, so that it notices a lab that has ended."""
KEPT_UNREAD = 50
"""News that a viewer may be behind; then it starts anew with the whole picture."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look."""

    picture: Mapping[str, Any]
    calls: Sequence[Mapping[str, Any]] = ()
    """Calls of AWS's API since the look before, the oldest first."""
    decisions: Sequence[Mapping[str, Any]] = ()
    """What the agents have decided lately, all that they remember."""


class Source(Protocol):
    """Where the page gets what it shows: the lab, or a test's."""

    async def look(self) -> Seen:
        """Everything as it is now."""

    def remembered_calls(self) -> Sequence[Mapping[str, Any]]:
        """Calls of the past, for somebody who begins to look."""


def news(event: str, value: Any) -> str:
    """One message of the stream."""
    return f"event: {event}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"


@dataclass(slots=True, eq=False)
class _Viewer:
    unread: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(KEPT_UNREAD))


class Watch:
    """One lab's. Nothing is looked at while nobody watches."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._viewers: set[_Viewer] = set()
        self._looking: asyncio.Task[None] | None = None
        self._picture = ""
        self._decided: dict[str, Mapping[str, Any]] = {}

    async def stream(self) -> AsyncGenerator[str, None]:
        """Messages for one viewer: what there is, then what is new, until it goes away."""
        viewer = _Viewer()
        self._viewers.add(viewer)
        try:
            yield news("calls", list(self._source.remembered_calls()))
            if self._picture:
                yield self._picture
                yield news("decisions", list(self._decided.values()))
            if self._looking is None or self._looking.done():
                self._looking = asyncio.get_running_loop().create_task(self._look_on())
            while True:
                try:
                    async with asyncio.timeout(SIGN_OF_LIFE):
                        message = await viewer.unread.get()
                except TimeoutError:
                    message = ": still here\n\n"
                yield message
        finally:
            self._viewers.discard(viewer)

    async def stop(self) -> None:
        """The lab ends."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look_on(self) -> None:
        while self._viewers:
            try:
                await self.look()
            except Exception:
                # the lab may be changing under our eyes: a page must not end because one look failed
                log.exception("a look at the lab for its page failed")
            await asyncio.sleep(LOOK_EVERY)
        self._picture, self._decided = "", {}

    async def look(self) -> None:
        """One look; viewers are told what is different."""
        seen = await self._source.look()
        picture = news("picture", seen.picture)
        if picture != self._picture:
            self._picture = picture
            self._tell(picture)
        if seen.calls:
            self._tell(news("calls", list(seen.calls)))
        decided = {f"{d['node']} {d['at']} {d['kind']} {d['what']}": d for d in seen.decisions}
        fresh = [one for key, one in decided.items() if self._decided.get(key) != one]
        self._decided = decided
        if fresh:
            self._tell(news("decisions", fresh))

    def _tell(self, message: str) -> None:
        for viewer in self._viewers:
            if viewer.unread.full():  # it does not read: what it missed matters less than what is now
                viewer.unread.get_nowait()
            viewer.unread.put_nowait(message)
