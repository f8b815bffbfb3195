"""Calls about the same pod take turns; calls about different pods never wait for each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turns:
    """A queue per key that exists only while somebody is in it."""

    def __init__(self) -> None:
        self._last: dict[Hashable, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """Wait until everyone who came before with the same key is done."""
        before = self._last.get(key)
        mine = self._last[key] = asyncio.get_running_loop().create_future()

        def finish(_: object = None) -> None:
            mine.set_result(None)
            if self._last.get(key) is mine:
                del self._last[key]

        try:
            if before is not None:
                await asyncio.shield(before)
            yield
        finally:
            if before is None or before.done():
                finish()
            else:  # cancelled while waiting: whoever comes next must still wait for the one before
                before.add_done_callback(finish)
