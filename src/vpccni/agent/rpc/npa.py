"""rpc.NPBackend's client: one connection a question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from grpclib.client import Channel, Handler
from grpclib.config import Configuration
from grpclib.const import Status
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.protocol import H2Protocol
from h2.config import H2Configuration

from vpccni.agent.rpc.network_policy import NetworkPolicyError, NetworkPolicyUnreachableError
from vpccni.agent.rpc.rpc_grpc import NPBackendStub
from vpccni.agent.rpc.rpc_pb2 import DeleteNpRequest, EnforceNpRequest
from vpccni.ipam.values import Pod

PAUSE = 0.05
"""Seconds between two tries to connect."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent at a socket. `dial` and `answer` are seconds. Failures are NetworkPolicyError."""

    path: Path
    dial: float
    answer: float

    async def enforce(self, pod: Pod, mode: str, interfaces: int) -> None:
        """EnforceNpToPod."""
        request = EnforceNpRequest(
            K8S_POD_NAME=pod.name,
            K8S_POD_NAMESPACE=pod.namespace,
            NETWORK_POLICY_MODE=mode,
            InterfaceCount=interfaces,
        )
        async with self._connected() as agent:
            reply = await agent.EnforceNpToPod(request, timeout=self.answer)
        if not reply.Success:
            raise NetworkPolicyError(f"{self.path} answered EnforceNpToPod with Success=false")

    async def forget(self, pod: Pod) -> None:
        """DeletePodNp."""
        request = DeleteNpRequest(K8S_POD_NAME=pod.name, K8S_POD_NAMESPACE=pod.namespace)
        async with self._connected() as agent:
            reply = await agent.DeletePodNp(request, timeout=self.answer)
        if not reply.Success:
            raise NetworkPolicyError(f"{self.path} answered DeletePodNp with Success=false")

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[NPBackendStub]:
        channel = _Channel(path=str(self.path))
        async with channel:
            await self._connect(channel)
            try:
                yield NPBackendStub(channel)
            except TimeoutError:
                raise NetworkPolicyError(self._late) from None
            except GRPCError as error:
                # the deadline travels with the call, and the agent may be the first to see it pass
                late = error.status is Status.DEADLINE_EXCEEDED
                said = self._late if late else f"{self.path} answered {error.status.name}: {error.message}"
                raise NetworkPolicyError(said) from error
            except (StreamTerminatedError, ProtocolError, OSError) as error:
                raise NetworkPolicyError(f"{self.path} broke the call off: {error}") from error

    @property
    def _late(self) -> str:
        return f"{self.path} did not answer within {self.answer:g} s"

    async def _connect(self, channel: _Channel) -> None:
        """An agent that is restarting is waited for."""
        problem = "nobody answers"
        try:
            async with asyncio.timeout(self.dial):
                while True:
                    try:
                        await channel.__connect__()
                    except OSError as error:
                        problem = str(error)
                    else:
                        problem = "it took the connection and says nothing"
                        if await channel.spoken:
                            return
                        problem = "it hung up"
                    await asyncio.sleep(PAUSE)
        except TimeoutError:
            raise NetworkPolicyUnreachableError(f"{self.path} for {self.dial:g} s: {problem}") from None


class _Channel(Channel):
    """grpclib's, that knows when the other side has said its first word: one that hangs still takes connections."""

    spoken: asyncio.Future[bool]
    """Of the last connection; False: it was closed without one."""

    def _protocol_factory(self) -> H2Protocol:
        self.spoken = asyncio.get_running_loop().create_future()
        return _Heard(self.spoken, Handler(), self._config, self._h2_config)


class _Heard(H2Protocol):
    """Tells of the first bytes, or that there were none."""

    def __init__(
        self,
        spoken: asyncio.Future[bool],
        handler: Handler,
        config: Configuration,
        h2_config: H2Configuration,
    ) -> None:
        super().__init__(handler, config, h2_config)
        self._spoken = spoken

    def data_received(self, data: bytes) -> None:
        self._tell(spoken=True)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._tell(spoken=False)
        super().connection_lost(exc)

    def _tell(self, *, spoken: bool) -> None:
        if not self._spoken.done():
            self._spoken.set_result(spoken)
