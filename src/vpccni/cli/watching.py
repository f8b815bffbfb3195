"""`--watch`: what a command shows, looked at and drawn again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")
WATCH = click.option("--watch", is_flag=True, help="Redraw every second, until Ctrl-C.")
REDRAW = 1.0
"""Seconds between two looks of --watch."""


def watched(look: Callable[[], T], draw: Callable[[T], None], *, watch: bool, file: Path | None) -> T:
    """Draw what a look finds, and return it; with `watch` until Ctrl-C, though what is in a file does not change.

    The screen is cleared when there is something to draw, so that it is not empty while the look lasts.
    """
    while True:
        found = look()
        if watch:
            click.clear()
        draw(found)
        if not watch or file is not None:
            return found
        time.sleep(REDRAW)
