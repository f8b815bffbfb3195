"""Serving an ASGI application on a socket that was made elsewhere, in a loop that is not the server's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import AbstractContextManager

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

GRACE = 1
"""Seconds that requests under way get when the server stops."""

CONNECTION = "vpclab.connection"
"""In a request's `scope["extensions"]`: the socket that it came by (asyncio's TransportSocket), for options of what is answered."""


class _Protocol(H11Protocol):
    """HTTP that tells the application which connection it answers on."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app, connection = self.app, transport.get_extra_info("socket")

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            scope["extensions"] = {CONNECTION: connection}
            await app(scope, receive, send)

        self.app = told


class _Server(uvicorn.Server):
    """A server among many in one loop: it sleeps until it is told to stop, and stops as soon as its connections have closed.

    uvicorn's own looks ten times a second whether it shall stop, and takes two tenths of a second for that. Signals are for
    whoever owns the loop.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.told_to_stop = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def main_loop(self) -> None:
        while not self.told_to_stop.is_set():
            await self.on_tick(0)  # the answers' date
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.told_to_stop.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                pause = 0.0  # what is idle has closed after one round of the loop
                while state.connections or state.tasks:
                    await asyncio.sleep(pause)
                    pause = 0.005
        for task in state.tasks:
            task.cancel("the server stops")


class Serving:
    """A server that runs."""

    def __init__(self, server: _Server, task: asyncio.Task[None]) -> None:
        self._server = server
        self._task = task

    async def stop(self) -> None:
        """Answer what is under way, for a second at most, close connections and socket. May be called again."""
        self._server.told_to_stop.set()
        await self._task


async def serve(app: ASGIApp, sock: socket.socket) -> Serving:
    """Serve on a bound stream socket until `stop`; returns once it answers. The socket belongs to the server now.

    No signal handlers, no access log, nothing on the console. Raises RuntimeError if the server does not start.
    """
    # uvicorn writes head and body apart: without this, 40 ms of delayed acknowledgement lie between them. (asyncio does it
    # only for sockets whose protocol was spelled out.) Accepted connections inherit it.
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        loop="none",
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # the client's address says which instance it is
        server_header=False,
        timeout_keep_alive=75,
    )
    server = _Server(config)
    task = asyncio.get_running_loop().create_task(server.serve([sock]), name=f"serving {sock.getsockname()}")
    while not server.started:
        if task.done():
            raise RuntimeError(f"the server on {sock.getsockname()} did not start") from task.exception()
        await asyncio.sleep(0)
    return Serving(server, task)
