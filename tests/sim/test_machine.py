"""Anything may happen to a few nodes of one region, in any order; what must hold, holds. Hypothesis finds small stories."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.sim.story import CALLS, TROUBLES, Story
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import IPV4_KINDS
from vpclab.sim.node import Setup

PODS = st.integers(0, 40)
NODES = st.integers(0, 2)
SETUPS = st.builds(
    Setup,
    targets=st.builds(
        WarmTargets,
        warm_eni=st.integers(0, 2),
        warm_ip=st.sampled_from([0, 0, 1, 9]),
        minimum_ip=st.sampled_from([0, 0, 5, 10]),
        warm_prefix=st.integers(0, 2),
    ),
    kind=st.sampled_from(IPV4_KINDS),
    cooldown=st.sampled_from([30.0, 30.0, 0.0]),
    max_enis=st.sampled_from([None, 2]),
)


class RegionMachine(RuleBasedStateMachine):
    story: Story

    @initialize(
        setups=st.lists(SETUPS, min_size=2, max_size=3),
        subnets=st.sampled_from([("10.0.0.0/24",), ("10.0.0.0/26",), ("10.0.0.0/25", "10.0.1.0/27")]),
        pods=st.sets(PODS),
    )
    def begin(self, *, setups: list[Setup], subnets: tuple[str, ...], pods: set[int]) -> None:
        self.story = Story(setups=setups, subnets=subnets)
        self.story.time_passes(10.0)
        self.add(pods)

    @rule(numbers=st.sets(PODS, min_size=1))
    def add(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            self.story.add(number)

    @rule(numbers=st.sets(PODS, min_size=1))
    def delete(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            self.story.delete(number)

    @rule(seconds=st.sampled_from([0.3, 2.0, 9.0, 31.0, 61.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.story.time_passes(seconds)

    @rule(events=st.integers(1, 6))
    def to_the_next_events(self, events: int) -> None:
        for _ in range(events):
            self.story.to_the_next_event()

    @rule(number=NODES)
    def crash(self, number: int) -> None:
        self.story.crash(number)

    @rule(number=NODES, torn=st.integers(0, 60), setup=st.none() | SETUPS)
    def start(self, number: int, torn: int, setup: Setup | None) -> None:
        self.story.start(number, torn=torn, setup=setup)

    @rule(call=st.sampled_from(CALLS), trouble=st.sampled_from(TROUBLES), count=st.integers(1, 6))
    def ec2_fails(self, call: str, trouble: tuple[str, int], count: int) -> None:
        self.story.ec2_fails(call, trouble, count)

    @rule(part=st.sampled_from([0.0, 0.3]))
    def ec2_loses_answers(self, part: float) -> None:
        self.story.ec2_loses_answers(part)

    @rule(hard=st.booleans())
    def ec2_throttles(self, *, hard: bool) -> None:
        self.story.ec2_throttles(hard=hard)

    @rule(most=st.sampled_from([0.0, 40.0]))
    def metadata_lags(self, most: float) -> None:
        self.story.metadata_lags(most)

    @rule(most=st.sampled_from([0.0, 30.0]))
    def devices_come_late(self, most: float) -> None:
        self.story.devices_come_late(most)

    @rule(count=st.sampled_from([1, 20, 60]))
    def somebody_takes_addresses(self, count: int) -> None:
        self.story.somebody_takes_addresses(0, count)

    @rule()
    def somebody_gives_addresses_back(self) -> None:
        self.story.somebody_gives_addresses_back()

    @rule(number=NODES, which=st.integers(0, 20))
    def somebody_unassigns(self, number: int, which: int) -> None:
        self.story.somebody_unassigns(number, which)

    @rule(number=NODES, which=st.integers(0, 2))
    def somebody_detaches(self, number: int, which: int) -> None:
        self.story.somebody_detaches(number, which)

    @invariant()
    def what_must_hold_holds(self) -> None:
        if hasattr(self, "story"):
            self.story.check()

    def teardown(self) -> None:
        if hasattr(self, "story"):
            self.story.settle()


RegionMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestRegionMachine = pytest.mark.timeout(0)(RegionMachine.TestCase)
