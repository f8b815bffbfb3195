"""Waiting for the API server, in memory."""

from __future__ import annotations

import pytest

from tests.agent.test_loop import story
from vpccni.agent import connectivity
from vpccni.agent.connectivity import ApiServerUnusableError, wait_for_api_server
from vpccni.agent.settings import Settings
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import KubeError

LATE = KubeError(None, "no answer in time", timed_out=True)
CUSTOM, ANNOTATED = Settings(custom_networking=True), Settings(annotate_pod_ip=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connectivity, "POLL", 0.0)


def wait(settings: Settings, cluster: FakeCluster | None) -> None:
    async def tell() -> None:
        await wait_for_api_server(settings, cluster)

    story(tell)


def test_what_nothing_wants_is_not_asked() -> None:
    api = FakeCluster()
    wait(Settings(), api)
    assert api.calls == []


@pytest.mark.parametrize("settings", [Settings(), CUSTOM, ANNOTATED])
def test_without_a_cluster_nothing_is_waited_for(settings: Settings) -> None:
    wait(settings, None)


@pytest.mark.parametrize("settings", [CUSTOM, ANNOTATED])
def test_a_slow_server_is_waited_for_and_that_is_said_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeCluster(failures=[LATE] * 40)
    wait(settings, api)
    assert api.calls == ["version"] * 41
    assert caplog.text.count("the agent waits for it") == 1


@pytest.mark.parametrize(
    "error", [KubeError(None, "connection refused"), KubeError(401, "Unauthorized"), KubeError(500, "broken")]
)
def test_any_other_failure_ends_the_start(error: KubeError) -> None:
    api = FakeCluster(failures=[LATE, error])
    with pytest.raises(ApiServerUnusableError, match="ANNOTATE_POD_IP is on"):
        wait(ANNOTATED, api)
    assert len(api.calls) == 2
