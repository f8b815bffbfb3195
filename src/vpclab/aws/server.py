"""EC2 and IMDS as ASGI applications over one region, and the way to serve them on a socket made elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from vpclab.aws.operations import OPERATIONS, Operation
from vpclab.aws.wire import error_xml, parse_request, response_xml
from vpclab.region.metadata import metadata
from vpclab.region.region import Region
from vpclab.region.values import ApiError

CALLS_KEPT = 10_000
TOKEN_TTL_MOST = 21600


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One line of the call log."""

    at: float
    caller: str
    action: str
    code: str
    """Empty if it went well."""


class Ec2Api:
    """Answers EC2 requests and keeps a log of them. Everything runs in one loop, which owns the region."""

    def __init__(self, region: Region, clock: Callable[[], float], changed: Callable[[], None]) -> None:
        self._region = region
        self._clock = clock
        self._changed = changed
        self.calls: deque[ApiCall] = deque(maxlen=CALLS_KEPT)

    @property
    def app(self) -> ASGIApp:
        """The application."""
        return Starlette(routes=[Route("/", self._answer, methods=["GET", "POST"])])

    def call(self, caller: str, body: str) -> tuple[int, str]:
        """One request: the status and the XML."""
        request_id = f"{secrets.token_hex(4)}-lab"
        action = "?"
        try:
            self._region.advance(self._clock())
            action, parameters = parse_request(body)
            content = self._perform(action, parameters)
        except ApiError as error:
            self.calls.append(ApiCall(self._clock(), caller, action, error.code))
            return error.status, error_xml(error, request_id)
        self.calls.append(ApiCall(self._clock(), caller, action, ""))
        self._changed()
        return 200, response_xml(action, request_id, content)

    def _perform(self, action: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        operation: Operation | None = OPERATIONS.get(action)
        if operation is None:
            raise ApiError("UnsupportedOperation", f"The lab's EC2 does not know the action {action} (yet).")
        if parameters.get("DryRun"):
            raise ApiError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        return operation(self._region, parameters)

    async def _answer(self, request: Request) -> Response:
        body = (await request.body()).decode() or request.url.query
        caller = request.client.host if request.client else "?"
        status, xml = self.call(caller, body)
        return Response(xml, status, media_type="text/xml;charset=UTF-8")


class ImdsApi:
    """Version 2 of the metadata service: a token first, and each token is its instance's."""

    def __init__(
        self, region: Region, clock: Callable[[], float], instance_at: Callable[[str], str | None]
    ) -> None:
        self._region = region
        self._clock = clock
        self._instance_at = instance_at
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def app(self) -> ASGIApp:
        """The application."""
        return Starlette(
            routes=[
                Route("/latest/api/token", self._token, methods=["PUT"]),
                Route("/latest/{path:path}", self._get, methods=["GET"]),
            ]
        )

    async def _token(self, request: Request) -> Response:
        instance = self._instance(request)
        ttl = request.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if instance is None:
            return PlainTextResponse("Forbidden", 403)
        if not ttl.isdigit() or not 1 <= int(ttl) <= TOKEN_TTL_MOST:
            return PlainTextResponse("Bad Request", 400)
        token = secrets.token_urlsafe(32)
        now = self._clock()
        self._tokens = {t: entry for t, entry in self._tokens.items() if entry[1] > now}
        self._tokens[token] = (instance, now + int(ttl))
        return PlainTextResponse(token, headers={"x-aws-ec2-metadata-token-ttl-seconds": ttl})

    async def _get(self, request: Request) -> Response:
        instance = self._instance(request)
        owner, until = self._tokens.get(request.headers.get("x-aws-ec2-metadata-token", ""), ("", 0.0))
        if instance is None or owner != instance or until <= self._clock():
            return PlainTextResponse("Unauthorized", 401)
        self._region.advance(self._clock())
        text = metadata(self._region, instance, request.path_params["path"])
        return PlainTextResponse(text) if text is not None else PlainTextResponse("Not Found", 404)

    def _instance(self, request: Request) -> str | None:
        return self._instance_at(request.client.host) if request.client else None


class Server:
    """Serves one application on one listening socket until it is told to stop."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        config = uvicorn.Config(
            app, access_log=False, log_level="warning", lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = _QuietServer(config)
        self._socket = sock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]))

    async def stop(self) -> None:
        """End, and close the socket."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()


class _QuietServer(uvicorn.Server):
    def capture_signals(self) -> Any:
        """Signals are the daemon's, not a server's."""
        return contextlib.nullcontext()
