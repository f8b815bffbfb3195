"""`--watch` looks again before it draws again, until Ctrl-C."""

import time
from itertools import count
from pathlib import Path

import click
import pytest

from vpccni.cli.watching import REDRAW, watched


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened; Ctrl-C comes in the second wait."""
    seen: list[str] = []

    def sleep(seconds: float) -> None:
        seen.append(f"wait {seconds}")
        if seen.count(f"wait {seconds}") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(click, "clear", lambda: seen.append("clear"))
    return seen


def drawn(seen: list[str], *, watch: bool, file: Path | None = None) -> int:
    numbers = count(1)

    def look() -> int:
        seen.append("look")
        return next(numbers)

    return watched(look, lambda found: seen.append(f"draw {found}"), watch=watch, file=file)


def test_without_it_there_is_one_look(seen: list[str]) -> None:
    assert drawn(seen, watch=False) == 1
    assert seen == ["look", "draw 1"]


def test_it_draws_every_look_on_a_cleared_screen_until_ctrl_c(seen: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        drawn(seen, watch=True)
    wait = f"wait {REDRAW}"
    assert seen == ["look", "clear", "draw 1", wait, "look", "clear", "draw 2", wait]


def test_a_file_is_drawn_once(seen: list[str]) -> None:
    assert drawn(seen, watch=True, file=Path("bundle.tar.gz")) == 1
    assert seen == ["look", "clear", "draw 1"]
