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


class _Quiet(uvicorn.Server):
    """Signals are for whoever owns the loop."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


class Serving:
    """A server that runs."""

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None]) -> None:
        self._server = server
        self._task = task

    async def stop(self) -> None:
        """Answer what is under way, for a second at most, close connections and socket. May be called again."""
        self._server.should_exit = True
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
        timeout_graceful_shutdown=GRACE,
    )
    server = _Quiet(config)
    task = asyncio.get_running_loop().create_task(server.serve([sock]), name=f"serving {sock.getsockname()}")
    while not server.started:
        if task.done():
            raise RuntimeError(f"the server on {sock.getsockname()} did not start") from task.exception()
        await asyncio.sleep(0)
    return Serving(server, task)
