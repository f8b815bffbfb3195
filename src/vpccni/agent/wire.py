"""The plugin's socket: takes a call with its descriptors, gives the answer (protocol: vpccni.cni.plugin)."""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

BACKLOG = 512
MAX_REQUEST = 16 * 1024 * 1024
"""Bytes; a GC that names thousands of attachments fits, a runaway writer does not."""


@dataclass(slots=True)
class PluginRequest:
    """What the plugin passed on, raw. Owns its descriptors: closed by `close`."""

    env: Mapping[str, str]
    stdin: bytes
    netns: int | None = None
    netlink: int | None = None
    sysctl_dir: int | None = None
    pod_sysctl_dir: int | None = None
    _fds: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close what was passed and is still open."""
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._fds = []


@dataclass(frozen=True, slots=True)
class Reply:
    """The plugin's exit status and what it prints."""

    status: int
    text: bytes

    def encode(self) -> bytes:
        """As it travels."""
        return b"%d\n%s" % (self.status, self.text)


def decode_request(raw: bytes, fds: list[int]) -> PluginRequest:
    """The request as values. Raises ValueError if it is not one; the descriptors then are the caller's to close."""
    head, found, stdin = raw.partition(b"\0\0")
    letters, *entries = head.split(b"\0")
    if not found or len(letters) != len(fds):
        raise ValueError("not a request of the aws-cni plugin, or cut short")
    env = dict(os.fsdecode(entry).split("=", 1) for entry in entries if b"=" in entry)
    by_letter = dict(zip(letters.decode("ascii"), fds, strict=True))
    netns, netlink, sysctls, pod_sysctls = (by_letter.get(letter) for letter in "nlsp")
    return PluginRequest(env, stdin, netns, netlink, sysctls, pod_sysctls, list(fds))


class PluginServer:
    """Listens on `cni.sock`; each connection is one request, answered by `handler` in a task of its own."""

    def __init__(self, path: Path, handler: Callable[[PluginRequest], Awaitable[Reply]]) -> None:
        self._path = path
        self._handler = handler
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Bind beside the final name and rename, so that no plugin ever meets a socket nobody listens on."""
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        listener.bind(str(fresh))
        fresh.chmod(0o600)
        listener.listen(BACKLOG)
        fresh.rename(self._path)
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def stop(self) -> None:
        """Take no more calls, and let those under way end."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._path.unlink(missing_ok=True)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.error("cannot accept a plugin's call: %s", error)
                return
            connection.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with connection:
            try:
                raw, fds = await _receive(connection)
            except OSError as error:
                log.warning("a plugin's call was cut off: %s", error)
                return
            if not raw and not fds:
                return  # somebody looked whether anybody listens: a probe, `vpc-cni doctor`
            try:
                request = decode_request(raw, fds)
            except ValueError as error:
                for fd in fds:
                    os.close(fd)
                log.warning("refused what came on %s: %s", self._path, error)
                return
            try:
                reply = await self._handler(request)
            finally:
                request.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # a runtime that gave up waiting comes back: ADD and DEL are idempotent
                await loop.sock_sendall(connection, reply.encode())


async def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Everything up to the peer's shutdown, and the descriptors that rode on it."""
    chunks: list[bytes] = []
    fds: list[int] = []
    size = 0
    try:
        while True:
            data, ancillary = await _readable(connection)
            for level, kind, body in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    received = array.array("i")
                    received.frombytes(body[: len(body) - len(body) % received.itemsize])
                    fds.extend(received)
            if not data:
                return b"".join(chunks), fds
            chunks.append(data)
            size += len(data)
            if size > MAX_REQUEST:
                raise OSError(f"a request of more than {MAX_REQUEST} bytes")
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


async def _readable(connection: socket.socket) -> tuple[bytes, list[tuple[int, int, bytes]]]:
    loop = asyncio.get_running_loop()
    while True:
        try:
            data, ancillary, _, _ = connection.recvmsg(
                65536, socket.CMSG_SPACE(8 * 4), socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            ready = loop.create_future()
            loop.add_reader(connection, _set_ready, ready)
            try:
                await ready
            finally:
                loop.remove_reader(connection)
        else:
            return data, ancillary


def _set_ready(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
