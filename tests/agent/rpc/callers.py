"""A gRPC client that is not ours (grpcio) on the agent's socket, and an agent with a pool behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar

import grpc.aio
from google.protobuf.message import Message

from tests.agent.test_loop import World
from vpccni.agent.rpc.backend import Annotator, NodeConfig
from vpccni.agent.rpc.rpc_pb2 import AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest
from vpccni.agent.rpc.serve import Rpc
from vpccni.ipam.targets import WarmTargets

Reply = TypeVar("Reply", bound=Message)
NODE = NodeConfig(
    instance_id="i-0123456789abcdef0",
    region="eu-north-1",
    node_address=IPv4Address("10.0.0.10"),
    vpc_cidrs=(IPv4Network("10.10.0.0/16"),),
)


class Caller:
    """The plugin, a probe, the network-policy agent."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def ask(self, method: str, request: Message, kind: type[Reply]) -> Reply:
        call = self.channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=kind.FromString,
        )
        answer = await call(request, timeout=20)
        assert isinstance(answer, kind)
        return answer

    async def add(self, name: str, **more: object) -> AddNetworkReply:
        fields = {
            "K8S_POD_NAME": name,
            "K8S_POD_NAMESPACE": "default",
            "K8S_POD_INFRA_CONTAINER_ID": name,
            "Netns": "/var/run/netns/x",
            "IfName": "eth0",
            "NetworkName": "aws-cni",
            "ContainerID": name,
            "ClientVersion": "v1.23.1",
        }
        request = AddNetworkRequest(**{**fields, **more})  # type: ignore[arg-type] # a test's fields
        return await self.ask("/rpc.CNIBackend/AddNetwork", request, AddNetworkReply)

    async def delete(self, name: str, **more: object) -> DelNetworkReply:
        fields = {
            "K8S_POD_NAME": name,
            "K8S_POD_NAMESPACE": "default",
            "K8S_POD_INFRA_CONTAINER_ID": name,
            "Reason": "PodDeleted",
            "IfName": "eth0",
            "NetworkName": "aws-cni",
            "ContainerID": name,
            "ClientVersion": "v1.23.1",
            "K8S_POD_UID": "1-2-3",
        }
        request = DelNetworkRequest(**{**fields, **more})  # type: ignore[arg-type] # a test's fields
        return await self.ask("/rpc.CNIBackend/DelNetwork", request, DelNetworkReply)


@asynccontextmanager
async def calling(path: Path) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield Caller(channel)


@asynccontextmanager
async def served(
    run_dir: Path,
    *,
    max_enis: int = 3,
    patience: float = 5.0,
    annotator: Annotator | None = None,
    targets: WarmTargets | None = None,
    **node: object,
) -> AsyncIterator[tuple[World, Caller]]:
    world = World(targets, max_enis=max_enis, patience=patience)
    rpc = Rpc(run_dir)
    await rpc.open()
    rpc.started(world.agent, replace(NODE, **node), annotator)  # type: ignore[arg-type] # a test's fields
    try:
        async with calling(run_dir / "ipamd.sock") as caller:
            yield world, caller
    finally:
        await rpc.close()
        await world.agent.owner.stop()


def story(tell: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await tell()

    asyncio.run(within())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)
