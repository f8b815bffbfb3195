"""The adaptive warm target beside the fixed ones, Azure's formula and Cilium's watermark, on six shapes of load (docs/warm-targets.md).

`--seeds 101 102` are not those that it was tuned with (1 and 2); `--markdown` prints the document's tables.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from vpccni.ipam.limits import HOST_NETWORK_PODS, known_limits
from vpclab.plan.outcome import Outcome
from vpclab.plan.reading import scenario_of
from vpclab.plan.run import simulate
from vpclab.plan.scenario import Scenario
from vpclab.plan.timeline import Kind, timeline

SHAPES = {
    "constant": "- {shape: constant, count: 100}\n  - {name: few, shape: poisson, per_hour: 10, life: 1h}",
    "poisson": "- {shape: poisson, per_hour: 600, life: 15m}",
    "diurnal": "- {shape: diurnal, per_hour: 600, life: 15m}",
    "bursts": "- {shape: bursts, count: 100, every: 30m, life: 5m}",
    "roll-outs": "- {shape: roll-outs, count: 100, every: 2h}",
    "mixed": "- {shape: constant, count: 60}\n  - {shape: poisson, per_hour: 200, life: 5m}\n"
    "  - {shape: bursts, count: 40, every: 1h, life: 10m}",
}
POLICIES = """
  - {name: WARM_ENI_TARGET=1}
  - {name: WARM_IP_TARGET=1, env: {WARM_IP_TARGET: 1}}
  - {name: WARM_IP_TARGET=2, env: {WARM_IP_TARGET: 2}}
  - {name: WARM_IP_TARGET=5, env: {WARM_IP_TARGET: 5}}
  - {name: prefix 1, env: {ENABLE_PREFIX_DELEGATION: true, WARM_PREFIX_TARGET: 1}}
  - {name: Azure, agent: azure}
  - {name: Cilium 8, agent: cilium}
  - {name: adaptive, env: {WARM_TARGET_MODE: adaptive}}
"""
TYPE = "m5.large"
BOUND = 0.01
"""WARM_WAIT_PROBABILITY, as it is by default."""
COOLDOWN = 30.0
"""IP_COOLDOWN_PERIOD, seconds."""
FIXED = 5
"""The first of the policies are fixed settings."""


@dataclass(frozen=True, slots=True)
class Line:
    """One policy on one shape, over all seeds."""

    policy: str
    waited: float
    """Part of the pods."""
    p99: float
    unused: float
    """Addresses, on average, ENIs' own included."""
    calls: float
    """A day."""


def scenario(shape: str, seed: int, hours: float) -> Scenario:
    return scenario_of(
        f"name: {shape}\nseed: {seed}\nduration: {hours * 3600:.0f}\nsubnets: [{{name: a, cidr: 10.0.0.0/20}}]\n"
        f"nodes: [{{name: n, type: {TYPE}, count: 10}}]\npods:\n  {SHAPES[shape]}\npolicies:{POLICIES}"
    )


def lines(outcomes: Sequence[Sequence[Outcome]], hours: float) -> list[Line]:
    return [
        Line(
            of_policy[0].policy,
            sum(o.waited + o.never for o in of_policy) / max(1, sum(o.pods for o in of_policy)),
            max(o.wait_p99 for o in of_policy),
            fmean(o.mean_unused for o in of_policy),
            fmean(o.calls for o in of_policy) * 24 / hours,
        )
        for of_policy in zip(*outcomes, strict=True)
    ]


def best_fixed(found: Sequence[Line]) -> Line:
    """The fixed setting with which the fewest pods wait; of equals the one with the fewest unused addresses."""
    return min(found[:FIXED], key=lambda line: (round(line.waited, 4), line.unused))


def floor(plan: Scenario) -> float:
    """Unused addresses, on average, below which no policy gets that does not know when the next pod comes.

    ENIs' own, as few ENIs as what is in use needs; what cools; and so many ready that a pod finds one in all but `BOUND` cases.
    """
    limits = known_limits(TYPE)
    if limits is None:
        raise SystemExit(f"{TYPE} is not in the list of instance types")
    slots = limits.slots_per_eni

    def enis_for(addresses: int) -> int:
        return max(1, -(-addresses // slots))

    made = timeline(plan, lambda _: limits.max_pods() - HOST_NETWORK_PODS)
    changes = sorted(
        [(m.at, m.node, 1) for m in made.moments if m.kind is Kind.POD_BEGIN]
        + [(m.at + COOLDOWN, m.node, -1) for m in made.moments if m.kind is Kind.POD_END]
    )
    held, enis, sum_enis, at = Counter[int](), len(made.nodes), 0.0, 0.0
    for when, node, change in changes:
        if when >= plan.seconds:
            break
        sum_enis += enis * (when - at)
        at = when
        enis -= enis_for(held[node])
        held[node] += change
        enis += enis_for(held[node])
    sum_enis += enis * (plan.seconds - at)
    ends = sum(m.kind is Kind.POD_END for m in made.moments)
    return (sum_enis + ends * COOLDOWN) / plan.seconds + (1 - BOUND) * len(made.nodes)


def verdict(found: Sequence[Line], least: float) -> str:
    best, ours = best_fixed(found), found[-1]
    waits = "no more" if ours.waited <= max(best.waited, BOUND) + 1e-9 else "more"
    return (
        f"beside {best.policy}: {ours.waited:.2%} waited, {best.waited:.2%} there ({waits} than the bound); "
        f"unused x{ours.unused / best.unused:.2f}; EC2 calls x{ours.calls / max(best.calls, 1):.2f}. "
        f"The least that can be unused is {least:.1f}: that setting holds x{best.unused / least:.2f} of it, adaptive x{ours.unused / least:.2f}"
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    arguments.add_argument("--hours", type=float, default=24.0)
    arguments.add_argument("--shape", choices=sorted(SHAPES), action="append")
    arguments.add_argument("--only", nargs="+", help="policies")
    arguments.add_argument("--markdown", action="store_true")
    said = arguments.parse_args()
    for shape in said.shape or SHAPES:
        plans = [scenario(shape, seed, said.hours) for seed in said.seeds]
        if said.only:
            plans = [replace(p, policies=tuple(o for o in p.policies if o.name in said.only)) for p in plans]
        found = lines([simulate(p, jobs=os.cpu_count() or 1) for p in plans], said.hours)
        if said.markdown:
            print(
                f"\n### {shape}\n\n| Policy | waited | p99, s | unused, mean | EC2 calls a day |\n| --- | --- | --- | --- | --- |"
            )
            for line in found:
                print(
                    f"| {line.policy} | {line.waited:.2%} | {line.p99:.3g} | {line.unused:.1f} | {line.calls:.0f} |"
                )
        else:
            print(f"\n{shape}")
            for line in found:
                print(
                    f"  {line.policy:18} waited {line.waited:7.2%}  p99 {line.p99:6.3g}  unused {line.unused:7.1f}  calls {line.calls:7.0f}"
                )
        if not said.only:
            print(("\n" if said.markdown else "  ") + verdict(found, fmean(map(floor, plans))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
