from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from vpclab.aws import serve


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def ask(sock: socket.socket) -> bytes:
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"server" not in head.lower()
    body = await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return body


def test_it_serves_stops_and_leaves_signals_alone() -> None:
    async def story() -> None:
        before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
        serving = await serve(hello, listening)
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
        assert await ask(socket.create_connection(address)) == b"hello"
        idle = socket.create_connection(address)  # an open connection does not keep the server
        await asyncio.wait_for(serving.stop(), 5)
        await serving.stop()
        idle.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    asyncio.run(story())


def test_head_and_body_do_not_wait_for_each_other() -> None:
    """Accepted connections inherit it; without it an answer waits 40 ms for the client's delayed acknowledgement."""

    async def story() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        serving = await serve(hello, listening)
        assert listening.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await serving.stop()

    asyncio.run(story())


def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    async def story() -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        serving = await serve(hello, listening)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(tmp_path / "s"))
        reader, writer = await asyncio.open_unix_connection(sock=client)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        await serving.stop()

    asyncio.run(story())
