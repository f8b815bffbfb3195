"""Both servers and the lag's watch together, as start-up runs them."""

import asyncio
import time

from tests.agent.scenes import get, scene_of, small_world
from tests.agent.test_loop import story
from vpccni.agent.loop_lag import watch_lag
from vpccni.agent.observing import Observing
from vpccni.agent.settings import Settings
from vpccni.histogram import POD_SECONDS, Histogram


def test_both_answer_and_are_gone_after_the_stop() -> None:
    async def tell() -> None:
        scene = scene_of(small_world(), Settings(introspection_address="127.0.0.1:0"))
        observing = Observing(scene, "127.0.0.1:0")
        observing.start()
        for server in observing.servers:
            await server.ready()
        ports = [server.port for server in observing.servers]
        for port in ports:
            assert (await get(port, "/readyz")).status == 200
        await observing.stop()
        for port in ports:
            try:
                await get(port, "/readyz")
            except ConnectionRefusedError:
                continue
            raise AssertionError("somebody still answers")

    story(tell)


def test_switched_off_there_is_nothing() -> None:
    async def tell() -> None:
        settings = Settings(disable_introspection=True, disable_metrics=True)
        observing = Observing(scene_of(small_world(), settings))
        assert observing.servers == ()
        observing.start()
        await observing.stop()

    story(tell)


def test_a_loop_that_was_held_up_is_seen() -> None:
    async def tell() -> None:
        lags = Histogram(POD_SECONDS)
        watch = asyncio.create_task(watch_lag(lags, every=0.01))
        await asyncio.sleep(0)
        time.sleep(0.2)
        while lags.count == 0:
            await asyncio.sleep(0.01)
        watch.cancel()
        assert lags.sum > 0.1

    story(tell)
