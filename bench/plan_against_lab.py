"""Is a plan true? Three nodes with three settings, once as real agents in a lab with EC2's delays, once in virtual time.

The same pods come and go on both; held addresses (mean over the time) and EC2 calls are compared. `--seconds 240`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from vpccni.agent.settings import parse_settings
from vpccni.ipam.values import BlockKind, Pod
from vpclab.lab.client import ask
from vpclab.lab.delays import REAL_DELAYS, REAL_LATENCY
from vpclab.lab.state import LabState
from vpclab.plan.manners import OURS
from vpclab.sim.kubelet import PodLife
from vpclab.sim.node import Setup
from vpclab.sim.trace import PodSpan, about, bursts, poisson
from vpclab.sim.world import World

COOL = {"IP_COOLDOWN_PERIOD": "10", "VPC_CNI_SURPLUS_PERIOD": "20"}
NODES: dict[str, dict[str, str]] = {
    "node1": {**COOL},
    "node2": {**COOL, "WARM_IP_TARGET": "2"},
    "node3": {**COOL, "ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1"},
}
SETTLE = 50.0
"""Seconds from a new environment to the first pod."""
STEP = 1.0


@dataclass(frozen=True)
class Found:
    held: float
    calls: Counter[str]


def trace(node: str, seconds: float) -> list[PodSpan]:
    if node == "node3":
        return list(bursts(14, 60.0, about(40), seed=3, seconds=seconds, within=5.0).pods)
    return list(poisson(600, about(30), seed=int(node[-1]), seconds=seconds).pods)


# --- virtual time -------------------------------------------------------------------------------------------


def in_virtual_time(node: str, seconds: float) -> Found:
    settings, _ = parse_settings(NODES[node])
    world = World(subnets=("192.168.1.0/24",), delays=REAL_DELAYS, seed=1)
    world.region.gate.latency = REAL_LATENCY
    setup = Setup(
        settings.warm,
        kind=BlockKind.PREFIX if settings.prefix_delegation else BlockKind.SECONDARY_IP,
        cooldown=settings.cooldown,
        surplus_lasts=settings.surplus_lasts,
        looks_for_leaked=False,
    )
    sim = world.add_node(world.launch("t3.medium"), setup, OURS, seed=1)
    kubelet = world.kubelet(sim, seed=1)
    world.run_until(SETTLE)
    world.endpoint.calls.counts.clear()
    lives: dict[int, PodLife] = {}
    for number, span in enumerate(trace(node, seconds)):

        def begin(number: int = number) -> None:
            lives[number] = kubelet.run(Pod("default", f"p{number}"))

        world.events.at(SETTLE + span.arrive, begin)
        if span.leave < seconds:
            world.events.at(SETTLE + span.leave, lambda number=number: lives[number].end())  # type: ignore[misc]
    held = 0.0
    for step in range(round(seconds / STEP)):
        world.run_until(SETTLE + (step + 1) * STEP)
        world.meter.changed()
        held += world.meter.taken
    return Found(held * STEP / seconds, world.endpoint.calls.by_action())


# --- the lab ------------------------------------------------------------------------------------------------


class Lab:
    def __init__(self, name: str) -> None:
        self.name, self.control = name, LabState(name).control

    def ask(self, op: str, **more: Any) -> Any:
        return ask(self.control, op, **more)

    def held(self) -> dict[str, int]:
        machines = [m for m in self.ask("status")["machines"] if m["name"] in NODES]
        return {
            m["name"]: sum(1 + len(e["secondary"]) + 16 * len(e["prefixes"]) for e in m["enis"])
            for m in machines
        }

    def calls(self, node: str) -> Counter[str]:
        return Counter(
            call["action"] for call in self.ask("calls-since", after=0, node=node, service="ec2")["calls"]
        )

    def pod(self, node: str, number: int, begin: float, span: PodSpan, seconds: float) -> None:
        name = f"{node}-p{number}"
        wait_until(begin + span.arrive)
        self.ask("pod-add", name=name, namespace="default", node=node, ports=[], patience=60.0)
        if span.leave < seconds:
            wait_until(begin + span.leave)
            self.ask("pod-del", name=name, namespace="default")


def wait_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))


def in_a_lab(name: str, seconds: float) -> dict[str, Found]:
    lab = Lab(name)
    for node, env in NODES.items():
        lab.ask("agent-env", node=node, changes=env)
    begin = time.time() + SETTLE
    wait_until(begin)
    before = {node: lab.calls(node) for node in NODES}
    threads = [
        threading.Thread(target=lab.pod, args=(node, number, begin, span, seconds), daemon=True)
        for node in NODES
        for number, span in enumerate(trace(node, seconds))
    ]
    for thread in threads:
        thread.start()
    sums: Counter[str] = Counter()
    looks = round(seconds / STEP)
    for look in range(looks):
        wait_until(begin + (look + 1) * STEP)
        sums.update(lab.held())
    return {node: Found(sums[node] / looks, lab.calls(node) - before[node]) for node in NODES}


def compare(seconds: float, name: str) -> list[tuple[str, Found, Found]]:
    real = in_a_lab(name, seconds)
    return [(node, in_virtual_time(node, seconds), real[node]) for node in NODES]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=240.0)
    arguments.add_argument("--name", default="plan-truth")
    said = arguments.parse_args()
    vpc_lab = [sys.executable, "-m", "vpclab"]
    up = [
        "up",
        "--name",
        said.name,
        "--nodes",
        "3",
        "--seed",
        "1",
        "--env",
        "DISABLE_LEAKED_ENI_CLEANUP=true",
    ]
    subprocess.run([*vpc_lab, *up], check=True)
    try:
        for node, planned, real in compare(said.seconds, said.name):
            print(f"\n{node}: {' '.join(f'{k}={v}' for k, v in NODES[node].items())}")
            print(
                f"  held, mean   planned {planned.held:7.2f}  lab {real.held:7.2f}  x{planned.held / real.held:.3f}"
            )
            total, theirs = sum(planned.calls.values()), sum(real.calls.values())
            print(f"  EC2 calls    planned {total:7}  lab {theirs:7}  x{total / max(theirs, 1):.3f}")
            for action in sorted(planned.calls.keys() | real.calls.keys()):
                print(f"    {action:34} {planned.calls[action]:5} {real.calls[action]:5}")
    finally:
        subprocess.run([*vpc_lab, "down", "--name", said.name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
