"""What Kubernetes knows of the node and what the pools do with it, over a cluster in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

import pytest

from tests.agent.test_cloud import FAR, PRIMARY, cloud
from tests.agent.test_cloud import ec2 as ec2  # noqa: PLC0414 -- a fixture
from tests.agent.test_loop import NETWORK, REQUEST, Disk, Host, story
from vpccni.agent.cni_call import CniCall, CniError
from vpccni.agent.in_cluster import InCluster
from vpccni.agent.loop import Agent
from vpccni.agent.node_pools import node_pools
from vpccni.agent.scene import Scene
from vpccni.agent.settings import Settings
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.ipam.actions import (  # fmt: skip
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    Outcome,
)
from vpccni.ipam.limits import known_limits
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import AttachedEni, Pod
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import EniConfig, NodeView

LABEL = "k8s.amazonaws.com/eniConfig"


class World:
    def __init__(
        self, ec2: FakeEc2, settings: Settings, cluster: FakeCluster | None, patience: float
    ) -> None:
        limits = known_limits("t3.medium")
        assert limits is not None
        loop = asyncio.get_running_loop()
        self.cloud, self.cluster, self.denied = cloud(ec2, settings), cluster, False
        [pool] = node_pools(settings, limits, PRIMARY.id, frozenset({0})).values()
        pool.state.placement.discovery = False
        pool.add_attached(AttachedEni(PRIMARY), 0.0)
        enis = {PRIMARY.id: PRIMARY}

        async def perform(action: Action) -> Outcome:
            await asyncio.sleep(0)
            if self.denied:
                return Failed(
                    action, Refusal(Reason.NOT_AUTHORISED, f"ec2:{type(action).__name__} was denied")
                )
            match action:
                case AssignAddresses():
                    return Assigned(action, self.cloud.assign(action.eni, action.count, action.kind))
                case AttachEni():
                    return Attached(action, self.cloud.attach(action))
                case FindSubnets():
                    return FoundSubnets(action, ())
            raise AssertionError(action)

        self.agent = Agent(pool, enis, Host(), Disk(), perform, loop.time, patience=patience)
        scene = Scene(settings, loop.time)
        self.inside = InCluster(
            settings, self.agent, self.cloud, limits, loop.time, scene=scene, cluster=cluster, environ={}
        )
        self.inside.start()

    async def add(self, name: str) -> None:
        await self.agent.add(
            REQUEST, CniCall("ADD", "1.0.0", NETWORK, name, "eth0", "/n", Pod("default", name))
        )

    async def delete(self, name: str) -> None:
        await self.agent.delete(CniCall("DEL", "1.0.0", NETWORK, name, "eth0", pod=Pod("default", name)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def tell(
    ec2: FakeEc2,
    settings: Settings,
    cluster: FakeCluster | None,
    what: Callable[[World], Awaitable[None]],
    *,
    patience: float = 1.0,
) -> None:
    async def told() -> None:
        world = World(ec2, settings, cluster, patience)
        try:
            await what(world)
        finally:
            await world.inside.stop()

    story(told)


def node(**what: object) -> FakeCluster:
    cluster = FakeCluster()
    cluster.put_node("node-a", NodeView(**what))  # type: ignore[arg-type]
    return cluster


def test_max_pods_and_a_cordon_reach_the_pool(ec2: FakeEc2) -> None:
    cluster = node(max_pods=8)

    async def what(world: World) -> None:
        state = world.agent.ipam.state
        await until(lambda: state.limits.max_pods == 8)
        cluster.put_node("node-a", NodeView(max_pods=8, unschedulable=True))
        await until(lambda: state.no_growth is not None)
        assert state.no_growth == Refusal(Reason.NODE_UNSCHEDULABLE, "node node-a is cordoned")
        cluster.put_node("node-a", NodeView(max_pods=8))
        await until(lambda: state.no_growth is None)

    tell(ec2, Settings(node_name="node-a"), cluster, what)


def test_a_cordoned_node_may_be_managed_all_the_same(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        await until(lambda: world.agent.ipam.state.limits.max_pods == 9)
        assert world.agent.ipam.state.no_growth is None

    tell(
        ec2,
        Settings(node_name="node-a", manage_unschedulable=True),
        node(max_pods=9, unschedulable=True),
        what,
    )


def test_custom_networking_puts_pods_where_the_eni_config_says(ec2: FakeEc2) -> None:
    cluster = node(labels={LABEL: "zone-a"})
    cluster.eni_configs["zone-a"] = EniConfig(FAR, ("sg-pods",))

    async def what(world: World) -> None:
        await world.add("web")
        got = world.agent.ipam.find(CniCall("ADD", "1", NETWORK, "web", "eth0").key)
        assert got is not None
        made = ec2.enis[got.eni]
        assert (made.subnet, made.groups) == (FAR, ("sg-pods",))
        assert not world.agent.ipam.pool.eni(PRIMARY.id).usable

    tell(ec2, Settings(node_name="node-a", custom_networking=True), cluster, what)


@pytest.mark.parametrize("missing", ["config", "subnet", "cluster"])
def test_without_its_eni_config_a_node_says_what_is_missing(ec2: FakeEc2, missing: str) -> None:
    cluster = None if missing == "cluster" else node()
    if cluster and missing == "subnet":
        cluster.eni_configs["default"] = EniConfig("subnet-nowhere")

    async def what(world: World) -> None:
        with pytest.raises(CniError, match="EniConfigMissing") as refused:
            await world.add("web")
        words = {"config": "default", "subnet": "subnet-nowhere", "cluster": "no API server"}
        placement = world.agent.ipam.state.placement
        await until(lambda: words[missing] in str(placement.refusal))
        assert "ENIConfig" in refused.value.details

    tell(ec2, Settings(node_name="node-a", custom_networking=True), cluster, what, patience=0.4)


def test_a_pods_annotation_says_its_address_while_it_has_it(ec2: FakeEc2) -> None:
    cluster = node()
    cluster.pods["default", "web"] = {}

    async def what(world: World) -> None:
        await world.add("web")
        address = world.agent.ipam.pool.assignments().__next__().address
        said = cluster.pods["default", "web"]
        await until(lambda: said.get("vpc.amazonaws.com/pod-ips") == str(address))
        await world.delete("web")
        await until(lambda: said.get("vpc.amazonaws.com/pod-ips") == "")

    tell(ec2, Settings(node_name="node-a", annotate_pod_ip=True), cluster, what)


def test_who_is_denied_and_who_gets_nothing_is_told_by_events(ec2: FakeEc2) -> None:
    cluster = node()
    cluster.pods |= {("default", "web"): {}, ("kube-system", "aws-node-x"): {}}

    async def what(world: World) -> None:
        world.denied = True
        with pytest.raises(CniError, match="NotAuthorised"):
            await world.add("web")
        await until(lambda: len(cluster.events) == 2)
        assert {event.reason for event in cluster.events} == {"MissingIAMPermissions", "NotAuthorised"}

    tell(ec2, Settings(node_name="node-a", pod_name="aws-node-x"), cluster, what)


def test_without_a_cluster_all_goes_on(ec2: FakeEc2) -> None:
    async def what(world: World) -> None:
        await world.add("web")
        await world.delete("web")
        world.inside.given(Pod("default", "x"), IPv4Address("10.0.0.1"))
        world.inside.denied("CreateTags")

    tell(ec2, Settings(annotate_pod_ip=True), None, what)
