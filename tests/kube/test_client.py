"""The client with a server behind a real socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.agent.test_loop import story
from tests.kube.api_server import ApiServer, Reply, api_server, refusal
from vpccni.kube import client
from vpccni.kube.access import Access, AccessError
from vpccni.kube.client import TOKEN_AGE, USER_AGENT, HttpCluster, Token, node_view
from vpccni.kube.port import EniConfig, Event, KubeError, NodeCondition, NodeView, PodView, Taint

NODE, NODES = "/api/v1/nodes/n1", "/api/v1/nodes"
POD = "/api/v1/namespaces/default/pods/web"
ENI_CONFIG = "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/eu-1a"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


TLS = Path(__file__).parent / "tls"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RESUME_PAUSE", 0.0)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with api_server() as api:
        yield api


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


def node(version: int, pods: int = 29, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n1", "resourceVersion": str(version), "labels": {"zone": "a"}},
        "spec": spec,
        "status": {"capacity": {"pods": str(pods)}},
    }


def change(kind: str, thing: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": thing}


def listed(version: int, *nodes: dict[str, Any]) -> Reply:
    return Reply(body={"metadata": {"resourceVersion": str(version)}, "items": list(nodes)})


def pod(version: int, **annotations: str) -> Reply:
    return Reply(
        body={"metadata": {"uid": "u-1", "resourceVersion": str(version), "annotations": annotations}}
    )


async def watched(cluster: HttpCluster) -> list[NodeView]:
    async with aclosing(cluster.watch_node("n1")) as watch:
        return [view async for view in watch]


def test_a_node_is_read(api: ApiServer, token: Path) -> None:
    api.on("GET", NODE, Reply(body=node(1, unschedulable=True)))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url, token_file=token), reporter="aws-node-x")
        assert await cluster.node("n1") == NodeView(labels={"zone": "a"}, unschedulable=True, max_pods=29)
        with pytest.raises(KubeError, match="404: not found"):
            await cluster.node("n2")
        await cluster.close()

    story(tell)
    assert api.requests[0].headers["authorization"] == "Bearer first"
    assert api.requests[0].headers["user-agent"] == USER_AGENT


@pytest.mark.parametrize(
    ("thing", "view"),
    [
        ({}, NodeView()),
        ({"metadata": {"labels": None}, "spec": {"taints": None}, "status": {"capacity": {}}}, NodeView()),
        ({"status": {"capacity": {"pods": "1k"}}}, NodeView()),
        (
            {"spec": {"taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}},
            NodeView(taints=(Taint("node.kubernetes.io/unschedulable", "NoSchedule"),), unschedulable=True),
        ),
        (
            {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule", "value": "yes"}]}},
            NodeView(taints=(Taint("gpu", "NoSchedule", "yes"),)),
        ),
    ],
)
def test_what_is_read_of_a_node(thing: dict[str, Any], view: NodeView) -> None:
    assert node_view(thing) == view


def test_a_watch_that_breaks_goes_on_from_where_it_was(api: ApiServer) -> None:
    api.on("GET", NODES, listed(5, node(4)))
    api.on(
        "GET",
        NODES + "?watch",
        Reply(stream=[change("MODIFIED", node(6, unschedulable=True))], broken=True),
        Reply(stream=[change("BOOKMARK", node(8)), change("MODIFIED", node(9))]),
        Reply(stream=[]),
    )

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        # the bookmark tells the node as it was: a sign of life
        assert [view.unschedulable for view in await watched(cluster)] == [False, True, True, False]
        await cluster.close()

    story(tell)
    assert [r.query.get("resourceVersion") for r in api.requests] == [None, "5", "6", "9"]
    assert {r.query["fieldSelector"] for r in api.requests} == {"metadata.name=n1"}


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (refusal(403, "no"), 403),
        (Reply(stream=[], broken=True), None),
        (Reply(stream=[change("ERROR", {"code": 410, "message": "too old"})]), 410),
        (Reply(stream=[change("DELETED", node(7))]), 404),
    ],
)
def test_a_watch_that_cannot_go_on(api: ApiServer, reply: Reply, status: int | None) -> None:
    api.on("GET", NODES, listed(5, node(4)))
    api.on("GET", NODES + "?watch", reply)

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        with pytest.raises(KubeError) as caught:
            await watched(cluster)
        assert caught.value.status == status
        await cluster.close()

    story(tell)


def test_a_node_that_is_not_there_cannot_be_watched(api: ApiServer) -> None:
    api.on("GET", NODES, listed(5))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        with pytest.raises(KubeError, match="there is no node n1"):
            await watched(cluster)
        await cluster.close()

    story(tell)


def test_a_token_that_was_renewed_is_read_again(api: ApiServer, token: Path) -> None:
    api.on("GET", NODE, Reply(body=node(1)))
    api.tokens = {"first"}

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url, token_file=token), reporter="x")
        await cluster.node("n1")
        api.tokens = {"second"}
        token.write_text("second")
        await cluster.node("n1")
        assert len(api.requests) == 3
        api.tokens = set()
        with pytest.raises(KubeError, match="401: Unauthorized"):
            await cluster.node("n1")
        assert len(api.requests) == 4  # the same token is not tried twice
        token.unlink()
        with pytest.raises(KubeError, match="cannot be read"):
            await cluster.node("n1")
        await cluster.close()

    story(tell)


def test_a_token_is_read_again_after_a_minute(api: ApiServer, token: Path) -> None:
    api.on("GET", NODE, Reply(body=node(1)))
    now = [0.0]

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url, token_file=token), reporter="x")
        cluster._client.auth = Token(token, lambda: now[0])
        await cluster.node("n1")
        token.write_text("second")
        await cluster.node("n1")
        now[0] = TOKEN_AGE
        await cluster.node("n1")
        await cluster.close()

    story(tell)
    assert [r.headers["authorization"][7:] for r in api.requests] == ["first", "first", "second"]


def test_an_eni_config(api: ApiServer) -> None:
    api.on(
        "GET",
        ENI_CONFIG,
        Reply(body={"spec": {"subnet": "subnet-1", "securityGroups": ["sg-1", "sg-2"]}}),
        Reply(body={"spec": {"subnet": "subnet-1"}}),
        refusal(404, "not found"),
        refusal(403, "forbidden to you"),
        Reply(503, "<html>later</html>"),
        Reply(200, "[]"),
        Reply(200, "hello"),
    )

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert await cluster.eni_config("eu-1a") == EniConfig("subnet-1", ("sg-1", "sg-2"))
        assert await cluster.eni_config("eu-1a") == EniConfig("subnet-1")
        assert await cluster.eni_config("eu-1a") is None
        for message in ("403: forbidden to you", "503: <html>later", "no object", "did not answer"):
            with pytest.raises(KubeError, match=message):
                await cluster.eni_config("eu-1a")
        await cluster.close()

    story(tell)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def tell() -> None:
        cluster = HttpCluster(Access(url), reporter="x")
        with pytest.raises(KubeError, match="did not answer") as caught:
            await cluster.node("n1")
        assert caught.value.status is None
        await cluster.close()

    story(tell)


def test_a_server_that_says_nothing_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 0.1)

    async def tell() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            cluster = HttpCluster(Access(f"http://127.0.0.1:{silent.getsockname()[1]}"), reporter="x")
            with pytest.raises(KubeError, match="no answer in time") as caught:
                await cluster.version()
            assert caught.value.timed_out
            assert caught.value.passing
            await cluster.close()

    story(tell)


def test_a_stream_that_always_breaks_is_not_asked_for_without_a_pause(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RESUME_PAUSE", 1000.0)
    api.on("GET", NODES, listed(5, node(4)))
    api.on("GET", NODES + "?watch", Reply(stream=[change("BOOKMARK", node(5))], broken=True))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        async with aclosing(cluster.watch_node("n1")) as watch:
            await anext(watch)
            await anext(watch)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await anext(watch)
        await cluster.close()

    story(tell)
    assert len(api.requests) == 2


def test_the_token_of_a_kubeconfig_is_sent(api: ApiServer) -> None:
    api.tokens = {"given"}
    api.on("GET", "/version", Reply(body={"gitVersion": "v1.35.0"}))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url, token="given"), reporter="x")
        assert await cluster.version() == "v1.35.0"
        await cluster.close()

    story(tell)


def test_the_server_and_we_prove_who_we_are() -> None:
    ca, key = (TLS / "certificate.pem").read_text(), (TLS / "key.pem").read_text()

    async def tell() -> None:
        with api_server(tls=TLS) as api:
            api.on("GET", "/version", Reply(body={"gitVersion": "v1.35.0"}))
            both = HttpCluster(Access(api.url, ca=ca, certificate=ca + key), reporter="x")
            assert await both.version() == "v1.35.0"
            await both.close()
            for access, why in (
                (Access(api.url), "CERTIFICATE_VERIFY_FAILED"),
                (Access(api.url, ca=ca), "did not answer"),
            ):
                cluster = HttpCluster(access, reporter="x")
                with pytest.raises(KubeError, match=why) as caught:
                    await cluster.version()
                assert caught.value.status is None
                assert not caught.value.timed_out
                await cluster.close()

    story(tell)


@pytest.mark.parametrize(
    "access",
    [
        Access("https://api", ca="\n"),
        Access("https://api", ca="no PEM"),
        Access("https://api", ca="Zertifikat für alle"),
        Access("https://api", certificate="no PEM"),
        Access("https://api:port"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(access: Access) -> None:
    with pytest.raises(AccessError, match="https://api"):
        HttpCluster(access, reporter="x")


def test_an_annotation_is_set_without_a_look(api: ApiServer) -> None:
    api.on("PATCH", POD, pod(2))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert await cluster.annotate_pod("default", "web", "k", "10.0.0.9")
        await cluster.close()

    story(tell)
    (asked,) = api.requests
    assert asked.headers["content-type"] == "application/merge-patch+json"
    assert asked.body == {"metadata": {"annotations": {"k": "10.0.0.9"}}}


def test_a_change_that_met_anothers_is_made_again_after_a_new_look(api: ApiServer) -> None:
    api.on("GET", POD, pod(1, k="10.0.0.9"), pod(2, k="10.0.0.9"))
    api.on("PATCH", POD, refusal(409, "the object has been modified"), pod(3))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert await cluster.annotate_pod("default", "web", "k", "", only_if="10.0.0.9")
        await cluster.close()

    story(tell)
    assert [r.body["metadata"]["resourceVersion"] for r in api.asked("PATCH")] == ["1", "2"]


def test_a_change_gives_up_where_it_always_meets_anothers(api: ApiServer) -> None:
    api.on("PATCH", POD, refusal(409, "the object has been modified"))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        with pytest.raises(KubeError, match="409"):
            await cluster.annotate_pod("default", "web", "k", "")
        await cluster.close()

    story(tell)
    assert len(api.requests) == 4


@pytest.mark.parametrize("found", [pod(1, k="10.0.0.7"), pod(1)])
def test_another_pods_annotation_is_left_alone(api: ApiServer, found: Reply) -> None:
    api.on("GET", POD, found)

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert not await cluster.annotate_pod("default", "web", "k", "", only_if="10.0.0.9")
        await cluster.close()

    story(tell)
    assert api.asked("PATCH") == []


def test_an_event_names_the_pod_as_describe_looks_for_it(api: ApiServer) -> None:
    api.on("GET", POD, pod(1))
    api.on("POST", EVENTS, Reply(201))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="aws-node-x")
        await cluster.event(Event("default", "web", "SubnetFull", "AssignAddress", "ü" * 2000))
        with pytest.raises(KubeError, match="404"):
            await cluster.event(Event("default", "gone", "SubnetFull", "AssignAddress", "n"))
        await cluster.close()

    story(tell)
    (asked,) = api.asked("POST")
    assert asked.body["regarding"]["uid"] == "u-1"
    assert (asked.body["type"], asked.body["reason"]) == ("Warning", "SubnetFull")
    assert (asked.body["reportingController"], asked.body["reportingInstance"]) == ("aws-node", "aws-node-x")
    assert asked.body["note"] == "ü" * 512  # 1,024 bytes
    assert asked.body["metadata"]["name"].startswith("web.")
    assert asked.body["eventTime"].endswith("Z")


def test_a_watch_can_be_left_in_the_middle(api: ApiServer) -> None:
    api.on("GET", NODES, listed(5, node(4)))
    api.on("GET", NODES + "?watch", Reply(stream=[change("MODIFIED", node(6)), change("MODIFIED", node(7))]))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        async with aclosing(cluster.watch_node("n1")) as watch:
            await anext(watch)
            await anext(watch)
        await asyncio.sleep(0)
        await cluster.close()

    story(tell)


CNI_NODE = "/apis/vpcresources.k8s.aws/v1alpha1/cninodes/n1"


def cni_node(version: int, *features: dict[str, str]) -> Reply:
    return Reply(body={"metadata": {"resourceVersion": str(version)}, "spec": {"features": list(features)}})


def test_a_pod_is_read_with_what_its_first_container_is_limited_to(api: ApiServer) -> None:
    containers = [
        {"resources": {"limits": {"vpc.amazonaws.com/pod-eni": "1"}}},
        {"resources": {"limits": {"cpu": "1"}}},
    ]
    api.on(
        "GET",
        POD,
        Reply(
            body={"metadata": {"uid": "u-1", "annotations": {"a": "b"}}, "spec": {"containers": containers}}
        ),
    )

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert await cluster.pod("default", "web") == PodView(
            "u-1", {"a": "b"}, frozenset({"vpc.amazonaws.com/pod-eni"})
        )
        assert await cluster.pod("default", "gone") is None
        await cluster.close()

    story(tell)


def test_a_feature_is_written_beside_the_others_and_in_the_place_of_its_older_self(api: ApiServer) -> None:
    other, older = {"name": "Else"}, {"name": "CustomNetworking", "value": "eu-1a"}
    api.on("GET", CNI_NODE, cni_node(4, older, other), cni_node(5, older, other))
    api.on("PATCH", CNI_NODE, refusal(409, "the object has been modified"), Reply(body={}))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert await cluster.ask_for_feature("n1", "CustomNetworking", "eu-1b")
        await cluster.close()

    story(tell)
    assert [patch.body for patch in api.asked("PATCH")] == [
        {
            "metadata": {"resourceVersion": version},
            "spec": {"features": [other, {"name": "CustomNetworking", "value": "eu-1b"}]},
        }
        for version in ("4", "5")
    ]


def test_a_feature_that_is_there_is_not_written_again(api: ApiServer) -> None:
    api.on("GET", CNI_NODE, cni_node(4, {"name": "SecurityGroupsForPods"}))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        assert not await cluster.ask_for_feature("n1", "SecurityGroupsForPods")
        await cluster.close()

    story(tell)
    assert api.asked("PATCH") == []


def test_a_node_without_a_cninode_says_so(api: ApiServer) -> None:
    api.on("GET", CNI_NODE, refusal(404, 'cninodes "n1" not found'))

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="x")
        with pytest.raises(KubeError, match="cninodes"):
            await cluster.ask_for_feature("n1", "SecurityGroupsForPods")
        await cluster.close()

    story(tell)


def test_a_nodes_condition_is_merged_by_its_type(api: ApiServer) -> None:
    path = "/api/v1/nodes/n1/status"
    api.on("PATCH", path, Reply())
    condition = NodeCondition("PodAddressesAvailable", False, "SubnetFull", "x" * 2000)

    async def tell() -> None:
        cluster = HttpCluster(Access(api.url), reporter="aws-node-x")
        await cluster.set_node_condition("n1", condition, changed=True)
        await cluster.set_node_condition("n1", condition, changed=False)
        await cluster.close()

    story(tell)
    first, second = api.asked("PATCH")
    assert first.headers["content-type"] == "application/strategic-merge-patch+json"
    [line] = first.body["status"]["conditions"]
    assert (line["type"], line["status"], line["reason"], len(line["message"])) == (
        "PodAddressesAvailable", "False", "SubnetFull", 1024,
    )  # fmt: skip
    assert line["lastTransitionTime"] == line["lastHeartbeatTime"]
    assert "lastTransitionTime" not in second.body["status"]["conditions"][0]
