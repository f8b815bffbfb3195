"""The simulated agent in quiet weather: what the daemon would do, in the daemon's time."""

from __future__ import annotations

from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind, Pod
from vpclab.plan.manners import OURS
from vpclab.sim.node import PATIENCE, Setup, SimNode
from vpclab.sim.original import OriginalNode
from vpclab.sim.trace import about, placed, poisson
from vpclab.sim.world import World


def world_and_node(setup: Setup, instance_type: str = "t3.medium") -> tuple[World, SimNode]:
    world = World(subnets=("10.0.0.0/22",), keep_calls=True)
    node = world.add_node(world.launch(instance_type), setup, OURS)
    world.run_until(30.0)
    return world, node


def test_a_burst_waits_for_ec2_and_no_pod_fails() -> None:
    world, node = world_and_node(Setup(WarmTargets(warm_ip=1)))
    kubelet = world.kubelet(node)
    for number in range(15):
        kubelet.run(Pod("default", f"p{number}"))
    world.run_until(world.events.now + PATIENCE)
    assert len(node.live) == 15
    assert world.waits.failed_adds == 0
    assert 1.0 < max(world.waits.seconds) < PATIENCE


def test_the_sixteenth_pod_of_a_t3_medium_is_refused_at_once() -> None:
    world, node = world_and_node(Setup(WarmTargets(warm_ip=1)))
    kubelet = world.kubelet(node)
    for number in range(16):
        kubelet.run(Pod("default", f"p{number}"))
    world.run_until(world.events.now + PATIENCE)
    assert len(node.live) == 15
    assert world.waits.failed_adds >= 1


def test_pods_keep_their_addresses_over_a_crash_and_what_went_meanwhile_cools() -> None:
    world, node = world_and_node(Setup(WarmTargets(warm_ip=1)))
    kubelet = world.kubelet(node)
    lives = [kubelet.run(Pod("default", f"p{number}")) for number in range(8)]
    world.run_until(100.0)
    before = {a.pod: a.address for a in node.live.values()}
    node.crash()
    late = kubelet.run(Pod("default", "late"))
    lives[0].end()
    world.run_until(103.0)
    node.start()
    world.run_until(110.0)
    after = {a.pod: a.address for a in node.ipam.pool.assignments()}
    del before[lives[0].pod]
    assert before.items() <= after.items()
    assert node.ipam.numbers.cooling == 1
    world.run_until(140.0)
    assert late.connected


def test_a_day_is_the_same_twice_and_nobody_is_throttled() -> None:
    def day(*, original: bool) -> tuple[dict[str, int], float, int]:
        world = World(subnets=("10.0.0.0/22",), seed=5)
        setup = Setup(WarmTargets(warm_prefix=1), kind=BlockKind.PREFIX)
        kubelets = []
        for seed in range(3):
            instance = world.launch()
            client = world.client(instance, OURS)
            kind = OriginalNode if original else SimNode
            node = kind(world.events, world.region, instance, client, setup, seed=seed)
            kubelets.append(world.kubelet(node, seed=seed))
        world.run_until(60.0)
        trace = poisson(60, about(900), seed=5, seconds=7200.0)
        world.run(placed(trace, 3, 110), kubelets)
        world.meter.end()
        assert not world.endpoint.calls.failed("RequestLimitExceeded")
        assert len(world.waits.seconds) == len(trace.pods)
        assert world.meter.used == sum(1 for pod in trace.pods if pod.leave >= trace.seconds)
        return dict(world.endpoint.calls.by_action()), world.meter.unused_hours, world.events.done

    assert day(original=False) == day(original=False)
    assert day(original=True) == day(original=True)
