"""The agent's clock: seconds since the epoch at start, steady from then on.

Cooldowns must not end early because someone set the wall clock, and must mean the same after a restart: so wall time
is read once and monotonic time is added to it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


def steady_clock() -> Clock:
    """A clock that starts at the wall's time and never jumps."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()
