"""The gRPC side of the agent as start-up sees it: opened when there is time for it, and never the agent's undoing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vpccni import VERSION
from vpccni.agent.rpc.backend import Annotator, Backend, Branches, NodeConfig
from vpccni.agent.rpc.behind import START_PATIENCE, Behind, Served

if TYPE_CHECKING:  # the library costs 60 ms and 7 MiB, and the plugin's socket must not wait for it
    from vpccni.agent.rpc.server import RpcServer

log = logging.getLogger(__name__)

SOCKET = "ipamd.sock"
SLOW_START = 5.0
"""Seconds after which the socket is there even if the agent has not started, so that its health can be asked; until
then its start has the processor to itself. Kubelet's first liveness probe comes after 60 (spec 1.5)."""


class Rpc:
    """`start` at once, `started` when the agent has, `stopping` and `close` at its end."""

    def __init__(self, run_dir: Path, *, patience: float = START_PATIENCE) -> None:
        """`patience`: seconds that a call waits for an agent that is still starting."""
        self._path = run_dir / SOCKET
        self._behind = Behind(patience)
        self._server: RpcServer | None = None
        self._wanted = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._closed = False

    def start(self, slow_start: float = SLOW_START) -> None:
        """Open in the background: when the agent has started, or after `slow_start` seconds."""
        self._opening = asyncio.get_running_loop().create_task(self._open_when_wanted(slow_start))

    async def open(self) -> None:
        """Load the library beside the loop and listen. What goes wrong is logged: our own plugin needs none of it."""
        try:
            make = await asyncio.to_thread(_load)
            server = make(self._path, self._behind)
            await server.start()
        except ImportError as error:
            log.error(
                "%s: install vpc-cni with its dependencies (grpclib, protobuf). %s", error, self._missed
            )
        except OSError as error:
            log.error("cannot listen on %s: %s. %s", self._path, error, self._missed)
        else:
            self._server = server
            log.info("Serving RPC Handler version %s on unix:%s", VERSION, self._path)

    def started(
        self,
        agent: Backend,
        node: NodeConfig,
        annotator: Annotator | None = None,
        branches: Branches | None = None,
    ) -> None:
        """Calls are served and health says so. Again: the node's facts have changed."""
        self._behind.started(Served(agent, node, annotator, branches))
        self._wanted.set()

    def stopping(self) -> None:
        """Health says that no new pod should come; calls are still served."""
        self._behind.stopping()

    async def close(self) -> None:
        """Let the calls under way end, and go."""
        self.stopping()
        self._closed = True
        self._wanted.set()
        if self._opening is not None:
            await self._opening
        if self._server is not None:
            await self._server.stop()

    async def _open_when_wanted(self, slow_start: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(slow_start):
                await self._wanted.wait()
        if not self._closed:
            await self.open()

    @property
    def _missed(self) -> str:
        return (
            f"Nobody answers on {self._path}: health probes, the original's plugin and the network-policy agent fail; "
            "pods of our own plugin are served"
        )


def _load() -> Callable[[Path, Behind], RpcServer]:
    from vpccni.agent.rpc.server import RpcServer  # noqa: PLC0415 -- see above

    return RpcServer
