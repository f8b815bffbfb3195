"""ipamd.sock: root's and its group's, and there from the moment on in which somebody listens on it (spec 3.1)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakSet

from grpclib.protocol import H2Protocol
from grpclib.reflection.service import ServerReflection
from grpclib.server import Server

from vpccni.agent.rpc.behind import Behind
from vpccni.agent.rpc.health import health_of
from vpccni.agent.rpc.servicer import CniBackend, ConfigServer

if TYPE_CHECKING:
    from grpclib._typing import IServable

BACKLOG = 512
LEAVE_TAKING = 8.0
"""Seconds that calls under way have to end when the agent stops: as long as EC2 calls have (`Agent.stop`)."""
GOOD_BYE = 1.0
"""Seconds in which connections that were hung up have gone."""


class RpcServer:
    """The original's services, health and reflection on one socket."""

    def __init__(self, path: Path, behind: Behind) -> None:
        self._path = path
        self._behind = behind
        self._server = _HangingUp(
            ServerReflection.extend([CniBackend(behind), ConfigServer(behind), health_of(behind)])
        )

    async def start(self) -> None:
        """Listen. What an earlier run left at the path is replaced. Raises OSError."""
        await self._server.start(sock=listening(self._path))

    async def stop(self) -> None:
        """Let nobody new come, and let calls under way end; those that do not are cancelled."""
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_TAKING):
                await self._behind.idle()
        self._server.close()
        self._server.hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOOD_BYE):
                await self._server.wait_closed()


class _HangingUp(Server):
    """grpclib's server leaves open connections to their clients, which may keep them as long as they like."""

    def __init__(self, services: Collection[IServable]) -> None:
        super().__init__(services)
        self._connections: WeakSet[H2Protocol] = WeakSet()

    def _protocol_factory(self) -> H2Protocol:
        connection = super()._protocol_factory()
        self._connections.add(connection)
        return connection

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            connection.processor.close("the agent stops")


def listening(path: Path) -> socket.socket:
    """A socket at the path, made beside it and renamed, so that nobody meets one that nobody listens on."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(str(fresh))
        fresh.chmod(0o660)
        listener.listen(BACKLOG)
        fresh.rename(path)
    except OSError:
        listener.close()
        raise
    return listener
