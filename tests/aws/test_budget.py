from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.aws.budget import SHARE, SLOWEST, Bucket, CallBudget, Level, Rate, rate_of
from vpccni.aws.call_log import CallLog, Kind, Tally

CREATE = "CreateNetworkInterface"
GAPS = st.floats(0, 30, allow_nan=False)


@pytest.mark.parametrize(
    ("action", "size", "refill"),
    [
        (CREATE, 100, 5),
        ("AssignPrivateIpAddresses", 100, 5),
        ("CreateTags", 100, 10),
        ("AttachNetworkInterface", 50, 5),
        ("DetachNetworkInterface", 50, 5),
        ("UnassignIpv6Addresses", 50, 5),
        ("DescribeSubnets", 100, 20),
    ],
)
def test_the_accounts_buckets(action: str, size: float, refill: float) -> None:
    assert rate_of(action) == Rate(size, refill)


def test_a_burst_is_free_and_then_the_share_of_the_refill() -> None:
    budget = CallBudget()
    assert [budget.take(CREATE, 100.0) for _ in range(20)] == [0.0] * 20
    assert budget.take(CREATE, 100.0) == pytest.approx(1.0)
    assert budget.take(CREATE, 100.0) == pytest.approx(2.0)
    assert budget.take("AttachNetworkInterface", 100.0) == 0.0


def test_a_share_too_small_for_one_call_still_lets_one_pass() -> None:
    budget = CallBudget(share=0.001)
    assert budget.take(CREATE, 0.0) == 0.0
    assert budget.take(CREATE, 0.0) == pytest.approx(200.0)


def test_throttling_empties_and_halves_once_a_second_and_success_wins_it_back() -> None:
    budget = CallBudget()
    budget.take(CREATE, 0.0)
    budget.throttled(CREATE, 0.0)
    budget.throttled(CREATE, 0.5)  # under way when the first was refused
    assert budget.pace(CREATE) == 0.5
    assert budget.take(CREATE, 0.5) == pytest.approx(2.0)
    budget.throttled(CREATE, 1.5)
    assert budget.pace(CREATE) == 0.25
    assert budget.pace("AttachNetworkInterface") == 1.0
    for second in range(12):
        budget.accepted(CREATE, 2.0 + second)
    assert budget.pace(CREATE) == 1.0


@given(st.lists(st.tuples(GAPS, st.sampled_from(["take", "throttled", "accepted"])), max_size=60))
def test_however_it_goes_the_pace_stays_between_its_bounds_and_waits_end(
    story: list[tuple[float, str]],
) -> None:
    budget, now, unpaid = CallBudget(), 0.0, 0
    for gap, what in story:
        now += gap
        if what == "take":
            unpaid += 1
            wait = budget.take(CREATE, now)
            assert 0 <= wait <= unpaid / (5 * SHARE * SLOWEST)
        elif what == "throttled":
            budget.throttled(CREATE, now)
        else:
            budget.accepted(CREATE, now)
        assert SLOWEST <= budget.pace(CREATE) <= 1


@given(st.floats(1, 50), st.floats(0.1, 20), st.lists(st.floats(0, 5), min_size=1, max_size=80))
def test_who_waits_as_told_never_makes_more_calls_than_the_bucket_gives(
    size: float, refill: float, gaps: list[float]
) -> None:
    bucket, now, calls = Bucket(Rate(size, refill), size, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        now += bucket.take(now)
        calls.append(now)
    for first in range(len(calls)):
        for last in range(first, len(calls)):
            made = last - first + 1
            assert made <= size + refill * (calls[last] - calls[first]) + 1e-6


@given(st.floats(1, 50), st.floats(0.1, 20), st.lists(st.floats(0, 5), max_size=40))
def test_a_clock_read_earlier_but_used_later_gives_no_tokens_twice(
    size: float, refill: float, times: list[float]
) -> None:
    there_and_back = Bucket(Rate(size, refill), 0.0, 0.0)
    for at in times:
        there_and_back.throttled(at)
    straight = Bucket(Rate(size, refill), 0.0, 0.0)
    straight.throttled(max(times, default=0.0))
    assert there_and_back.at == straight.at
    assert there_and_back.tokens <= max(0.0, straight.tokens)


def test_the_log_tells_calls_by_code_and_how_long_they_took() -> None:
    log = CallLog()
    log.record(CREATE, "ok", 0.25)
    log.record(CREATE, "ok", 0.5)
    log.record(CREATE, "RequestLimitExceeded", 0.125)
    assert log.tallies() == {
        (CREATE, "ok"): Tally(2, 0.75, 0.5),
        (CREATE, "RequestLimitExceeded"): Tally(1, 0.125, 0.125),
    }
    assert (log.count(CREATE), log.count("CreateTags")) == (3, 0)


def test_levels_tell_of_buckets_without_touching_them() -> None:
    budget = CallBudget()
    for _ in range(25):
        budget.take(CREATE, 0.0)
    (before,) = budget.levels(0.0).items()
    assert before == (CREATE, Level(tokens=-5.0, size=20.0, refill=1.0, pace=1.0))
    budget.throttled(CREATE, 0.0)
    later = budget.levels(10.0)[CREATE]
    assert (later.tokens, later.refill, later.pace) == (0.0, 0.5, 0.5)
    assert budget.levels(1000.0)[CREATE].tokens == 20.0
    assert budget.levels(0.0)[CREATE].tokens == -5.0


def test_the_log_keeps_latencies_by_status_and_when_ec2_last_answered() -> None:
    now = 100.0
    log = CallLog(clock=lambda: now)
    log.record(CREATE, "Unreachable", 5.0)
    assert log.answer_age is None
    log.record(CREATE, "ok", 0.2, 200)
    log.record(CREATE, "ok", 0.4, 200)
    now = 107.0
    assert log.answer_age == 7.0
    seen = {kind: (h.count, h.sum) for kind, h in log.latencies().items()}
    assert seen == {
        Kind(CREATE, "Unreachable", None): (1, 5.0),
        Kind(CREATE, "ok", 200): (2, pytest.approx(0.6)),
    }
