"""Following the node and its ENIConfig, with the cluster in memory and once with a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from tests.agent.test_loop import story
from tests.kube.api_server import Reply, api_server, refusal
from vpccni.agent import kubernetes
from vpccni.agent.kubernetes import Knowledge, Kubernetes, configured, connect, own_pod
from vpccni.agent.settings import Settings
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Pod
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import Cluster, EniConfig, KubeError, NodeView

PLAIN = Settings(node_name="n1")
CUSTOM = Settings(node_name="n1", custom_networking=True, eni_config_label="zone")
ONE, TWO = EniConfig("subnet-1", ("sg-1",)), EniConfig("subnet-2")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "ENI_CONFIG_EVERY", "ENI_CONFIG_RETRY"):
        monkeypatch.setattr(kubernetes, name, 0.005)


@dataclass
class Heard:
    nodes: list[NodeView] = field(default_factory=list)
    configs: list[EniConfig | Refusal] = field(default_factory=list)

    @asynccontextmanager
    async def of(self, settings: Settings, cluster: Cluster | None) -> AsyncIterator[None]:
        follower = Kubernetes(settings, cluster, on_node=self.nodes.append, on_eni_config=self.configs.append)
        task = asyncio.create_task(follower.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.001)


def missing(detail: str) -> Refusal:
    return Refusal(Reason.ENI_CONFIG_MISSING, detail)


def test_the_node_is_told_at_each_change_and_only_then() -> None:
    async def tell() -> None:
        api, heard = FakeCluster(), Heard()
        api.put_node("n1", NodeView(max_pods=29))
        async with heard.of(PLAIN, api):
            await until(lambda: len(heard.nodes) == 1)
            api.put_node("n1", NodeView(max_pods=29))  # a heartbeat
            api.put_node("n1", NodeView(max_pods=29, unschedulable=True))
            await until(lambda: len(heard.nodes) == 2)
            api.end_watches()
            await until(lambda: api.calls.count("node n1") > 1)
            api.put_node("n1", NodeView(max_pods=58))
            await until(lambda: len(heard.nodes) == 3)
        assert [node.max_pods for node in heard.nodes] == [29, 29, 58]
        assert heard.configs == []

    story(tell)


def test_a_watch_that_fails_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        api, heard = FakeCluster(failures=[KubeError(None, "no answer")]), Heard()
        api.put_node("n1", NodeView())
        async with heard.of(PLAIN, api):
            await until(lambda: len(heard.nodes) == 1)
            api.end_watches(KubeError(410, "too old"))
            await until(lambda: api.calls.count("node n1") == 3)
            api.put_node("n1", NodeView(unschedulable=True))
            await until(lambda: len(heard.nodes) == 2)

    story(tell)
    assert "no answer" in caplog.text
    assert "410: too old" in caplog.text


def test_a_callback_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        api, seen = FakeCluster(), list[NodeView]()

        def on_node(node: NodeView) -> None:
            seen.append(node)
            if len(seen) == 1:
                raise RuntimeError("out of luck")

        api.put_node("n1", NodeView())
        task = asyncio.create_task(Kubernetes(PLAIN, api, on_node=on_node, on_eni_config=print).run())
        await until(lambda: api.calls.count("node n1") == 2)
        api.put_node("n1", NodeView(unschedulable=True))
        await until(lambda: len(seen) == 2)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    story(tell)
    assert "out of luck" in caplog.text


def test_the_eni_config_is_told_at_start_when_it_changes_and_when_its_name_does() -> None:
    async def tell() -> None:
        api, heard = FakeCluster(eni_configs={"a": ONE, "b": TWO}), Heard()
        api.put_node("n1", NodeView({"zone": "a"}))
        async with heard.of(CUSTOM, api):
            await until(lambda: len(heard.configs) == 1)
            await until(lambda: api.calls.count("eni_config a") > 3)
            api.put_node("n1", NodeView({"zone": "b"}))
            await until(lambda: len(heard.configs) == 2)
            api.eni_configs["b"] = ONE
            await until(lambda: len(heard.configs) == 3)
        assert heard.configs == [ONE, TWO, ONE]

    story(tell)


def test_an_eni_config_that_is_missing_is_told_with_the_key_that_led_to_it() -> None:
    async def tell() -> None:
        api, heard = FakeCluster(), Heard()
        api.put_node("n1", NodeView({"zone": "a"}))
        async with heard.of(CUSTOM, api):
            await until(lambda: len(heard.configs) == 1)
            api.eni_configs["a"] = EniConfig("")
            await until(lambda: len(heard.configs) == 2)
            api.eni_configs["a"] = ONE
            await until(lambda: len(heard.configs) == 3)
            del api.eni_configs["a"]
            await until(lambda: len(heard.configs) == 4)
        name = "ENIConfig 'a' (from the node's label zone)"
        gone = missing(f"there is no {name}")
        assert heard.configs == [gone, missing(f"{name} names no subnet"), ONE, gone]

    story(tell)


def test_an_api_server_that_goes_away_takes_no_eni_config_away(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        api, heard = FakeCluster(eni_configs={"a": ONE}), Heard()
        api.put_node("n1", NodeView({"zone": "a"}))
        async with heard.of(CUSTOM, api):
            await until(lambda: heard.configs == [ONE])
            api.failures.append(KubeError(None, "no answer"))
            await until(lambda: "taken to be as it was" in caplog.text)
            api.failures.append(KubeError(503, "later"))
            api.put_node("n1", NodeView({"zone": "b"}))
            await until(lambda: len(heard.configs) > 1)
        # of another name nothing is known
        assert isinstance(heard.configs[1], Refusal)
        assert "'b'" in heard.configs[1].detail

    story(tell)


def test_a_node_that_cannot_be_read_leaves_no_eni_config() -> None:
    async def tell() -> None:
        api, heard = FakeCluster(eni_configs={"default": TWO}), Heard()
        async with heard.of(CUSTOM, api):
            await until(lambda: len(heard.configs) == 1)
            api.put_node("n1", NodeView())
            await until(lambda: len(heard.configs) == 2)
        assert heard.configs == [missing("the node n1 cannot be read: 404: there is no node n1"), TWO]

    story(tell)


@pytest.mark.parametrize(
    ("settings", "cluster", "told"),
    [
        (PLAIN, None, []),
        (CUSTOM, None, [missing("no API server is configured")]),
        (Settings(custom_networking=True), FakeCluster(), [missing("MY_NODE_NAME is not set")]),
    ],
)
def test_without_a_cluster(
    settings: Settings, cluster: FakeCluster | None, told: list[EniConfig | Refusal]
) -> None:
    async def tell() -> None:
        heard = Heard()
        await Kubernetes(
            settings, cluster, on_node=heard.nodes.append, on_eni_config=heard.configs.append
        ).run()
        assert (heard.nodes, heard.configs) == ([], told)

    story(tell)


def test_nothing_says_that_there_is_a_cluster() -> None:
    assert not configured({})
    assert connect(PLAIN, {}) is None
    assert own_pod(Settings(pod_name="aws-node-x"), {}) == Pod("kube-system", "aws-node-x")


def test_how_old_what_is_known_of_the_node_is(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def tell() -> None:
        api, now = FakeCluster(failures=[KubeError(503, "starting")]), [100.0]
        node = NodeView(max_pods=29)
        api.put_node("n1", node)
        follower = Kubernetes(PLAIN, api, on_node=lambda _: None, on_eni_config=print, clock=lambda: now[0])
        assert str(follower.knowledge()) == "nothing is known of the node: it is being asked for"
        task = asyncio.create_task(follower.run())
        await until(lambda: follower.knowledge().trouble == "503: starting")
        assert follower.knowledge().age is None
        await until(lambda: follower.knowledge() == Knowledge(node, 0.0))
        now[0] += 40
        assert follower.knowledge() == Knowledge(node, 40.0)
        api.put_node("n1", node)  # a sign of life
        await until(lambda: follower.knowledge().age == 0)
        api.failures.extend(KubeError(None, "no answer") for _ in range(3))
        now[0] += 30
        api.end_watches()
        await until(lambda: bool(follower.knowledge().trouble))
        assert str(follower.knowledge()) == "the node as it was 30 s ago (no answer)"
        await until(lambda: follower.knowledge() == Knowledge(node, 0.0))
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    story(tell)
    assert "is tried again: the node as it was 30 s ago (no answer)" in caplog.text
    assert "the node is followed again" in caplog.text


def test_all_of_it_over_a_socket_through_an_outage() -> None:
    def node(version: str, zone: str) -> dict[str, object]:
        return {"metadata": {"resourceVersion": version, "labels": {"zone": zone}}}

    async def tell() -> None:
        with api_server() as api:
            meta = {"resourceVersion": "1"}
            api.on("GET", "/api/v1/nodes",
                refusal(503, "starting"),
                Reply(body={"metadata": meta, "items": [node("1", "a")]}),
                Reply(body={"metadata": meta, "items": [node("3", "b")]}),
            )  # fmt: skip
            api.on("GET", "/api/v1/nodes?watch",
                Reply(stream=[{"type": "ERROR", "object": {"code": 410, "message": "too old"}}]),
                Reply(stream=[]),
            )  # fmt: skip
            for zone in "ab":
                path = f"/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/{zone}"
                api.on("GET", path, Reply(body={"spec": {"subnet": f"subnet-{zone}"}}))
            settings = Settings(
                node_name="n1", custom_networking=True, eni_config_label="zone", cluster_endpoint=api.url
            )
            assert configured({"CLUSTER_ENDPOINT": api.url})
            cluster, heard = connect(settings, {}), Heard()
            assert cluster is not None
            async with heard.of(settings, cluster):
                await until(lambda: bool(heard.configs) and heard.configs[-1] == EniConfig("subnet-b"))
            await cluster.close()
        assert heard.configs[0] == missing("the node n1 cannot be read: 503: starting")
        assert [node.labels["zone"] for node in heard.nodes] == ["a", "b"]

    story(tell)


def test_an_api_server_that_comes_later_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def tell() -> None:
        settings = Settings(node_name="n1", cluster_endpoint=f"http://127.0.0.1:{port}")
        cluster = connect(settings, {})
        assert cluster is not None
        told = list[NodeView]()
        follower = Kubernetes(settings, cluster, on_node=told.append, on_eni_config=print)
        task = asyncio.create_task(follower.run())
        await until(lambda: "did not answer" in follower.knowledge().trouble)
        with api_server(port) as api:
            meta = {"resourceVersion": "1"}
            node = {"metadata": meta, "status": {"capacity": {"pods": "29"}}}
            api.on("GET", "/api/v1/nodes", Reply(body={"metadata": meta, "items": [node]}))
            api.on("GET", "/api/v1/nodes?watch", Reply(stream=[]))
            await until(lambda: [view.max_pods for view in told] == [29])
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await cluster.close()

    story(tell)
