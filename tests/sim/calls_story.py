"""One node's EC2 calls: at its start, for 100 pods that come, for the same pods when they go; ours and the original's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind, Pod
from vpclab.plan.manners import OURS, UNPACED
from vpclab.sim.node import Setup
from vpclab.sim.original import OriginalNode
from vpclab.sim.world import World

NODE_TYPE = "m5.4xlarge"
"""8 ENIs of 29 slots: 100 pods fit in every mode."""
PODS = 100
REST = 300.0
MODES = {
    "WARM_ENI_TARGET=1": Setup(WarmTargets(warm_eni=1), looks_for_leaked=False),
    "WARM_IP_TARGET=2, MINIMUM_IP_TARGET=10": Setup(
        WarmTargets(warm_ip=2, minimum_ip=10), looks_for_leaked=False
    ),
    "prefixes, WARM_PREFIX_TARGET=1": Setup(
        WarmTargets(warm_prefix=1), kind=BlockKind.PREFIX, looks_for_leaked=False
    ),
}


@dataclass(frozen=True)
class Story:
    start: Counter[str]
    up: Counter[str]
    down: Counter[str]
    failed_adds: int
    longest_wait: float


def tell(setup: Setup, *, original: bool = False, every: float = 1.0) -> Story:
    """A pod comes each `every` seconds; after five minutes they go at the same pace."""
    world = World(subnets=("10.0.0.0/20",))
    instance = world.launch(NODE_TYPE)
    node = (
        OriginalNode(
            world.events,
            world.region,
            instance,
            world.client(instance, UNPACED),
            setup,
        )
        if original
        else world.add_node(instance, setup, OURS)
    )
    kubelet = world.kubelet(node)

    def rest() -> Counter[str]:
        world.run_until(world.events.now + REST)
        return world.endpoint.calls.by_action()

    started = rest()
    pods = []
    for number in range(PODS):
        pods.append(kubelet.run(Pod("default", f"p{number}")))
        world.run_until(world.events.now + every)
    up = rest()
    for pod in pods:
        pod.end()
        world.run_until(world.events.now + every)
    down = rest()
    waits = world.waits
    assert len(waits.seconds) == PODS
    return Story(started, up - started, down - up, waits.failed_adds, max(waits.seconds))
