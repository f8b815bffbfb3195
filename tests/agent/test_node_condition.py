"""The node's condition carries the pool's own reason, is written when it is news, and never in a pod's way."""

import asyncio

import pytest

from vpccni.agent.node_condition import AGAIN_AFTER, HEARTBEAT, TYPE, ConditionWriter, condition_of
from vpccni.agent.readiness import Condition, Readiness, before_start
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.kube.fake import FakeCluster
from vpccni.kube.port import FORBIDDEN, KubeError

WELL = Readiness(Condition.SERVING, ready=True, phase="serving")
FULL = Refusal(Reason.SUBNET_FULL, "subnet-1 has none")
WANTING = Readiness(Condition.DEGRADED, ready=True, phase="serving", because=(FULL,))


class Node:
    def __init__(self) -> None:
        self.now, self.state, self.cluster = 0.0, WELL, FakeCluster()
        self.writer = ConditionWriter(self.cluster, "n1", lambda: self.state, lambda: self.now)

    def look(self) -> list[str]:
        before = len(self.cluster.calls)
        asyncio.run(self.writer.look())
        return self.cluster.calls[before:]


def test_the_reason_is_the_one_of_the_pods_event_with_what_to_do() -> None:
    told = condition_of(WANTING)
    assert (told.type, told.holds, told.reason) == (TYPE, False, "SubnetFull")
    assert told.message == f"SubnetFull: subnet-1 has none. {Reason.SUBNET_FULL.advice}"
    assert condition_of(WELL).holds


@pytest.mark.parametrize(
    ("phase", "reason"), [("asking EC2", "AgentStarting"), ("stopping", "AgentStopping")]
)
def test_an_agent_that_comes_or_goes_has_none_to_give(phase: str, reason: str) -> None:
    told = condition_of(before_start(phase))
    assert (told.holds, told.reason) == (False, reason)


def test_it_is_written_when_it_is_news_and_as_a_sign_of_life() -> None:
    node = Node()
    first = "set_node_condition n1 AddressesAvailable changed=True"
    assert node.look() == [first]
    assert node.look() == []
    node.state = WANTING
    assert node.look() == ["set_node_condition n1 SubnetFull changed=True"]
    node.now += HEARTBEAT - 1
    assert node.look() == []
    node.now += 1
    assert node.look() == ["set_node_condition n1 SubnetFull changed=False"]


def test_another_reason_for_the_same_is_no_transition() -> None:
    node = Node()
    node.state = WANTING
    node.look()
    other = Refusal(Reason.ENI_LIMIT, "3 of 3")
    node.state = Readiness(Condition.DEGRADED, ready=True, phase="serving", because=(other,))
    assert node.look() == ["set_node_condition n1 EniLimit changed=False"]


def test_one_that_could_not_be_written_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    node.cluster.failures.append(KubeError(None, "no answer"))
    pauses: list[float] = []

    async def no_sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(node.writer.run())
    assert pauses[0] == AGAIN_AFTER
    assert node.cluster.conditions["n1"].holds


def test_one_that_is_forbidden_is_told_once_and_left(caplog: pytest.LogCaptureFixture) -> None:
    node = Node()
    node.cluster.failures.append(KubeError(FORBIDDEN, "nodes/status: no"))
    asyncio.run(node.writer.run())
    assert "may not patch nodes/status" in caplog.text
    assert node.cluster.calls == ["set_node_condition n1 AddressesAvailable changed=True"]
