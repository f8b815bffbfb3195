"""The same pods on the same nodes twice: as real agents in a lab with EC2's delays, and in virtual time as a plan runs them.

Used by tests/lab/test_plan.py, and by bench/plan_against_lab.py with other pods for longer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
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
from vpclab.sim.trace import PodSpan
from vpclab.sim.world import World

TYPE = "t3.medium"
FIRST_ENV = {"WARM_IP_TARGET": "2", "DISABLE_LEAKED_ENI_CLEANUP": "true"}
"""What a lab is brought up with: few addresses, so that no node has an ENI too many when it gets its own settings."""
SETTLE = 6.0
"""Seconds at least from an agent's start to the first pod, on both."""
STEP = 1.0
"""Seconds between looks at what is held."""


@dataclass(frozen=True)
class Case:
    """One node: what it is set to, and which pods come and go."""

    env: Mapping[str, str]
    pods: tuple[PodSpan, ...]


@dataclass(frozen=True)
class Found:
    """What the node did from the first pod on."""

    held: float
    """Addresses, on average, ENIs' own included."""
    calls: Counter[str]
    """EC2's, by action."""


class Planned:
    """One node in virtual time."""

    def __init__(self, case: Case) -> None:
        settings, _ = parse_settings(dict(case.env))
        self._pods = case.pods
        self._world = world = World(subnets=("192.168.1.0/24",), delays=REAL_DELAYS, seed=1)
        world.region.gate.latency = REAL_LATENCY
        setup = Setup(
            settings.warm,
            kind=BlockKind.PREFIX if settings.prefix_delegation else BlockKind.SECONDARY_IP,
            cooldown=settings.cooldown,
            surplus_lasts=settings.surplus_lasts,
            looks_for_leaked=False,
        )
        self._kubelet = world.kubelet(world.add_node(world.launch(TYPE), setup, OURS, seed=1), seed=1)
        world.run_until(SETTLE)
        self.at_first = self._held()
        """Addresses that it holds before the first pod."""

    def run(self, seconds: float) -> Found:
        """To the end."""
        world = self._world
        world.endpoint.calls.counts.clear()
        lives: dict[int, PodLife] = {}
        for number, span in enumerate(self._pods):

            def begin(number: int = number) -> None:
                lives[number] = self._kubelet.run(Pod("default", f"p{number}"))

            def end(number: int = number) -> None:
                lives[number].end()

            world.events.at(SETTLE + span.arrive, begin)
            if span.leave < seconds:
                world.events.at(SETTLE + span.leave, end)
        looks = round(seconds / STEP)
        held = 0
        for look in range(looks):
            world.run_until(SETTLE + (look + 1) * STEP)
            held += self._held()
        return Found(held / looks, world.endpoint.calls.by_action())

    def _held(self) -> int:
        self._world.meter.changed()
        return self._world.meter.taken


class RealLab:
    """A lab that is up, with as many nodes as there are cases, and FIRST_ENV."""

    def __init__(self, name: str, cases: Mapping[str, Case]) -> None:
        """`cases` by node. Their agents begin anew with their settings."""
        self._control = LabState(name).control
        self._cases = cases
        for node, case in cases.items():
            changes = {**dict.fromkeys(FIRST_ENV.keys() - {"DISABLE_LEAKED_ENI_CLEANUP"}), **case.env}
            self._ask("agent-env", node=node, changes=changes)
        self._restarted_at = time.time()

    def held(self) -> dict[str, int]:
        """Addresses by node, ENIs' own included."""
        machines = [m for m in self._ask("status")["machines"] if m["name"] in self._cases]
        return {
            m["name"]: sum(1 + len(e["secondary"]) + 16 * len(e["prefixes"]) for e in m["enis"])
            for m in machines
        }

    def run(self, seconds: float) -> dict[str, Found]:
        """The pods come and go. Raises what a pod's ADD or DEL raised."""
        begin = max(time.time(), self._restarted_at + SETTLE)
        _wait_until(begin)
        before = {node: self._calls(node) for node in self._cases}
        failures: list[Exception] = []
        for node, case in self._cases.items():
            for number, span in enumerate(case.pods):
                _in_a_thread(lambda n=node, i=number, s=span: self._pod(n, i, begin, s, seconds), failures)  # type: ignore[misc]
        sums: Counter[str] = Counter()
        looks = round(seconds / STEP)
        for look in range(looks):
            _wait_until(begin + (look + 1) * STEP)
            sums.update(self.held())
            if failures:
                raise failures[0]
        return {node: Found(sums[node] / looks, self._calls(node) - before[node]) for node in self._cases}

    def _ask(self, op: str, **more: Any) -> Any:
        return ask(self._control, op, **more)

    def _calls(self, node: str) -> Counter[str]:
        made = self._ask("calls-since", after=0, node=node, service="ec2")["calls"]
        return Counter(call["action"] for call in made)

    def _pod(self, node: str, number: int, begin: float, span: PodSpan, seconds: float) -> None:
        name = f"{node}-p{number}"
        _wait_until(begin + span.arrive)
        self._ask("pod-add", name=name, namespace="default", node=node, ports=[], patience=60.0)
        if span.leave < seconds:
            _wait_until(begin + span.leave)
            self._ask("pod-del", name=name, namespace="default")


def table(cases: Mapping[str, Case], planned: Mapping[str, Found], real: Mapping[str, Found]) -> str:
    """Both side by side."""
    lines: list[str] = []
    for node, case in cases.items():
        ours, theirs = planned[node], real[node]
        total, theirs_total = sum(ours.calls.values()), sum(theirs.calls.values())
        lines += [
            f"{node}: {' '.join(f'{k}={v}' for k, v in case.env.items())}",
            f"  held, mean   planned {ours.held:7.2f}  lab {theirs.held:7.2f}  x{ours.held / theirs.held:.3f}",
            f"  EC2 calls    planned {total:7}  lab {theirs_total:7}",
            *(f"    {a:34} {ours.calls[a]:5} {theirs.calls[a]:5}" for a in sorted(ours.calls | theirs.calls)),
        ]
    return "\n".join(lines)


def _wait_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))


def _in_a_thread(what: Callable[[], None], failures: list[Exception]) -> None:
    def run() -> None:
        try:
            what()
        except Exception as error:  # noqa: BLE001 -- told by whoever started it
            failures.append(error)

    threading.Thread(target=run, daemon=True).start()
