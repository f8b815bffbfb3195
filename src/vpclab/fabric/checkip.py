"""checkip: tells a caller which address it comes from, as the internet sees it."""

from __future__ import annotations

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
    """GET / (and /ip, as ipinfo.io has it) and GET /headers."""
    return Starlette(routes=[Route("/", caller), Route("/ip", caller), Route("/headers", headers)])
