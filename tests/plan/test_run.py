"""A plan is the same each time, counts what happened, and finds how far a cluster can grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vpclab.plan.html import render
from vpclab.plan.largest import largest
from vpclab.plan.outcome import Outcome
from vpclab.plan.reading import scenario_of
from vpclab.plan.run import run_policy, simulate
from vpclab.plan.scenario import Policy, ScenarioError

TEXT = """\
name: small <b>
duration: 30m
subnets: [{name: a, cidr: 10.0.0.0/25}]
nodes: [{name: n, type: m5.large, count: 3, changes: [{at: 10m, count: 4}, {at: 20m, count: 2}]}]
pods:
  - {name: there, shape: constant, count: 10}
  - {name: jobs, shape: poisson, per_hour: 200, life: 5m}
policies:
  - {name: default}
  - {name: warm, env: {WARM_IP_TARGET: 2}}
  - {name: original, agent: original}
  - {name: azure, agent: azure}
  - {name: cilium, agent: cilium}
"""
SCENARIO = scenario_of(TEXT)


def test_the_same_each_time_and_in_processes_too() -> None:
    few = replace(SCENARIO, policies=SCENARIO.policies[:2])
    first, again = simulate(few), simulate(few, jobs=2)
    for a, b in zip(first, again, strict=True):
        assert {**a.to_json(), "cpu_seconds": 0} == {**b.to_json(), "cpu_seconds": 0}
    other = run_policy(replace(few, seed=2), few.policies[0])
    assert other.pods != first[0].pods


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return simulate(SCENARIO)


def test_what_is_counted_adds_up(outcomes: list[Outcome]) -> None:
    for o in outcomes:
        assert o.pods == outcomes[0].pods
        assert o.connected + o.never >= o.pods
        assert o.mean_held >= o.mean_used > 0
        assert o.peak_held >= max(o.series.held)
        assert sum(o.series.calls) == pytest.approx(o.calls, abs=20)
        assert o.subnets[0].peak_held + o.subnets[0].lowest_free == o.subnets[0].capacity
        assert max(o.series.nodes) == 4
        assert o.series.nodes[-1] == 2
        for held, used in zip(o.series.subnet_held["a"], o.series.subnet_used["a"], strict=True):
            assert held >= used >= 0
    by_name = {o.policy: o for o in outcomes}
    assert by_name["warm"].mean_held < by_name["default"].mean_held
    assert by_name["cilium"].mean_held > by_name["warm"].mean_held


def test_the_page_has_all_and_nothing_from_elsewhere(outcomes: list[Outcome]) -> None:
    page = render(SCENARIO, outcomes)
    assert "small &lt;b&gt;" in page
    assert "<b>small" not in page
    assert page.count("<svg") >= 5
    for foreign in ("http://", "https://", "<script", "<link", "@import", "url("):
        assert foreign not in page


def test_the_largest_cluster_is_where_the_subnet_ends() -> None:
    still = scenario_of(
        "duration: 10m\nsubnets: [{name: a, cidr: 10.0.0.0/25}]\nnodes: [{name: n, type: m5.large, count: 4}]\n"
        "pods: [{shape: constant, count: 32}]\n"
    )
    found = largest(still, Policy("few", env={"WARM_IP_TARGET": "1"}))
    # a node holds its own address and its eight pods': nine of 123; a warm one more where the subnet has it
    assert found.nodes is not None
    assert 12 <= found.nodes <= 14
    assert "SubnetFull" in found.because or "no free address" in found.because or "launched" in found.because


def test_a_scenario_that_can_t_be_made_is_said_so() -> None:
    scattered = TEXT.replace("cidr: 10.0.0.0/25", "cidr: 10.0.0.0/25, used: 2, scattered: true")
    with pytest.raises(ScenarioError, match="whole free /28"):
        simulate(scenario_of(scattered))
