"""What a plan says is what real agents do: three settings, the same pods in virtual time and in a lab with EC2's delays."""

from __future__ import annotations

import pytest

from tests.lab.conftest import StartLab
from tests.lab.waiting import until_equal
from tests.plan.against_lab import FIRST_ENV, Case, Planned, RealLab, table
from vpclab.sim.trace import PodSpan

pytestmark = pytest.mark.lab

SECONDS = 70.0
"""An ENI lives a minute at least: one that is made at once is given back within this time."""
QUICK = {"IP_COOLDOWN_PERIOD": "5", "VPC_CNI_SURPLUS_PERIOD": "10"}
STAYS = 10 * SECONDS


def wave(count: int, at: float, leave: float, apart: float = 0.3) -> tuple[PodSpan, ...]:
    return tuple(PodSpan(at + n * apart, leave + n * apart if leave < STAYS else STAYS) for n in range(count))


CASES = {
    # an ENI more for the first pod, another for the sixth; the first of them goes, the other is too young
    "node1": Case(QUICK, (*wave(4, 0.2, 30), *wave(3, 14, 28))),
    # a call for each pod, the fourth's brings an ENI; two go, and what they leave is given back
    "node2": Case(
        {**QUICK, "WARM_IP_TARGET": "2"},
        (*wave(2, 1, 37, apart=6), *wave(4, 13, STAYS, apart=6), *wave(1, 60, STAYS)),
    ),
    # a second prefix for the first pod, a third for the seventeenth; all go, and two prefixes; one comes again
    "node3": Case(
        {**QUICK, "ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"},
        (*wave(14, 5, 31), *wave(4, 20, 30), *wave(3, 60, STAYS)),
    ),
}


def test_a_plan_holds_and_asks_for_what_real_agents_do(start_lab: StartLab) -> None:
    first = [word for key, value in FIRST_ENV.items() for word in ("--env", f"{key}={value}")]
    lab = start_lab("--nodes", "3", "--delays", "real", "--seed", "1", *first)
    nodes = {node: Planned(case) for node, case in CASES.items()}
    real_lab = RealLab(lab.name, CASES)
    until_equal(real_lab.held, {node: one.at_first for node, one in nodes.items()}, 60)
    real = real_lab.run(SECONDS)
    planned = {node: one.run(SECONDS) for node, one in nodes.items()}
    told = table(CASES, planned, real)
    for node in CASES:
        assert planned[node].held == pytest.approx(real[node].held, rel=0.05), told
        ours, theirs = sum(planned[node].calls.values()), sum(real[node].calls.values())
        assert abs(ours - theirs) <= max(1, 0.05 * theirs), told
        actions = planned[node].calls | real[node].calls
        assert all(abs(planned[node].calls[a] - real[node].calls[a]) <= 1 for a in actions), told
        assert ours >= 4, f"{node} asked for hardly anything: the comparison says nothing\n{told}"
