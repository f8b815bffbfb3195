"""The adaptive warm target: careful while it learns, frugal when it knows, within the fixed targets at all times."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vpccni.ipam.adaptive import QUIET, Adaptive
from vpccni.ipam.readiness import ENOUGH_ARRIVALS
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import Pod
from vpclab.lab.layout import fill
from vpclab.plan.manners import OURS
from vpclab.sim.kubelet import PodLife
from vpclab.sim.node import Setup, SimNode
from vpclab.sim.world import World

SLOTS = 9
GOOD: dict[str, Any] = {
    "arrivals": 5,
    "allowed": 0.01,
    "surprised": 0.1,
    "rush": [[0, 1], [0, 1]],
    "level": [0, 1],
    "takes": [[1, 0], [6, 0]],
    "variance": [1.5, 3],
    "rises": [2],
}


class Node:
    """One m5.large with the adaptive target, in virtual time."""

    def __init__(self, fixed: WarmTargets | None = None) -> None:
        self.fixed = fixed if fixed is not None else WarmTargets()
        self.adaptive = Adaptive(self.fixed)
        self.world = World(subnets=("10.0.0.0/20",), seed=5)
        setup = Setup(self.fixed, warmth=lambda: self.adaptive)
        self.node: SimNode = self.world.add_node(self.world.launch("m5.large"), setup, OURS, seed=5)
        self.kubelet = self.world.kubelet(self.node, seed=5)
        self.made = 0
        self.pass_time(60)

    def pass_time(self, seconds: float) -> None:
        self.world.run_until(self.world.events.now + seconds)

    def pod(self) -> PodLife:
        self.made += 1
        return self.kubelet.run(Pod("default", f"p{self.made}"))

    def jobs(self, count: int, every: float, life: float) -> None:
        """One after the other, so that a few are there at a time."""
        for _ in range(count):
            one = self.pod()
            self.world.events.after(life, one.end)
            self.pass_time(every)

    @property
    def free(self) -> int:
        return self.node.ipam.numbers.free

    @property
    def total(self) -> int:
        return self.node.ipam.numbers.total


def test_it_behaves_as_the_default_while_it_knows_nothing() -> None:
    node = Node()
    assert node.free == SLOTS
    assert node.node.ipam.state.targets == WarmTargets()
    assert "learning" in node.node.ipam.state.targets_because
    node.pod()
    node.pass_time(30)
    assert node.free >= SLOTS


def test_a_quiet_node_that_is_known_holds_one() -> None:
    node = Node()
    for _ in range(3):
        node.pod()
    node.pass_time(QUIET + 3000)
    assert node.adaptive.held is not None
    assert node.free <= 3
    assert node.free >= 1
    assert "adaptive: " in node.node.ipam.state.targets_because


def test_a_steady_load_is_served_without_waits_from_less_than_the_default_holds() -> None:
    node = Node()
    node.jobs(400, every=20, life=100)
    node.world.waits.forget()
    unused = []
    for _ in range(200):
        node.jobs(1, every=20, life=100)
        unused.append(node.total - node.node.ipam.numbers.assigned)
    assert node.world.waits.waited <= 2
    # the default holds nine more than are used, at the least
    assert sum(unused) / len(unused) < SLOTS


def test_bursts_that_were_seen_before_find_enough() -> None:
    node = Node()
    for _ in range(8):
        lives = [node.pod() for _ in range(7)]
        node.pass_time(300)
        for life in lives:
            life.end()
        node.pass_time(900)
    node.world.waits.forget()
    before = node.world.endpoint.calls.by_action()["AssignPrivateIpAddresses"]
    for _ in range(3):
        lives = [node.pod() for _ in range(7)]
        node.pass_time(300)
        for life in lives:
            life.end()
        node.pass_time(900)
    assert node.world.waits.waited == 0
    assert node.total <= 2 * SLOTS
    assert node.world.endpoint.calls.by_action()["AssignPrivateIpAddresses"] - before <= 6


@pytest.mark.parametrize(
    ("fixed", "most"), [(WarmTargets(warm_ip=3), 3), (WarmTargets(), SLOTS), (WarmTargets(warm_ip=1), 1)]
)
def test_the_fixed_targets_are_its_limits(fixed: WarmTargets, most: int) -> None:
    node = Node(fixed)
    for _ in range(6):
        lives = [node.pod() for _ in range(10)]
        node.pass_time(60)
        for life in lives:
            life.end()
        node.pass_time(60)
        held = node.adaptive.held
        if held is not None:
            used = node.node.ipam.numbers
            assert held.least <= used.assigned + used.cooling + most


def test_who_waits_is_one_pod_however_often_its_sandbox_is_made_anew() -> None:
    adaptive, pod = Adaptive(WarmTargets()), Pod("default", "web")
    for second in range(0, 100, 10):
        adaptive.asked(pod, float(second), waits=True)
    adaptive.asked(pod, 100.0, waits=False)
    assert adaptive.arrivals == 1
    adaptive.asked(pod, 5000.0, waits=False)
    assert adaptive.arrivals == 2, "which is the pod's next sandbox"


def test_while_ec2_gives_nothing_who_waits_says_nothing_of_how_much_is_enough() -> None:
    node = Node()
    node.jobs(ENOUGH_ARRIVALS + 70, every=20, life=100)
    before = node.adaptive.remembered()["allowed"]
    fill(node.world.region, [node.world.subnets[0].id], 0, scattered=False)
    for _ in range(60):
        node.pod()
        node.pass_time(20)
    assert node.free == 0
    assert node.world.waits.failed_adds > 30
    after = node.adaptive.remembered()["allowed"]
    assert after > before - 0.1 * 5, "a few waited before it was plain that EC2 gives nothing"


def test_minimum_ip_target_is_kept() -> None:
    node = Node(WarmTargets(minimum_ip=12))
    node.jobs(ENOUGH_ARRIVALS + 5, every=20, life=5)
    node.pass_time(3600)
    assert node.total >= 12


def test_what_was_learned_goes_over_a_restart() -> None:
    node = Node()
    node.jobs(60, every=20, life=100)
    text = json.dumps(node.adaptive.remembered())
    fresh = Adaptive(WarmTargets())
    fresh.remember(json.loads(text))
    assert fresh.arrivals == node.adaptive.arrivals
    assert fresh.learned(0.0)
    assert fresh.delays == pytest.approx(node.adaptive.delays, abs=1e-2)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"arrivals": "many"},
        GOOD | {"rush": []},
        GOOD | {"level": [-1]},
        GOOD | {"takes": [[1, 0], [1e9, 0]]},
        GOOD | {"allowed": float("nan")},
        GOOD | {"surprised": 2},
        GOOD | {"variance": [-1, 1]},
        GOOD | {"variance": [1]},
        {name: value for name, value in GOOD.items() if name != "rises"},
        [1, 2],
    ],
)
def test_a_damaged_memory_is_refused_and_changes_nothing(said: Any) -> None:
    fresh = Adaptive(WarmTargets())
    with pytest.raises(ValueError, match=r"."):
        fresh.remember(said)
    assert fresh.remembered() == Adaptive(WarmTargets()).remembered()
    fresh.remember(GOOD)
    assert fresh.remembered() == GOOD
