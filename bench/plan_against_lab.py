"""Is a plan true? Three nodes with three settings and pods that come by chance, as real agents in a lab and in virtual time (docs/warm-targets.md).

tests/lab/test_plan.py does the same with pods that come by the clock.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.plan.against_lab import FIRST_ENV, Case, Planned, RealLab, table

from vpclab.sim.trace import about, bursts, poisson

COOL = {"IP_COOLDOWN_PERIOD": "10", "VPC_CNI_SURPLUS_PERIOD": "20"}


def cases(seconds: float, seed: int) -> dict[str, Case]:
    """By node."""
    burst = bursts(14, 60.0, about(40), seed=seed + 3, seconds=seconds, within=5.0)
    return {
        "node1": Case(COOL, poisson(600, about(30), seed=seed + 1, seconds=seconds).pods),
        "node2": Case(
            {**COOL, "WARM_IP_TARGET": "2"}, poisson(600, about(30), seed=seed + 2, seconds=seconds).pods
        ),
        "node3": Case({**COOL, "ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"}, burst.pods),
    }


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=180.0)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--name", default="plan-truth")
    said = arguments.parse_args()
    vpc_lab = [sys.executable, "-m", "vpclab"]
    first = [word for key, value in FIRST_ENV.items() for word in ("--env", f"{key}={value}")]
    subprocess.run([*vpc_lab, "up", "--name", said.name, "--nodes", "3", "--seed", "1", *first], check=True)
    try:
        nodes = cases(said.seconds, said.seed)
        real = RealLab(said.name, nodes).run(said.seconds)
        print(
            table(nodes, {node: Planned(case).run(said.seconds) for node, case in nodes.items()}, real),
            flush=True,
        )
    finally:
        subprocess.run([*vpc_lab, "down", "--name", said.name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
