"""checkip: tells a caller which address it comes from, as the internet sees it."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
    """GET /, GET /ip (as ipinfo.io has it) and GET /headers; each answer says whose it is, whatever name was asked."""
    routes = [Route("/", caller), Route("/ip", caller), Route("/headers", headers)]
    return Starlette(routes=routes, middleware=[Middleware(_Signed)])


class _Signed:
    """The lab's internet answers for names of the real one, and says that it is the lab's."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-answered-by", b"vpc-lab, not the real internet"),
                ]
            await send(message)

        await self._app(scope, receive, signed)
