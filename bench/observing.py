"""What metrics cost: one pod's observations in the path of ADD, and one scrape, with its baseline in the same run.

The baseline is prometheus_client's histogram with labels, observed as often. The pool holds 15 ENIs of prefixes and 1,000
pods, far above what a node runs; a scrape is done in the agent's loop, so an ADD may wait for it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as TheirHistogram

from vpccni.agent import go_json, view, viewing
from vpccni.agent.counters import ADD_PHASES, Counters
from vpccni.agent.exposition import render
from vpccni.agent.scene import Scene
from vpccni.agent.series import families
from vpccni.agent.settings import Settings
from vpccni.histogram import POD_SECONDS
from vpccni.ipam.decide import Ipam
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import (
    AttachedEni,
    Block,
    BlockKind,
    Eni,
    EniId,
    Pod,
    SandboxKey,
    SubnetId,
)

ENIS, PREFIXES, PODS = 15, 10, 1_000
ROUNDS = 100_000
GOAL_MICROSECONDS = 5.0
SUBNET = IPv4Network("10.0.0.0/16")


def full_scene() -> Scene:
    ipam = Ipam(
        NodeLimits(max_enis=ENIS, slots_per_eni=49, max_pods=5000), WarmTargets(), kind=BlockKind.PREFIX
    )
    for n in range(ENIS):
        blocks = tuple(Block(IPv4Network(f"10.0.{n}.{16 * p}/28")) for p in range(PREFIXES))
        eni = Eni(EniId(f"eni-{n}"), f"02:00:00:00:00:{n:02x}", n, SubnetId("subnet-1"), SUBNET,
                  IPv4Address(f"10.0.200.{n}"), is_primary=n == 0)  # fmt: skip
        ipam.add_attached(AttachedEni(eni, blocks), 0.0)
    for n in range(PODS):
        ipam.assign(SandboxKey("aws-cni", f"{n:064x}", "eth0"), Pod("default", f"web-{n}"), 0.0)
    scene = Scene(Settings(), lambda: 1.0)
    scene.ipams = (ipam,)
    return scene


def microseconds(work: Callable[[], object], rounds: int) -> float:
    gc.collect()
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started) / rounds * 1e6


def main() -> int:
    counters = Counters()

    def ours() -> None:
        # what Agent.add does beside its work: four clock readings and four observations
        for phase in ADD_PHASES:
            time.perf_counter()
            counters.add_seconds[phase].observe(0.0031)

    theirs_histogram = TheirHistogram(
        "add", "ADD", ["phase"], buckets=POD_SECONDS, registry=CollectorRegistry()
    )

    def theirs() -> None:
        for phase in ADD_PHASES:
            time.perf_counter()
            theirs_histogram.labels(phase).observe(0.0031)

    cost = min(microseconds(ours, ROUNDS) for _ in range(5))
    print(
        f"observations of one ADD: {cost:.2f} us (prometheus_client: {microseconds(theirs, ROUNDS):.2f} us)"
    )
    scene = full_scene()
    pages: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("/metrics", lambda: render(families(scene))),
        ("/v1/enis", lambda: go_json.dumps(go_json.enis(scene.ipams))),
        ("/v2/status", lambda: go_json.dumps(view.to_plain(scene.status()))),
        ("/v2/pods", lambda: go_json.dumps(view.to_plain(viewing.pods(scene.ipams)))),
    )
    for name, work in pages:
        spent = microseconds(work, 20) / 1000
        print(f"{name} at {PODS} pods: {spent:.1f} ms, {len(work()) / 1024:.0f} KiB")
    return 0 if cost <= GOAL_MICROSECONDS else 1


if __name__ == "__main__":
    raise SystemExit(main())
