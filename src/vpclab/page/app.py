"""The page's ASGI application: static files, the stream of news, and what one asks of a pod. It changes nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from vpclab.page.watch import Source, Watch

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
STATIC = files("vpclab.page") / "static"
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
"""The page loads nothing from elsewhere; inline styles place what is drawn."""
HOME = "/_lab"
"""Everything of the page but its first address is below this path, which no AWS service has."""


class PodError(Exception):
    """The sentence says why nothing can be told of a pod."""


class Questions(Source, Protocol):
    """What the page asks."""

    async def pod(self, namespace: str, name: str) -> dict[str, Any]:
        """Rules, routes and counters of a pod. Raises PodError."""

    async def path(self, namespace: str, name: str, to: str) -> dict[str, Any]:
        """The way of a packet of a pod, step by step. Raises PodError."""


def page_app(source: Questions) -> tuple[Starlette, Watch]:
    """The application, and the watch to stop at the end."""
    watch = Watch(source)

    async def index(_: Request) -> Response:
        return _file("index.html")

    async def static(request: Request) -> Response:
        return _file(request.path_params["name"])

    async def events(_: Request) -> Response:
        # told anew by every look: nothing between us and the page may keep it
        return StreamingResponse(
            watch.stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def pod(request: Request) -> Response:
        try:
            return JSONResponse(
                await source.pod(request.path_params["namespace"], request.path_params["name"])
            )
        except PodError as error:
            return JSONResponse({"error": str(error)}, 404)

    async def path(request: Request) -> Response:
        to = request.query_params.get("to", "").strip()
        try:
            found = await source.path(request.path_params["namespace"], request.path_params["name"], to)
        except PodError as error:
            return JSONResponse({"error": str(error)}, 404)
        return JSONResponse(found)

    routes = [
        Route("/", index),
        Route(f"{HOME}/events", events),
        Route(f"{HOME}/pods/{{namespace}}/{{name}}", pod),
        Route(f"{HOME}/pods/{{namespace}}/{{name}}/path", path),
        Route(f"{HOME}/{{name}}", static),
    ]
    return Starlette(routes=routes), watch


def _file(name: str) -> Response:
    file = STATIC / name
    kind = KINDS.get(name.rpartition(".")[2])
    if kind is None or "/" in name or not file.is_file():
        return Response("there is no such file", 404)
    return Response(
        file.read_bytes(),
        media_type=kind,
        headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"},
    )
