"""Addresses of pods that somebody may be connecting while the agent restarts."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address

import pytest

from tests.ipam.model_ec2 import key, pod
from vpccni.agent.unwired import AGAIN, judge_unwired
from vpccni.ipam.restore import CONNECTING_TAKES
from vpccni.ipam.values import Address, Assignment, EniId


class Everything:
    """The host, the pools and the clock."""

    def __init__(self, connected: set[int], failures: int = 0) -> None:
        self.connected, self.failures = {pod(n) for n in connected}, failures
        self.taken_back: list[Assignment] = []
        self.now = 100.0
        self.slept: list[float] = []

    async def look(self) -> dict[str, Address]:
        if self.failures:
            self.failures -= 1
            raise OSError("no buffer space")
        return {}

    def alive(self, assignment: Assignment) -> bool:
        return assignment.pod in self.connected

    async def take_back(self, assignment: Assignment) -> None:
        self.taken_back.append(assignment)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def given(number: int) -> Assignment:
    return Assignment(key(number), pod(number), IPv4Address(number), EniId("eni-1"), 99.0)


@pytest.mark.parametrize(
    ("failures", "waits"), [(0, [CONNECTING_TAKES]), (2, [CONNECTING_TAKES, AGAIN, AGAIN])]
)
def test_what_nobody_connected_in_time_is_taken_back(
    monkeypatch: pytest.MonkeyPatch, failures: int, waits: list[float]
) -> None:
    world = Everything({1}, failures)
    monkeypatch.setattr("asyncio.sleep", world.sleep)
    asyncio.run(judge_unwired([given(1), given(2)], world, world, lambda: world.now))
    assert world.taken_back == [given(2)]
    assert world.slept == waits


def test_there_is_nothing_to_wait_for_on_most_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Everything(set())
    monkeypatch.setattr("asyncio.sleep", world.sleep)
    asyncio.run(judge_unwired([], world, world, lambda: world.now))
    assert not world.slept
    assert not world.taken_back
