"""A day of pods coming and going on ten nodes: EC2 calls, held-but-unused addresses and waits, ours beside the original's rules.

Both run on the same trace against the same region (vpclab.sim, virtual time). Deterministic by seed; `--quick` takes two hours
of each shape instead of a day.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from vpccni.ipam.limits import HOST_NETWORK_PODS
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind
from vpclab.plan.manners import OURS, UNPACED
from vpclab.sim.kubelet import Kubelet
from vpclab.sim.node import Setup
from vpclab.sim.original import OriginalNode
from vpclab.sim.trace import DAY, Trace, about, bursts, diurnal, placed, poisson, roll_outs
from vpclab.sim.world import World

NODES, NODE_TYPE, WARM_UP = 10, "m5.large", 300.0
SETUPS = {
    "WARM_ENI_TARGET=1": Setup(WarmTargets(warm_eni=1)),
    "WARM_IP_TARGET=2 MINIMUM_IP_TARGET=10": Setup(WarmTargets(warm_ip=2, minimum_ip=10)),
    "prefixes, WARM_PREFIX_TARGET=1": Setup(WarmTargets(warm_prefix=1), kind=BlockKind.PREFIX),
}
SHAPES: dict[str, Callable[[int, float], Trace]] = {
    "poisson": lambda seed, seconds: poisson(600, about(900), seed=seed, seconds=seconds),
    "diurnal": lambda seed, seconds: diurnal(600, about(1800), seed=seed, seconds=seconds),
    "bursts": lambda seed, seconds: bursts(100, 1800, about(300), seed=seed, seconds=seconds),
    "roll-outs": lambda seed, seconds: roll_outs(100, 7200, seed=seed, seconds=seconds),
}


@dataclass(frozen=True, slots=True)
class Day:
    """What one run came to."""

    calls: Counter[str]
    throttled: int
    unused_hours: float
    mean: float
    peak: int
    late: int
    failed: int
    never: int
    p50: float
    p99: float
    cpu: float

    @property
    def total(self) -> int:
        return sum(self.calls.values())


def run(trace: Trace, setup: Setup, *, original: bool, seed: int) -> Day:
    began = time.process_time()
    world = World(subnets=("10.0.0.0/20",), seed=seed)
    kubelets: list[Kubelet] = []
    for number in range(NODES):
        instance = world.launch(NODE_TYPE)
        node = (
            OriginalNode(
                world.events, world.region, instance, world.client(instance, UNPACED), setup, seed=number
            )
            if original
            else world.add_node(instance, setup, OURS, seed=number)
        )
        kubelets.append(world.kubelet(node, seed=number))
        world.run_until(world.events.now + 7.0)  # nodes do not start in the same second
    world.run_until(WARM_UP)
    world.meter.end()
    world.meter.restart()
    before = world.endpoint.calls.by_action()
    world.run(
        placed(trace, NODES, setup.limits(world.region.limits(NODE_TYPE)).max_pods - HOST_NETWORK_PODS),
        kubelets,
    )
    world.meter.end()
    waits, meter = world.waits, world.meter
    return Day(
        world.endpoint.calls.by_action() - before,
        world.endpoint.calls.failed("RequestLimitExceeded"),
        meter.unused_hours,
        meter.mean_unused,
        meter.peak_unused,
        waits.waited,
        waits.failed_adds,
        waits.never,
        waits.quantile(0.5),
        waits.quantile(0.99),
        time.process_time() - began,
    )


def ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else ("1.00" if not ours else "more")


def table(ours: Day, theirs: Day) -> None:
    rows: list[tuple[str, float, float]] = [
        (action, ours.calls[action], theirs.calls[action])
        for action in sorted(ours.calls.keys() | theirs.calls.keys())
    ]
    rows += [
        ("all EC2 calls", ours.total, theirs.total),
        ("held and unused, address-hours", ours.unused_hours, theirs.unused_hours),
        ("  on average", ours.mean, theirs.mean),
        ("  at most", ours.peak, theirs.peak),
        ("pods that waited", ours.late, theirs.late),
        ("failed ADDs", ours.failed, theirs.failed),
        ("pods that never had an address", ours.never, theirs.never),
        ("wait p50, s", ours.p50, theirs.p50),
        ("wait p99, s", ours.p99, theirs.p99),
    ]
    for name, mine, other in rows:
        print(f"  {name:34}{mine:10.6g}{other:12.6g}{ratio(mine, other):>8}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="two hours of each shape")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--shape", choices=sorted(SHAPES))
    said = arguments.parse_args()
    seconds = 7200.0 if said.quick else DAY
    sums: dict[str, list[float]] = {}
    for name, setup in SETUPS.items():
        for shape, make in SHAPES.items():
            if said.shape not in (None, shape):
                continue
            trace = make(said.seed, seconds)
            ours = run(trace, setup, original=False, seed=said.seed)
            theirs = run(trace, setup, original=True, seed=said.seed)
            print(
                f"\n{name}; {shape}: {len(trace.pods)} pods in {seconds / 3600:.0f} h, at most {trace.most_at_once} at once"
            )
            print(
                f"  {'':34}{'ours':>10}{'original':>12}{'ratio':>8}   (CPU {ours.cpu:.1f} s, {theirs.cpu:.1f} s)"
            )
            table(ours, theirs)
            both = sums.setdefault(name, [0.0, 0.0, 0.0, 0.0])
            for index, value in enumerate((ours.total, theirs.total, ours.unused_hours, theirs.unused_hours)):
                both[index] += value
    print("\nall shapes together")
    for name, (calls, their_calls, hours, their_hours) in sums.items():
        print(
            f"  {name:40} EC2 calls {calls:.0f} / {their_calls:.0f} = {ratio(calls, their_calls)}; "
            f"unused address-hours {hours:.0f} / {their_hours:.0f} = {ratio(hours, their_hours)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
