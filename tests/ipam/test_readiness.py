"""What must be ready follows from who came, who waited, and how long EC2 took."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.readiness import ENOUGH_ARRIVALS, LAXEST, STRICTEST, Readiness


def test_pods_that_come_one_by_one_need_one_ready() -> None:
    seen = Readiness(0.01)
    for number in range(200):
        seen.came(number * 60.0, 5)
    assert seen.rush(spare=9) == 1


def test_a_rush_needs_as_many_as_it_has() -> None:
    seen = Readiness(0.01)
    for burst in range(20):
        for number in range(7):
            seen.came(burst * 1800 + number * 0.1, 1 + number)
    assert seen.rush(spare=9) == 7
    assert seen.level == 7 + 1  # of so few that nobody knows


def test_a_new_eni_s_delay_counts_for_what_has_no_room() -> None:
    seen = Readiness(0.01)
    for _ in range(50):
        seen.took(0.2, attach=False)
    for burst in range(20):
        for number in range(6):  # one a second: EC2 keeps up with them where there is room
            seen.came(burst * 1800 + number, 3)
    # with places for fewer than come while an ENI is attached, one is attached for the address beyond them
    assert [seen.rush(spare) for spare in (9, 6, 5, 2, 0)] == [1, 1, 6, 3, 1]


def test_a_level_that_goes_on_being_exceeded_is_not_trusted() -> None:
    seen = Readiness(0.01)
    for number in range(100):
        seen.came(number * 60.0, number)
    assert seen.level is None
    for number in range(100, 300):
        seen.came(number * 60.0, 40)
    assert seen.level is not None


def test_until_it_knows_there_is_no_level() -> None:
    seen = Readiness(0.01)
    for number in range(ENOUGH_ARRIVALS - 1):
        seen.came(number * 60.0, 4)
        assert seen.level is None


@pytest.mark.parametrize("bound", [0.01, 0.05])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_part_that_waits_comes_to_what_was_asked_for(bound: float, seed: int) -> None:
    """Whoever comes with more than were ready waits: the rushes are of any size, and EC2's delay has nothing to do with it."""
    chance, seen, waited, pods = random.Random(seed), Readiness(bound), 0, 0  # noqa: S311 -- the same for the same seed
    for burst in range(4000):
        ready = seen.rush(spare=99)
        size = min(int(chance.paretovariate(1.2)), 40)
        for number in range(size):
            seen.judge(waits=number >= ready)
            seen.came(burst * 600.0 + number * 0.01, 1 + number)
            waited += number >= ready
        pods += size
    assert waited / pods <= bound


@given(st.lists(st.booleans()))
def test_how_seldom_stays_within_its_limits(waits: list[bool]) -> None:
    seen = Readiness(0.01)
    for one in waits:
        before = seen.exceeded
        seen.judge(waits=one)
        assert STRICTEST <= seen.exceeded <= LAXEST
        assert (seen.exceeded <= before) if one else (seen.exceeded >= before)
