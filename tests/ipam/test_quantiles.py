"""What fades, and what is followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.quantiles import Counts, Delay, Mean


@given(st.lists(st.integers(0, 50), min_size=1, max_size=200), st.sampled_from([0.1, 0.5, 0.9, 0.99]))
def test_a_quantile_is_what_sorting_gives(numbers: list[int], part: float) -> None:
    counts = Counts(1e12)
    for number in numbers:
        counts.add(number)
    found = counts.quantile(part)
    beyond = sum(1 for number in numbers if number > found)
    assert beyond <= len(numbers) * (1 - part) + 1e-6
    assert found in numbers
    assert Counts.of(1e12, counts.plain()).quantile(part) in numbers


def test_what_is_old_fades() -> None:
    counts = Counts(10)
    for _ in range(100):
        counts.add(40)
    for _ in range(100):
        counts.add(2)
    assert counts.quantile(0.99) == 2


def test_a_delay_is_followed() -> None:
    delay = Delay(6.0)
    assert delay.high == 6
    delay.add(0.5)
    assert delay.high == 1.5, "what was seen says more than the guess"
    for _ in range(50):
        delay.add(0.5)
    assert 0.5 <= delay.high < 0.7
    delay.add(3.0)
    assert delay.high > 2.0


@given(st.lists(st.integers(0, 400), min_size=1, max_size=100), st.integers(1, 50))
def test_a_mean_of_what_came_at_once_is_that_of_one_after_the_other(numbers: list[int], times: int) -> None:
    at_once, one_by_one, plain = Mean(10), Mean(10), Mean(1e9)
    for number in numbers:
        at_once.add(number, times=times)
        for _ in range(times):
            one_by_one.add(number)
        plain.add(number)
    assert at_once.value == pytest.approx(one_by_one.value)
    assert plain.value == pytest.approx(sum(numbers) / len(numbers), rel=1e-5, abs=1e-6)
    assert Mean.of(10, at_once.plain()).value == pytest.approx(at_once.value, abs=1e-3)


def test_a_mean_forgets() -> None:
    mean = Mean(10)
    assert mean.value == 0
    mean.add(100, times=50)
    mean.add(0, times=10)
    assert mean.value == pytest.approx(50, abs=3)
