"""What start-up opens so that the agent can be looked at: introspection, metrics and probes, the loop's lag."""

from __future__ import annotations

import asyncio
import contextlib

from vpccni.agent.introspection import introspection_server
from vpccni.agent.loop_lag import watch_lag
from vpccni.agent.scene import Scene
from vpccni.agent.series import PORT, metrics_server


class Observing:
    """`start` at once, so that probes learn of the start's phases; `stop` last. Never the agent's undoing."""

    def __init__(self, scene: Scene, metrics_address: str = f":{PORT}") -> None:
        """`scene` is filled by start-up as it goes on."""
        self._scene = scene
        servers = (introspection_server(scene), metrics_server(scene, metrics_address))
        self.servers = tuple(server for server in servers if server is not None)
        self._lag: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen, as soon as the addresses are free."""
        for server in self.servers:
            server.start()
        self._lag = asyncio.get_running_loop().create_task(watch_lag(self._scene.counters.loop_lag))

    async def stop(self) -> None:
        """Nobody looks any more."""
        if self._lag is not None:
            self._lag.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lag
        for server in self.servers:
            await server.stop()
