"""How late the agent's loop is: every pod of the node waits for it."""

from __future__ import annotations

import asyncio
import time

from vpccni.histogram import Histogram

EVERY = 1.0
"""Seconds; a wake-up costs some ten microseconds."""


async def watch_lag(lags: Histogram, every: float = EVERY) -> None:
    """Observe for ever; to be cancelled."""
    while True:
        due = time.monotonic() + every
        await asyncio.sleep(every)
        lags.observe(max(0.0, time.monotonic() - due))
