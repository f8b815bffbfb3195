"""A small HTTP server in the agent's own loop: GET and HEAD, one request a connection, everything bounded.

The loop is the pool's owner, so what is told is true for one moment, and no lock and no thread is needed. A library
would bring a router, middleware and megabytes for a dozen fixed paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

log = logging.getLogger(__name__)

DEADLINE = 5.0
"""Seconds for a request to come and for its answer to go (spec 8.1)."""
MOST_CONNECTIONS = 64
"""At a time; /metrics is open to whoever reaches the node."""
MOST_HEAD = 16 * 1024
FIRST_PAUSE, LONGEST_PAUSE, JITTER = 1.0, 60.0, 0.2
"""Between attempts to listen (spec 8.1)."""
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path has to say."""

    body: bytes
    kind: str = JSON
    status: HTTPStatus = HTTPStatus.OK


Handler = Callable[[str], Awaitable[Answer]]
"""From the path, without its query, to the answer."""


class HttpServer:
    """Listens as soon as it can: an address that is taken today may be free tomorrow."""

    def __init__(self, name: str, address: str, handler: Handler) -> None:
        """`address` is host:port, :port for every address of the node, or unix:/path; `name` is for the log."""
        self._name = name
        self._address = address
        self._handler = handler
        self._listening: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listen in the background. Failures are logged and tried again."""
        self._listening = asyncio.get_running_loop().create_task(self._listen_until_it_works())

    async def ready(self) -> None:
        """Return when it listens."""
        if self._listening is not None:
            await asyncio.shield(self._listening)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        assert self._server is not None  # noqa: S101 -- asked for after `ready`
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Listen no more; what is being answered is cut off."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            _forget(self._address)

    async def _listen_until_it_works(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                listener = listen(self._address)
                self._server = await asyncio.start_server(self._accept, sock=listener, limit=MOST_HEAD)
            except OSError as error:
                log.error("no %s on %s: %s; trying again in %.0f s", self._name, self._address, error, pause)
            else:
                log.info("Serving %s on %s", self._name, self._address)
                return
            await asyncio.sleep(pause * (1 + JITTER * random.random()))  # noqa: S311 -- spreads, hides nothing
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(DEADLINE):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                method, answer = "GET", _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            else:
                method, answer = await self._answer(head)
        async with asyncio.timeout(DEADLINE):
            writer.write(_encode(answer, head_only=method == "HEAD"))
            await writer.drain()

    async def _answer(self, head: bytes) -> tuple[str, Answer]:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return "GET", _plain(HTTPStatus.BAD_REQUEST)
        method, target, _ = words
        if method not in {"GET", "HEAD"}:
            return method, _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            return method, await self._handler(unquote(urlsplit(target).path))
        except ValueError:
            return method, _plain(HTTPStatus.BAD_REQUEST)
        except Exception:
            log.exception("%s %s could not be answered", method, target)
            return method, _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def listen(address: str) -> socket.socket:
    """A listening socket on host:port, :port or unix:/path. Raises OSError."""
    if address.startswith("unix:"):
        return _listen_unix(Path(address.removeprefix("unix:")))
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host:
        # IPv6 may be compiled in and switched off: then only binding tells
        with contextlib.suppress(OSError, ValueError):
            return socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("0.0.0.0", int(port)))  # noqa: S104 -- the original listens everywhere (spec 8.2)
    family, *_, place = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    return socket.create_server(place[:2], family=family)


def _listen_unix(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # of an agent that was killed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def _forget(address: str) -> None:
    """Leave no socket behind that nobody listens on."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def _plain(status: HTTPStatus) -> Answer:
    return Answer(f"{status.phrase}\n".encode(), "text/plain; charset=utf-8", status)


def not_found() -> Answer:
    """There is no such path."""
    return _plain(HTTPStatus.NOT_FOUND)


def _encode(answer: Answer, *, head_only: bool) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.kind}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return head if head_only else head + answer.body
