"""The socket, reflection, health, the node's facts, and a start or an end that is not smooth."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.empty_pb2 import Empty
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpclib.reflection.v1.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tests.agent.rpc.callers import NODE, Caller, calling, served, story, until
from tests.agent.test_loop import World
from vpccni.agent.rpc.behind import Behind, NotStartedError, Served
from vpccni.agent.rpc.rpc_pb2 import NetworkPolicyAgentConfigReply
from vpccni.agent.rpc.serve import Rpc
from vpccni.ipam.reasons import Reason, Refusal

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
NAMES = ("", "grpc.health.v1.aws-node", "liveness")


async def health(caller: Caller, name: str = "") -> int:
    request = HealthCheckRequest(service=name)
    return (await caller.ask("/grpc.health.v1.Health/Check", request, HealthCheckResponse)).status


def test_the_socket_is_made_with_its_directory_and_replaces_a_dead_one(tmp_path: Path) -> None:
    async def tell() -> None:
        run_dir = tmp_path / "aws-node"
        old = os.umask(0o022)
        try:
            async with served(run_dir):
                mode = (run_dir / "ipamd.sock").stat().st_mode
                assert stat.S_ISSOCK(mode)
                assert stat.S_IMODE(mode) == 0o660
                assert stat.S_IMODE(run_dir.stat().st_mode) == 0o755
            assert not (run_dir / "ipamd.sock").exists()
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(run_dir / "ipamd.sock"))
            async with served(run_dir) as (_, caller):
                assert (await caller.add("a")).Success
        finally:
            os.umask(old)

    story(tell)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services_and_describes_them(tmp_path: Path, version: str) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (_, caller):
            call = caller.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=ServerReflectionRequest.SerializeToString,
                response_deserializer=ServerReflectionResponse.FromString,
            )(
                iter(
                    [
                        ServerReflectionRequest(list_services=""),
                        ServerReflectionRequest(file_containing_symbol="rpc.CNIBackend"),
                    ]
                )
            )
            listed, described = [answer async for answer in call]
            names = {service.name for service in listed.list_services_response.service}
            assert names >= {"rpc.CNIBackend", "rpc.ConfigServerBackend", "grpc.health.v1.Health"}
            [file] = described.file_descriptor_response.file_descriptor_proto
            assert FileDescriptorProto.FromString(file).package == "rpc"

    story(tell)


def test_what_is_no_http2_is_hung_up_on_and_others_are_served(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (_, caller):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "ipamd.sock")
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
            async with asyncio.timeout(20):
                while await reader.read(4096):
                    pass
            writer.close()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await caller.ask("/rpc.CNIBackend/Nothing", Empty(), Empty)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert (await caller.add("a")).Success

    story(tell)


def test_a_message_that_is_none_is_an_error_and_others_are_served(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path) as (_, caller):
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = caller.channel.unary_unary(
                "/rpc.CNIBackend/AddNetwork"
            )
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"\x0a\xff", timeout=20)  # a text longer than the message
            assert (await caller.add("a")).Success

    story(tell)


def test_what_the_network_policy_agent_asks_at_its_start(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, network_policy_mode="standard") as (_, caller):
            method = "/rpc.ConfigServerBackend/GetNetworkPolicyConfigs"
            reply = await caller.ask(method, Empty(), NetworkPolicyAgentConfigReply)
            assert reply == NetworkPolicyAgentConfigReply(
                NetworkPolicyMode="standard",
                MultiNICEnabled=False,
                NodeIPv4="10.0.0.10",
                NodeIPv6="",
                InstanceID="i-0123456789abcdef0",
                Region="eu-north-1",
            )

    story(tell)


def test_health_is_not_serving_before_the_start_and_while_stopping_but_alive_all_the_time(
    tmp_path: Path,
) -> None:
    async def tell() -> None:
        rpc = Rpc(tmp_path)
        await rpc.open()
        async with calling(tmp_path / "ipamd.sock") as caller:
            assert [await health(caller, name) for name in NAMES] == [NOT_SERVING, NOT_SERVING, SERVING]
            rpc.started(World().agent, NODE)
            assert [await health(caller, name) for name in NAMES] == [SERVING, SERVING, SERVING]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await health(caller, "nobody")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            watch = caller.channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )(HealthCheckRequest())
            assert await watch.read() == HealthCheckResponse(status=SERVING)
            rpc.stopping()
            assert await watch.read() == HealthCheckResponse(status=NOT_SERVING)
            assert [await health(caller, name) for name in NAMES] == [NOT_SERVING, NOT_SERVING, SERVING]
            assert (await caller.add("a")).Success
        await rpc.close()

    story(tell)


def test_health_is_serving_with_a_full_pool_and_an_ec2_that_refuses(tmp_path: Path) -> None:
    async def tell() -> None:
        async with served(tmp_path, max_enis=1) as (world, caller):
            world.ec2.refusal = Refusal(Reason.SUBNET_FULL, "subnet-1")
            assert not (await caller.add("a")).Success
            assert [await health(caller, name) for name in NAMES] == [SERVING] * 3

    story(tell)


def test_a_call_before_the_start_waits_for_it(tmp_path: Path) -> None:
    async def tell() -> None:
        rpc = Rpc(tmp_path)
        await rpc.open()
        async with calling(tmp_path / "ipamd.sock") as caller:
            add = asyncio.create_task(caller.add("a"))
            assert await health(caller) == NOT_SERVING  # the server has work to do, and does it
            assert not add.done()
            rpc.started(World().agent, NODE)
            assert (await add).Success
        await rpc.close()

    story(tell)


def test_the_socket_comes_with_the_start_or_when_that_takes_long(tmp_path: Path) -> None:
    async def tell() -> None:
        for number, slow in enumerate([1000.0, 0.01]):
            run_dir = tmp_path / str(number)
            rpc = Rpc(run_dir)
            rpc.start(slow)
            assert not run_dir.exists()
            if slow > 1:
                rpc.started(World().agent, NODE)
            await until((run_dir / "ipamd.sock").exists)
            async with calling(run_dir / "ipamd.sock") as caller:
                assert await health(caller) == (SERVING if slow > 1 else NOT_SERVING)
            await rpc.close()
        never = Rpc(tmp_path / "never")
        never.start(1000.0)
        await never.close()
        assert not (tmp_path / "never").exists()

    story(tell)


def test_a_start_that_takes_too_long_is_as_if_nobody_were_there(tmp_path: Path) -> None:
    async def tell() -> None:
        rpc = Rpc(tmp_path, patience=0.05)
        await rpc.open()
        async with calling(tmp_path / "ipamd.sock") as caller:
            for call in (caller.add("a"), caller.delete("a")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                assert "still starting" in (caught.value.details() or "")
        await rpc.close()

    story(tell)


def test_the_nodes_facts_may_change(tmp_path: Path) -> None:
    async def tell() -> None:
        behind = Behind(patience=0.05)
        with pytest.raises(NotStartedError):
            await behind.served()
        first, second = Served(World().agent, NODE), Served(World().agent, NODE)
        behind.started(first)
        behind.started(second)
        assert await behind.served() is second

    story(tell)


def test_a_call_under_way_is_answered_before_the_agent_stops(tmp_path: Path) -> None:
    async def tell() -> None:
        world = World()
        world.ec2.hold = asyncio.Event()
        rpc = Rpc(tmp_path)
        await rpc.open()
        rpc.started(world.agent, NODE)
        async with calling(tmp_path / "ipamd.sock") as caller:
            add = asyncio.create_task(caller.add("a"))
            await until(lambda: world.ec2.asked != [])
            closing = asyncio.create_task(rpc.close())
            world.ec2.hold.set()
            assert (await add).Success
            await closing
        await world.agent.owner.stop()

    story(tell)


def test_without_the_library_there_is_a_sentence_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell() -> None:
        monkeypatch.setitem(sys.modules, "vpccni.agent.rpc.server", None)  # importing it fails
        rpc = Rpc(tmp_path)
        await rpc.open()
        rpc.started(World().agent, NODE)
        await rpc.close()

    with caplog.at_level(logging.ERROR):
        story(tell)
    assert "install vpc-cni with its dependencies (grpclib, protobuf)" in caplog.text
    assert "pods of our own plugin are served" in caplog.text
    assert not (tmp_path / "ipamd.sock").exists()


def test_a_place_where_nobody_can_listen_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        file = tmp_path / "file"
        file.write_text("not a directory")
        rpc = Rpc(file)
        await rpc.open()
        await rpc.close()

    with caplog.at_level(logging.ERROR):
        story(tell)
    assert "cannot listen on" in caplog.text


def test_the_agent_is_loaded_without_the_library() -> None:
    script = (
        "import sys, vpccni.agent.main, vpccni.agent.rpc.serve, vpccni.agent.rpc.network_policy;"
        "print([name for name in sys.modules if name.split('.')[0] in {'grpclib', 'h2', 'google'}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
