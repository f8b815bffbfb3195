from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpclab.sim.trace import (
    DAY,
    PodSpan,
    Trace,
    about,
    always,
    bursts,
    constant,
    diurnal,
    from_file,
    placed,
    poisson,
    roll_outs,
    together,
)

SHAPES = {
    "poisson": lambda seed: poisson(100, about(600), seed=seed, seconds=7200.0),
    "diurnal": lambda seed: diurnal(100, about(600), seed=seed),
    "bursts": lambda seed: bursts(20, 600.0, always(60.0), seed=seed, seconds=7200.0),
    "roll-outs": lambda seed: roll_outs(20, 1800.0, seed=seed, seconds=7200.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_trace_is_the_same_for_the_same_seed_in_order_and_within_its_time(name: str) -> None:
    trace = SHAPES[name](3)
    assert trace == SHAPES[name](3)
    assert trace != SHAPES[name](4)
    assert list(trace.pods) == sorted(trace.pods)
    assert trace.pods
    assert all(0 <= pod.arrive <= pod.leave <= trace.seconds for pod in trace.pods)


def test_a_day_has_its_noon() -> None:
    pods = diurnal(600, about(60), seed=1).pods
    noon = sum(1 for pod in pods if abs(pod.arrive - DAY / 2) < 3600)
    midnight = sum(1 for pod in pods if pod.arrive < 3600 or pod.arrive > DAY - 3600)
    assert noon > 4 * midnight


def test_a_roll_out_keeps_as_many_pods_and_a_part_more() -> None:
    trace = roll_outs(40, 3600.0, seed=1, seconds=7200.0)
    assert 40 < trace.most_at_once <= 40 + 10 + 10
    there = sum(1 for pod in trace.pods if pod.arrive <= 3000.0 < pod.leave)
    assert there == 40


def test_traces_together() -> None:
    both = together("both", [constant(3), poisson(10, always(5.0), seed=1)])
    assert both.pods[:3] == (PodSpan(0.0, DAY),) * 3
    assert both.seconds == DAY


def test_a_trace_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# a comment\n5 10\n0,7  # another\n\n")
    assert from_file(path) == Trace("mine", (PodSpan(0.0, 7.0), PodSpan(5.0, 10.0)), 10.0)


@pytest.mark.parametrize("line", ["1", "1 2 3", "a b", "5 1", "-1 3", "1 inf", "nan 1"])
def test_a_line_that_says_no_pod_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"0 1\n{line}\n")
    with pytest.raises(ValueError, match=r"mine\.txt:2: "):
        from_file(path)


@given(seed=st.integers(0, 99), nodes=st.integers(1, 5), most=st.integers(1, 6))
def test_pods_are_spread_and_no_node_has_more_than_it_may(seed: int, nodes: int, most: int) -> None:
    draw = random.Random(seed)  # noqa: S311 -- any trace
    starts = sorted(draw.uniform(0, 100) for _ in range(60))
    trace = Trace("any", tuple(PodSpan(at, at + draw.uniform(0, 40)) for at in starts), 200.0)
    where = placed(trace, nodes, most).nodes
    for index, span in enumerate(trace.pods):
        there = [0] * nodes
        for earlier in range(index):
            if where[earlier] >= 0 and trace.pods[earlier].leave > span.arrive:
                there[where[earlier]] += 1
        if where[index] < 0:
            assert min(there) >= most
        else:
            assert there[where[index]] == min(there) < most
