import asyncio

from vpccni.agent.turns import Turns


def test_calls_with_one_key_follow_each_other_and_others_do_not_wait() -> None:
    async def story() -> list[str]:
        turns, seen = Turns(), list[str]()
        hold = asyncio.Event()

        async def call(key: str, name: str, *, wait: bool) -> None:
            async with turns.of(key):
                seen.append(f"{name} in")
                if wait:
                    await hold.wait()
                seen.append(f"{name} out")

        first = asyncio.create_task(call("a", "1", wait=True))
        second = asyncio.create_task(call("a", "2", wait=False))
        other = asyncio.create_task(call("b", "3", wait=False))
        await other
        hold.set()
        await asyncio.gather(first, second)
        assert turns._last == {}
        return seen

    assert asyncio.run(story()) == ["1 in", "3 in", "3 out", "1 out", "2 in", "2 out"]


def test_one_who_gives_up_waiting_does_not_let_the_next_one_in_early() -> None:
    async def story() -> list[str]:
        turns, seen = Turns(), list[str]()
        hold = asyncio.Event()

        async def call(name: str) -> None:
            async with turns.of("k"):
                seen.append(f"{name} in")
                await hold.wait()
                seen.append(f"{name} out")

        first = asyncio.create_task(call("1"))
        second = asyncio.create_task(call("2"))
        third = asyncio.create_task(call("3"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert seen == ["1 in"]
        hold.set()
        await asyncio.gather(first, third)
        assert turns._last == {}
        return seen

    assert asyncio.run(story()) == ["1 in", "1 out", "3 in", "3 out"]
