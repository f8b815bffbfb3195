"""An agent with a host, a disk and an EC2 of the test's, and HTTP servers that tell of it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.agent.test_loop import World
from vpccni.agent.http import Handler, HttpServer
from vpccni.agent.introspection import introspection
from vpccni.agent.scene import Scene
from vpccni.agent.settings import Settings
from vpccni.ipam.targets import WarmTargets

NOON = 1_767_355_200.0  # 2026-01-02T12:00:00Z


@dataclass(frozen=True)
class Got:
    status: int
    kind: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def scene_of(world: World, settings: Settings | None = None) -> Scene:
    scene = Scene(settings or Settings(), asyncio.get_running_loop().time)
    scene.counters, scene.decisions = world.agent.counters, world.agent.decisions
    scene.ipams = (world.agent.ipam,)
    return scene


def small_world() -> World:
    return World(WarmTargets(warm_ip=1), max_enis=1)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    server = HttpServer("test", "127.0.0.1:0", handler)
    server.start()
    await server.ready()
    try:
        yield server.port
    finally:
        await server.stop()


async def get(port: int, path: str, method: str = "GET", timeout: float = 10.0) -> Got:
    def ask() -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return Got(response.status, response.headers["Content-Type"], response.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


async def told(scene: Scene, path: str) -> Got:
    async with serving(introspection(scene)) as port:
        return await get(port, path)
