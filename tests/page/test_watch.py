"""A viewer is told what there is and then what is new; nobody looks while nobody watches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from vpclab.page import watch
from vpclab.page.watch import KEPT_UNREAD, Seen, Watch

CALL = {"at": 1.0, "who": "node1", "action": "CreateTags", "code": "", "seconds": 0.1}
NOTE = {"node": "node1", "at": "2026-01-02T12:00:00Z", "kind": "begun", "what": "x", "why": "y", "times": 1}


class Lab:
    def __init__(self) -> None:
        self.looks = 0
        self.seen = Seen({"n": 0})
        self.past: list[Mapping[str, Any]] = []
        self.broken = False

    async def look(self) -> Seen:
        self.looks += 1
        if self.broken:
            raise RuntimeError("the lab is changing")
        return self.seen

    def remembered_calls(self) -> Sequence[Mapping[str, Any]]:
        return self.past


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_EVERY", 0.001)


async def heard(stream: AsyncIterator[str]) -> tuple[str, Any]:
    async with asyncio.timeout(10):
        message = await anext(stream)
    event, data = message.strip().split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def story(tell: Callable[[Lab, Watch], Awaitable[None]]) -> None:
    async def within() -> None:
        lab = Lab()
        watching = Watch(lab)
        await tell(lab, watching)
        await watching.stop()

    asyncio.run(within())


def test_first_what_there_is_then_what_is_new() -> None:
    async def tell(lab: Lab, watching: Watch) -> None:
        lab.past = [CALL]
        async with aclosing(watching.stream()) as stream:
            assert await heard(stream) == ("calls", [CALL])
            assert await heard(stream) == ("picture", {"n": 0})
            lab.seen = Seen({"n": 0}, decisions=[NOTE])
            assert await heard(stream) == ("decisions", [NOTE])
            more = {**NOTE, "times": 2}
            lab.seen = Seen({"n": 1}, decisions=[more])
            assert await heard(stream) == ("picture", {"n": 1})
            assert await heard(stream) == ("decisions", [more])

    story(tell)


def test_a_second_viewer_gets_the_picture_at_once() -> None:
    async def tell(lab: Lab, watching: Watch) -> None:
        lab.seen = Seen({"n": 7}, decisions=[NOTE])
        async with aclosing(watching.stream()) as first, aclosing(watching.stream()) as second:
            assert [await heard(first) for _ in range(3)] == [
                ("calls", []),
                ("picture", {"n": 7}),
                ("decisions", [NOTE]),
            ]
            assert [await heard(second) for _ in range(3)] == [
                ("calls", []),
                ("picture", {"n": 7}),
                ("decisions", [NOTE]),
            ]

    story(tell)


def test_nobody_looks_while_nobody_watches() -> None:
    async def tell(lab: Lab, watching: Watch) -> None:
        assert lab.looks == 0
        async with aclosing(watching.stream()) as stream:
            await heard(stream)
            await heard(stream)
        async with asyncio.timeout(10):
            while watching._looking is not None and not watching._looking.done():
                await asyncio.sleep(0)
        before = lab.looks
        await asyncio.sleep(0.02)  # several times LOOK_EVERY
        assert lab.looks == before

    story(tell)


def test_a_look_that_fails_ends_nothing() -> None:
    async def tell(lab: Lab, watching: Watch) -> None:
        lab.broken = True
        async with aclosing(watching.stream()) as stream:
            await heard(stream)
            coming = asyncio.ensure_future(heard(stream))
            async with asyncio.timeout(10):
                while lab.looks < 3:
                    await asyncio.sleep(0)
            lab.broken = False
            assert await coming == ("picture", {"n": 0})

    story(tell)


def test_a_viewer_that_does_not_read_costs_no_memory() -> None:
    async def tell(lab: Lab, watching: Watch) -> None:
        async with aclosing(watching.stream()) as stream:
            await heard(stream)
            for number in range(3 * KEPT_UNREAD):
                lab.seen = Seen({"n": number})
                await watching.look()
            [viewer] = watching._viewers
            assert viewer.unread.qsize() == KEPT_UNREAD

    story(tell)


def test_silence_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SIGN_OF_LIFE", 0.01)

    async def tell(_: Lab, watching: Watch) -> None:
        async with aclosing(watching.stream()) as stream:
            await heard(stream)
            await heard(stream)
            async with asyncio.timeout(10):
                assert await anext(stream) == ": still here\n\n"

    story(tell)
