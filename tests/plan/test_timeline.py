"""Which pod runs where, and when."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vpclab.plan.reading import scenario_of
from vpclab.plan.timeline import Kind, Timeline, timeline

TEXT = """\
duration: 1h
subnets: [{{name: a, cidr: 10.0.0.0/24, zone: a}}, {{name: b, cidr: 10.0.1.0/24, zone: b}}]
nodes: [{{name: n, type: m5.large, count: {count}, changes: [{changes}]}}]
pods: [{{shape: poisson, per_hour: {rate}, life: 10m}}]
"""


def made(count: int, rate: float, room: int, changes: str = "") -> Timeline:
    return timeline(scenario_of(TEXT.format(count=count, rate=rate, changes=changes)), lambda _: room)


def check(plan: Timeline, room: int) -> None:
    on: Counter[int] = Counter()
    where: dict[int, int] = {}
    up: set[int] = set()
    for moment in plan.moments:
        match moment.kind:
            case Kind.NODE_UP:
                up.add(moment.node)
            case Kind.NODE_DOWN:
                assert not on[moment.node]
                up.remove(moment.node)
            case Kind.POD_BEGIN:
                assert moment.node in up
                on[moment.node] += 1
                assert on[moment.node] <= room
                assert moment.pod not in where
                where[moment.pod] = moment.node
            case Kind.POD_END:
                assert where[moment.pod] == moment.node
                on[moment.node] -= 1
    assert [m.at for m in plan.moments] == sorted(m.at for m in plan.moments)


@given(
    count=st.integers(1, 6),
    rate=st.floats(1, 400),
    room=st.integers(1, 20),
    later=st.lists(st.integers(0, 8), max_size=4),
)
def test_no_node_has_more_than_its_room_and_none_that_is_gone_has_a_pod(
    count: int, rate: float, room: int, later: list[int]
) -> None:
    changes = ", ".join(f"{{at: {600 * (n + 1)}, count: {c}}}" for n, c in enumerate(later))
    check(made(count, rate, room, changes), room)


def test_pods_are_spread_and_nodes_take_their_subnets_in_turn() -> None:
    plan = made(4, 400, 27)
    assert [n.subnet for n in plan.nodes] == ["a", "b", "a", "b"]
    begun = Counter(m.node for m in plan.moments if m.kind is Kind.POD_BEGIN)
    assert max(begun.values()) < 1.5 * min(begun.values())


def test_the_pods_of_a_node_that_goes_are_begun_elsewhere() -> None:
    plan = made(3, 100, 50, "{at: 30m, count: 2}")
    down = next(m for m in plan.moments if m.kind is Kind.NODE_DOWN)
    moved = [m for m in plan.moments if m.at == down.at and m.kind is Kind.POD_BEGIN]
    ended = [m for m in plan.moments if m.at == down.at and m.kind is Kind.POD_END]
    assert moved
    assert len(moved) == len(ended)


def test_a_pod_without_room_waits_its_turn() -> None:
    plan = made(1, 200, 5)
    assert any(wait.placed for wait in plan.no_room)
    assert all(wait.until >= wait.since for wait in plan.no_room)
