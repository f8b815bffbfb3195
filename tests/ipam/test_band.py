"""How far a pool may be above its least: nothing for what never changes, more the more it wanders."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.band import FOLLOWS, STEP, Band


def wander(seed: int, size: int, steps: int = 2000) -> Band:
    """The least moves by `size`, up or down, in each step."""
    band, chance, least = Band(), random.Random(seed), 50 * size  # noqa: S311 -- the same for the same seed
    for step in range(steps):
        band.passes(least, step * STEP, lacks=False)
        least = max(0, least + chance.choice((-size, size)))
    return band


def test_what_never_changes_needs_no_band() -> None:
    band = Band()
    for step in range(100):
        band.passes(7, step * STEP, lacks=False)
    assert (band.back, band.ask, band.most) == (0, 0, 0)


def test_a_band_is_miller_and_orr_s() -> None:
    one, four = wander(1, 1), wander(1, 8)
    # (3/4 * half a step's holding * variance) ^ 1/3, and three times that
    assert (one.back, one.most) == (1, 2)
    assert (four.back, four.most) == (3, 9)


def test_what_was_not_looked_at_has_not_changed() -> None:
    often, seldom = wander(3, 4), wander(3, 4)
    for step in range(2000, 4000):
        often.passes(0, step * STEP, lacks=False)
    seldom.passes(0, 2000 * STEP, lacks=False)
    seldom.passes(0, 3999 * STEP, lacks=False)
    assert often.plain()["variance"] == pytest.approx(seldom.plain()["variance"], abs=1e-3)
    assert often.back == seldom.back < wander(3, 4).back


def test_the_usual_rise_is_asked_for_at_once_and_kept_while_it_may_come() -> None:
    band, now = Band(), 0.0
    for _ in range(5):
        band.passes(5, now, lacks=True)
        band.passes(11, now + 3, lacks=False)
        assert band.rise_ends_at == now + FOLLOWS
        assert band.most >= band.ask
        band.passes(5, now + FOLLOWS, lacks=False)
        assert band.rise_ends_at is None
        now += 4000
    assert band.ask == 6
    assert band.most < 6


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 5000), st.booleans())))
def test_it_goes_over_a_restart(seen: list[tuple[int, float, bool]]) -> None:
    band, now = Band(), 0.0
    for least, seconds, lacks in seen:
        now += seconds
        band.passes(least, now, lacks=lacks)
        assert 0 <= band.back <= band.ask
        assert band.back <= band.most
    again = Band.of(band.plain())
    assert abs(again.back - band.back) <= 1
    assert again.plain() == band.plain()
