"""A region with nodes in virtual time, and a day's pods run on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Network

from vpccni.ipam.values import Pod
from vpclab.region.region import Region
from vpclab.region.values import NO_TAGS, Delays, Instance, Subnet, Tags
from vpclab.sim.client import Manners, NodeEc2
from vpclab.sim.endpoint import Endpoint, usual_latency
from vpclab.sim.events import Events
from vpclab.sim.kubelet import Kubelet, Network, PodLife, Waits
from vpclab.sim.meter import Meter
from vpclab.sim.node import Setup, SimNode
from vpclab.sim.trace import Placed

USUAL_DELAYS = Delays(attach=(1.0, 3.0), detach=(1.0, 2.0), imds=(0.1, 1.0))
"""EC2 on a good day (aws-emulation 4.5)."""
NODE_TYPE = "m5.large"


class World:
    """One region with its subnets, and nodes of whatever kind in it."""

    def __init__(
        self,
        *,
        subnets: tuple[str, ...] = ("10.0.0.0/16",),
        zones: tuple[int, ...] = (),
        tags: tuple[Tags, ...] = (),
        delays: Delays = USUAL_DELAYS,
        seed: int = 0,
        keep_calls: bool = False,
        throttle: bool = True,
    ) -> None:
        """`zones` and `tags` are the subnets', in their order: which of the region's zones; none given: all in the first."""
        self.seed = seed
        self.region = Region(seed=seed, delays=delays, throttle=throttle)
        self.region.gate.latency = usual_latency()
        self.events = Events(0.0, self.region.advance)
        self.endpoint = Endpoint(self.region, self.events, seed=seed, keep_calls=keep_calls)
        networks = [IPv4Network(cidr) for cidr in subnets]
        first, *more = dict.fromkeys(network.supernet(new_prefix=16) for network in networks)
        vpc = self.region.create_vpc(first)
        for cidr in more:
            self.region.associate_vpc_cidr(vpc.id, cidr)
        self.subnets: tuple[Subnet, ...] = tuple(
            self.region.create_subnet(vpc.id, self.region.zones[zone], network, tags=tagged)
            for network, zone, tagged in zip(
                networks,
                zones or (0,) * len(networks),
                tags or (NO_TAGS,) * len(networks),
                strict=True,
            )
        )
        self.group = self.region.create_security_group(vpc.id, "nodes", "between nodes").id
        self.meter = Meter(self.region, self.events)
        self.endpoint.changed = self.changed
        self.on_change: Callable[[], None] = lambda: None
        """Told after each change of what EC2 has given out."""
        self.waits = Waits()

    def launch(self, instance_type: str = NODE_TYPE, *, subnet: int = 0) -> Instance:
        """A node's machine."""
        at = self.subnets[subnet % len(self.subnets)].id
        return self.region.run_instance(instance_type, at, groups=(self.group,))

    def client(self, instance: Instance, manners: Manners) -> NodeEc2:
        """A node's EC2 client."""
        return NodeEc2(self.endpoint, instance.id, manners, seed=self.seed)

    def add_node(self, instance: Instance, setup: Setup, manners: Manners, *, seed: int = 0) -> SimNode:
        """Our agent on it, started."""
        return SimNode(self.events, self.region, instance, self.client(instance, manners), setup, seed=seed)

    def kubelet(self, network: Network, *, seed: int = 0) -> Kubelet:
        """The node's kubelet."""
        return Kubelet(
            self.events, network, self.waits, seed=seed, changed=lambda change, _: self.meter.pods(change)
        )

    def run_until(self, when: float) -> None:
        """Let time pass."""
        self.events.run_until(when)

    def run(self, placed: Placed, kubelets: list[Kubelet]) -> None:
        """A trace from now on, to its end."""
        start, events = self.events.now, self.events
        running: dict[int, PodLife] = {}
        moments = _moments(placed)

        def begin_or_end(index: int) -> None:
            life = running.pop(index, None)
            if life is not None:
                life.end()
            else:
                running[index] = kubelets[placed.nodes[index]].run(Pod("default", f"pod-{index}"))

        def go_on() -> None:
            """One moment of the trace is planned at a time: a heap of all would slow every other event down."""
            for at, index in moments:
                if start + at > events.now:
                    events.at(start + at, partial(begin_then_go_on, index))
                    return
                begin_or_end(index)

        def begin_then_go_on(index: int) -> None:
            begin_or_end(index)
            go_on()

        go_on()
        events.run_until(start + placed.trace.seconds)

    def changed(self) -> None:
        """EC2 did something."""
        self.region.drain_changes()
        self.meter.changed()
        self.on_change()


def _moments(placed: Placed) -> Iterator[tuple[float, int]]:
    """When which pod comes or goes; whoever is there to the end is not taken down."""
    moments: list[tuple[float, bool, int]] = []
    for index, (span, node) in enumerate(zip(placed.trace.pods, placed.nodes, strict=True)):
        if node >= 0 and span.leave > span.arrive:
            moments.append((span.arrive, True, index))
            if span.leave < placed.trace.seconds:
                moments.append((span.leave, False, index))
    moments.sort()
    return iter([(at, index) for at, _, index in moments])
