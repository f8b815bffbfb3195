"""What stands behind the gRPC socket: nobody yet, the agent, or an agent that is stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vpccni.agent.rpc.backend import Annotator, Backend, Branches, NodeConfig

START_PATIENCE = 20.0
"""Seconds that a call waits for an agent that is still starting, as on the plugin's socket."""


class NotStartedError(Exception):
    """The agent took longer to start than a call waits."""


@dataclass(frozen=True, slots=True)
class Served:
    """All that a call needs."""

    agent: Backend
    node: NodeConfig
    annotator: Annotator | None = None
    branches: Branches | None = None
    """With ENABLE_POD_ENI."""


class Behind:
    """The agent, once there is one; how many calls it is busy with; and whether it says that it serves."""

    def __init__(self, patience: float = START_PATIENCE) -> None:
        self._patience = patience
        self._served: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.serving = False
        self.told: Callable[[bool], None] = lambda _: None
        """Called whenever `serving` is set."""

    def started(self, served: Served) -> None:
        """From now on calls are served; again, when the node's facts have changed."""
        if self._served.done():
            self._served = asyncio.get_running_loop().create_future()
        self._served.set_result(served)
        self._tell(serving=True)

    def stopping(self) -> None:
        """No new pod should come; calls that come all the same are served."""
        self._tell(serving=False)

    async def served(self) -> Served:
        """The agent. Raises NotStartedError."""
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(self._served)
        except TimeoutError:
            raise NotStartedError("the agent is still starting; ipamd.log names the phase it is in") from None

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call is under way."""
        self._calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def idle(self) -> None:
        """Return when no call is under way."""
        await self._idle.wait()

    def _tell(self, *, serving: bool) -> None:
        self.serving = serving
        self.told(serving)
