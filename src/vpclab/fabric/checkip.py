"""checkip: tells a caller which address it comes from, as the internet sees it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route


def caller(request: Request) -> PlainTextResponse:
    """The caller's address and a newline."""
    return PlainTextResponse(f"{request.client.host if request.client else ''}\n")


def headers(request: Request) -> JSONResponse:
    """What arrived: address, port and request headers."""
    client = request.client
    return JSONResponse(
        {
            "address": client.host if client else None,
            "port": client.port if client else None,
            "headers": dict(request.headers),
        }
    )


def application() -> Starlette:
    """GET / and GET /headers."""
    return Starlette(routes=[Route("/", caller), Route("/headers", headers)])


class Server(uvicorn.Server):
    """An ASGI application on a socket that is already bound, in the running loop; signals stay the lab's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._accepting = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none: the process is not only a web server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and tell."""
        await super().startup(sockets)
        self._accepting.set()

    @classmethod
    async def begin(cls, application: Starlette, bound: socket.socket) -> Self:
        """Serve `application` on `bound` (closed at the end); accepting when this returns."""
        config = uvicorn.Config(application, log_config=None, access_log=False, lifespan="off", ws="none")
        server = cls(config)
        server._serving = asyncio.create_task(server.serve(sockets=[bound]))
        await server._accepting.wait()
        return server

    async def end(self) -> None:
        """Stop, cutting what is open."""
        self.should_exit = self.force_exit = True
        if self._serving is not None:
            await self._serving
