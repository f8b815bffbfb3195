"""The region's seconds as dates."""

from __future__ import annotations

import datetime as dt


def moment(seconds: float) -> dt.datetime:
    """A time of the region's as a date."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
