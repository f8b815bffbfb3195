"""Our question to the network-policy agent, answered by a server that is not ours (grpcio)."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf.message import Message

from tests.agent.rpc.callers import story
from tests.agent.test_loop import World
from vpccni.agent.cni_call import CniError
from vpccni.agent.rpc.network_policy import NetworkPolicyAgent
from vpccni.agent.rpc.rpc_pb2 import DeleteNpReply, DeleteNpRequest, EnforceNpReply, EnforceNpRequest
from vpccni.agent.settings import NetworkPolicyMode
from vpccni.ipam.values import Pod

POD = Pod("default", "web-0")


class Policies:
    """What the agent was asked, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.success = True
        self.refuses = False
        self.silent = False

    async def enforce(self, request: EnforceNpRequest, context: grpc.aio.ServicerContext[object, object]) -> EnforceNpReply:  # fmt: skip
        return EnforceNpReply(Success=await self._take(request, context))

    async def forget(self, request: DeleteNpRequest, context: grpc.aio.ServicerContext[object, object]) -> DeleteNpReply:  # fmt: skip
        return DeleteNpReply(Success=await self._take(request, context))

    async def _take(self, request: Message, context: grpc.aio.ServicerContext[object, object]) -> bool:
        self.asked.append(request)
        if self.silent:
            await asyncio.Event().wait()
        if self.refuses:
            await context.abort(grpc.StatusCode.INTERNAL, "cannot attach the programs")
        return self.success

    @asynccontextmanager
    async def listening(self, run_dir: Path) -> AsyncIterator[None]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    "rpc.NPBackend",
                    {
                        "EnforceNpToPod": _handler(self.enforce, EnforceNpRequest),
                        "DeletePodNp": _handler(self.forget, DeleteNpRequest),
                    },
                )
            ]
        )
        server.add_insecure_port(f"unix:{run_dir / 'npa.sock'}")
        await server.start()
        try:
            yield
        finally:
            await server.stop(None)


def _handler(answer: Callable[..., object], kind: type[Message]) -> grpc.RpcMethodHandler[Message, Message]:
    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=kind.FromString,
        response_serializer=lambda reply: reply.SerializeToString(),
    )


def _agent(run_dir: Path, *, dial: float = 20.0, answer: float = 20.0) -> NetworkPolicyAgent:
    return NetworkPolicyAgent(run_dir, NetworkPolicyMode.STRICT, dial=dial, answer=answer)


def test_it_is_asked_for_the_pod_in_the_mode_that_is_set(tmp_path: Path) -> None:
    async def tell() -> None:
        policies = Policies()
        async with policies.listening(tmp_path):
            await _agent(tmp_path).enforce(POD)
            await _agent(tmp_path).forget(POD)
        assert policies.asked == [
            EnforceNpRequest(
                K8S_POD_NAME="web-0",
                K8S_POD_NAMESPACE="default",
                NETWORK_POLICY_MODE="strict",
                InterfaceCount=1,
            ),
            DeleteNpRequest(K8S_POD_NAME="web-0", K8S_POD_NAMESPACE="default"),
        ]

    story(tell)


def test_an_add_fails_when_nobody_is_there(tmp_path: Path) -> None:
    async def tell() -> None:
        with pytest.raises(CniError) as caught:
            await _agent(tmp_path, dial=0.1).enforce(POD)
        assert (caught.value.code, caught.value.message) == (999, "add cmd: failed to setup network policy")
        assert "No such file" in caught.value.details
        assert "default/web-0" in caught.value.details

    story(tell)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("success", "Success=false"), ("refuses", "INTERNAL: cannot attach"), ("silent", "did not answer")],
)
def test_an_add_fails_when_it_does_not_do_it_and_a_del_does_not(
    tmp_path: Path, fault: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell() -> None:
        policies = Policies()
        setattr(policies, fault, fault != "success")
        agent = _agent(tmp_path, answer=0.3 if fault == "silent" else 20.0)
        async with policies.listening(tmp_path):
            with pytest.raises(CniError, match="add cmd: failed to setup network policy") as caught:
                await agent.enforce(POD)
            assert words in caught.value.details
            await agent.forget(POD)
        assert len(policies.asked) == 2

    with caplog.at_level(logging.ERROR, "vpccni"):
        story(tell)
    assert words in caplog.text


def test_a_del_fails_when_nobody_is_there(tmp_path: Path) -> None:
    async def tell() -> None:
        with pytest.raises(CniError) as caught:
            await _agent(tmp_path, dial=0.1).forget(POD)
        assert caught.value.code == 999
        assert caught.value.message.startswith("del cmd: failed to connect to network policy agent: ")

    story(tell)


def test_one_that_is_just_restarting_is_waited_for(tmp_path: Path) -> None:
    async def tell() -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "npa.sock"))
        asking = asyncio.create_task(_agent(tmp_path).enforce(POD))
        await asyncio.sleep(0.1)  # whichever comes first, it must work
        (tmp_path / "npa.sock").unlink()
        policies = Policies()
        async with policies.listening(tmp_path):
            await asking
        assert len(policies.asked) == 1

    story(tell)


@pytest.mark.parametrize(("hangs_up", "words"), [(True, "it hung up"), (False, "says nothing")])
def test_one_that_takes_the_connection_and_no_more_is_not_there(
    tmp_path: Path, hangs_up: bool, words: str
) -> None:
    async def tell() -> None:
        taken: list[asyncio.StreamWriter] = []

        def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append(writer)
            if hangs_up:
                writer.close()

        async with await asyncio.start_unix_server(take, tmp_path / "npa.sock"):
            with pytest.raises(CniError, match="failed to connect to network policy agent") as caught:
                await _agent(tmp_path, dial=0.3).forget(POD)
            assert words in caught.value.message or hangs_up
            with pytest.raises(CniError, match="failed to setup network policy"):
                await _agent(tmp_path, dial=0.3).enforce(POD)
        assert (len(taken) > 2) is hangs_up  # and is tried again meanwhile
        for writer in taken:
            writer.close()

    story(tell)


def test_one_that_dies_in_the_middle_fails_the_add(tmp_path: Path) -> None:
    async def tell() -> None:
        async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(bytes.fromhex("000000 04 00 00000000"))  # HTTP/2's first word: no settings
            await reader.readuntil(b"web-0")
            writer.close()

        async with await asyncio.start_unix_server(die, tmp_path / "npa.sock"):
            with pytest.raises(CniError, match="add cmd: failed to setup network policy") as caught:
                await _agent(tmp_path).enforce(POD)
        assert "broke the call off" in caught.value.details

    story(tell)


def test_without_the_library_no_pod_runs_unrestricted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tell() -> None:
        monkeypatch.setitem(sys.modules, "vpccni.agent.rpc.npa", None)  # importing it fails
        with pytest.raises(CniError, match="failed to setup network policy") as caught:
            await _agent(tmp_path).enforce(POD)
        assert "vpccni.agent.rpc.npa" in caught.value.details
        with pytest.raises(CniError, match="failed to connect to network policy agent"):
            await _agent(tmp_path).forget(POD)

    story(tell)


def test_in_our_own_add_and_del(tmp_path: Path) -> None:
    async def tell() -> None:
        world, policies = World(), Policies()
        world.agent._policies = _agent(tmp_path, dial=0.1)
        async with policies.listening(tmp_path):
            await world.add("a")
            await world.delete("a")
            await world.delete("a")  # a sandbox that is not known (any more) is not asked about
            kinds = [type(request) for request in policies.asked]
            assert kinds == [EnforceNpRequest, DeleteNpRequest]
        with pytest.raises(CniError, match="add cmd: failed to setup network policy"):
            await world.add("b")
        assert len(world.host.wired) == 1  # no clean-up: that is the runtime's DEL
        with pytest.raises(CniError, match="del cmd: failed to connect to network policy agent"):
            await world.delete("b")
        await world.delete("b")
        assert world.host.wired == {}
        assert world.agent.ipam.numbers.assigned == 0

    story(tell)
