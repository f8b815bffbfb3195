"""Work that is done again and again, never by all nodes at the same moment."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

JITTER = 0.25
"""The part of the time between that is added at most."""


async def every(
    seconds: float, what: str, work: Callable[[], Awaitable[None]], *, first: float | None = None
) -> None:
    """Do it for ever; a failure is logged and the work is done again next time. `first`: seconds before the first time."""
    await asyncio.sleep(seconds * random.random() if first is None else first)  # noqa: S311 -- spreads nodes
    while True:
        try:
            await work()
        except Exception:
            # one failing duty must not end the others, nor itself
            log.exception("%s failed; it is tried again", what)
        await asyncio.sleep(seconds * (1 + JITTER * random.random()))  # noqa: S311 -- as above
