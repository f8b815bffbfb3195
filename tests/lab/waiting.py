"""Waiting for conditions, with the deadline of a loaded machine."""

import time
from collections.abc import Callable


def until(what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def until_equal(read: Callable[[], object], wanted: object, seconds: float = 30.0) -> None:
    """Wait for a value; the last one seen is told if it does not come."""
    deadline = time.monotonic() + seconds
    while (seen := read()) != wanted:
        assert time.monotonic() < deadline, f"{seen} is not {wanted}"
        time.sleep(0.1)
