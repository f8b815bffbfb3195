"""What a plan costs: a day of N nodes and 100 pod starts a node, one policy; CPU seconds (docs/plan.md)."""

from __future__ import annotations

import argparse
import time

from vpclab.plan.reading import scenario_of
from vpclab.plan.run import run_policy

TEXT = """\
duration: 24h
subnets: [{{name: a, zone: a, cidr: 10.0.0.0/16}}, {{name: b, zone: b, cidr: 10.1.0.0/16}}]
nodes: [{{name: n, type: m5.large, count: {nodes}}}]
pods: [{{shape: poisson, per_hour: {rate}, life: 30m}}]
policies: [{{name: {policy}, env: {env}}}]
"""
POLICIES = {"default": "{}", "adaptive": "{WARM_TARGET_MODE: adaptive}"}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 4000])
    arguments.add_argument("--policy", choices=sorted(POLICIES), default="default")
    said = arguments.parse_args()
    for nodes in said.nodes:
        text = TEXT.format(nodes=nodes, rate=nodes * 100 / 24, policy=said.policy, env=POLICIES[said.policy])
        began = time.monotonic()
        outcome = run_policy(scenario_of(text), scenario_of(text).policies[0])
        print(
            f"{nodes:6} nodes, {outcome.pods:7} pods: {outcome.cpu_seconds:7.1f} s CPU, {time.monotonic() - began:7.1f} s in all, "
            f"{1000 * outcome.cpu_seconds / max(1, outcome.pods):.2f} ms a pod",
            flush=True,
        )


if __name__ == "__main__":
    main()
