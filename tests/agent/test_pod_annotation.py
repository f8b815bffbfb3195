"""The annotator with the cluster in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import cast
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.test_loop import story
from vpccni.agent import pod_annotation
from vpccni.agent.pod_annotation import KEY, Change, PodAnnotator, still_to_write
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


def test_what_a_later_change_undoes_is_not_written_again() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.append(KubeError(None, "gone fishing"))
        annotator.given(WEB, A)
        while not api.calls:
            await asyncio.sleep(0)
        annotator.taken_back(WEB, A)
        annotator.given(WEB, B)
        await annotator.settled()

    api = told(what)
    assert api.pods["default", "web"] == {KEY: str(B)}
    assert [call.rpartition("=")[2] for call in api.calls] == [str(A), "", str(B)]


def test_an_address_that_may_have_been_written_is_taken_off() -> None:
    """The answer was lost, not the write."""

    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.pods["default", "web"][KEY] = str(A)
        api.failures.append(KubeError(None, "gone fishing"))
        annotator.given(WEB, A)
        while not api.calls:
            await asyncio.sleep(0)
        annotator.taken_back(WEB, A)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: ""}


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 4), st.booleans(), st.booleans(), st.sampled_from([None, 401, 409, 429, 503])
        ),
        max_size=12,
    )
)
def test_in_the_end_the_annotation_is_the_last_address_whatever_failed(
    steps: list[tuple[int, bool, bool, int | None]],
) -> None:
    """A pod is given an address, or its last one is taken back, as ADD and DEL do; calls fail and are late at will."""

    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        held: IPv4Address | None = None
        for last, fails, waits, status in steps:
            if fails:
                api.failures.append(KubeError(status, "later"))
            if held is None:
                held = IPv4Address(f"10.0.0.{last}")
                annotator.given(WEB, held)
            else:
                annotator.taken_back(WEB, held)
                held = None
            if waits:
                await annotator.settled()
        await annotator.settled()
        assert api.pods["default", "web"].get(KEY, "") == ("" if held is None else str(held))

    with patch.object(pod_annotation, "FIRST_PAUSE", 0.0):
        told(what)


def test_what_is_left_to_write() -> None:
    has_a, had_a, had_b = Change(A, given=True), Change(A, given=False), Change(B, given=False)
    assert still_to_write((), has_a) == (has_a,)
    assert still_to_write((has_a,), had_a) == (had_a,)
    assert still_to_write((has_a,), had_b) == (has_a, had_b)
    assert still_to_write((has_a, had_b), Change(B, given=True)) == (had_a, Change(B, given=True))


def test_the_next_pod_of_the_name_keeps_its_address() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        annotator.given(WEB, B)
        annotator.taken_back(WEB, A)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: str(B)}


def test_what_is_refused_is_told_once_and_the_next_is_written(caplog: pytest.LogCaptureFixture) -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.append(KubeError(403, "not you"))
        annotator.given(WEB, A)
        await annotator.settled()
        annotator.given(WEB, B)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: str(B)}
    (line,) = [r.message for r in caplog.records if r.name == pod_annotation.log.name]
    assert line.startswith(
        "10.0.0.8 could not be written on pod default/web: 403: not you. The service account"
    )


def test_an_outage_of_any_length_only_makes_it_later() -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        api.failures.extend(KubeError(None, "no answer") for _ in range(50))
        annotator.given(WEB, A)
        await annotator.settled()

    with patch.multiple(pod_annotation, FIRST_PAUSE=0.0, LONGEST_PAUSE=0.0):
        assert told(what).pods["default", "web"] == {KEY: str(A)}


def test_a_mistake_of_ours_does_not_stand_in_the_way_of_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def what(api: FakeCluster, annotator: PodAnnotator) -> None:
        kept = api.pods.pop(("default", "web"))
        api.pods = cast("dict[tuple[str, str], dict[str, str]]", None)
        annotator.given(WEB, A)
        await annotator.settled()
        api.pods = {("default", "web"): kept}
        annotator.given(WEB, B)
        await annotator.settled()

    assert told(what).pods["default", "web"] == {KEY: str(B)}
    assert "10.0.0.8 of pod default/web could not be told" in caplog.text


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
