"""The annotator with the cluster in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address

import pytest

from tests.agent.test_loop import story
from vpccni.agent import pod_annotation
from vpccni.agent.pod_annotation import KEY, TRIES, PodAnnotator
from vpccni.ipam.values import Pod
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import KubeError

WEB = Pod("default", "web")
A, B = IPv4Address("10.0.0.8"), IPv4Address("10.0.0.9")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_annotation, "FIRST_PAUSE", 0.001)


def told(what: Callable[[FakeCluster, PodAnnotator], Awaitable[None]]) -> FakeCluster:
    api = FakeCluster(pods={("default", "web"): {}, ("default", "api"): {}})

    async def tell() -> None:
        await what(api, PodAnnotator(api))

    story(tell)
    return api


def test_an_address_is_written_and_taken_off() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        annotator.given(WEB, A)
        annotator.given(Pod("default", "api"), B)
        await annotator.settled()
        assert api.pods == {("default", "web"): {KEY: str(A)}, ("default", "api"): {KEY: str(B)}}
        annotator.taken_back(WEB, A)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: ""}


def test_a_pods_changes_keep_their_order_though_one_is_tried_again() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.append(KubeError(None, "gone fishing"))
        annotator.given(WEB, A)
        annotator.taken_back(WEB, A)
        annotator.given(WEB, B)
        await annotator.settled()

    api = told(what)
    assert api.pods["default", "web"] == {KEY: str(B)}
    assert [call.rpartition("=")[2] for call in api.calls] == [str(A), str(A), "", str(B)]


def test_the_next_pod_of_the_name_keeps_its_address() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        annotator.given(WEB, B)
        annotator.taken_back(WEB, A)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: str(B)}


def test_it_gives_up_with_one_line_and_goes_on_with_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.extend(KubeError(403, "not you") for _ in range(TRIES))
        annotator.given(WEB, A)
        annotator.given(WEB, B)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: str(B)}
    assert [r.message for r in caplog.records if r.name == pod_annotation.log.name] == [
        "10.0.0.8 could not be written on pod default/web in 5 tries: 403: not you"
    ]


def test_a_pod_that_is_gone_is_fine(caplog: pytest.LogCaptureFixture) -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        annotator.taken_back(Pod("default", "gone"), A)
        await annotator.settled()
        assert len(api.calls) == 1

    told(what)
    assert caplog.text == ""


def test_it_can_be_stopped_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_annotation, "FIRST_PAUSE", 1000.0)

    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.append(KubeError(None, "gone fishing"))
        annotator.given(WEB, A)
        while not api.calls:
            await asyncio.sleep(0)
        annotator.given(Pod("default", "api"), B)
        await annotator.stop()
        assert len(api.calls) == 1
        assert annotator._waiting == {}

    told(what)
