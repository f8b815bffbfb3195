"""Events with the cluster in memory."""

import asyncio

import pytest

from tests.agent.test_loop import story
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Pod
from vpccni.kube import events
from vpccni.kube.events import Events
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import KubeError

OWN, WEB = Pod("kube-system", "aws-node-x"), Pod("default", "web")


def cluster() -> FakeCluster:
    return FakeCluster(pods={("kube-system", "aws-node-x"): {}, ("default", "web"): {}})


async def sent(teller: Events) -> None:
    while teller._tasks:
        await asyncio.gather(*teller._tasks)


def test_one_a_minute_for_a_pod_and_a_reason() -> None:
    async def tell() -> None:
        api, now = cluster(), [0.0]
        teller = Events(api, OWN, lambda: now[0])
        for at in (0.0, 59.9, 60.0):
            now[0] = at
            teller.no_address(WEB, Refusal(Reason.SUBNET_FULL, "subnet-1"))
        teller.no_address(WEB, Refusal(Reason.THROTTLED))
        await sent(teller)
        assert [e.reason for e in api.events] == ["SubnetFull", "SubnetFull", "Throttled"]
        assert api.events[0].note == f"subnet-1: {Reason.SUBNET_FULL.advice}"
        assert api.events[2].note == Reason.THROTTLED.advice

    story(tell)


def test_a_missing_permission_is_told_in_the_words_of_the_original() -> None:
    async def tell() -> None:
        api = cluster()
        teller = Events(api, OWN, lambda: 0.0)
        teller.missing_permission("AssignPrivateIpAddresses")
        teller.missing_permission("AssignPrivateIpAddresses")
        await sent(teller)
        (event,) = api.events
        assert (event.namespace, event.pod, event.reason, event.action) == (
            "kube-system", "aws-node-x", "MissingIAMPermissions", "ec2:AssignPrivateIpAddresses",
        )  # fmt: skip
        assert event.note.startswith(
            "Unauthorized operation: failed to call ec2:AssignPrivateIpAddresses due to missing permissions. Please refer "
        )
        assert "/docs/iam-policy.md" in event.note

    story(tell)


def test_an_event_that_fails_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        api = cluster()
        api.failures.append(KubeError(403, "not you"))
        teller = Events(api, OWN, lambda: 0.0)
        teller.no_address(WEB, Refusal(Reason.SUBNET_FULL))
        await sent(teller)

    story(tell)
    assert "no event SubnetFull on default/web: 403: not you" in caplog.text


def test_a_burst_is_cut_and_the_rest_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_UNDER_WAY", 2)

    async def tell() -> None:
        api = cluster()
        teller = Events(api, OWN, lambda: 0.0)
        for number in range(5):
            teller.no_address(Pod("default", f"web-{number}"), Refusal(Reason.SUBNET_FULL))
        assert len(teller._tasks) == 2
        await teller.stop()
        assert api.events == []

    story(tell)
