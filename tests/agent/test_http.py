"""The HTTP server with real clients."""

import asyncio
import logging
import socket
import stat
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.agent.scenes import get, serving
from tests.agent.test_loop import story
from vpccni.agent import http
from vpccni.agent.http import Answer, HttpServer, listen


async def echo(path: str) -> Answer:
    if path == "/broken":
        raise RuntimeError("no such pool")
    return Answer(path.encode(), "text/plain")


def test_get_head_and_what_is_no_request_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        async with serving(echo) as port:
            got = await get(port, "/a%20b?query=1")
            assert (got.status, got.kind, got.body) == (200, "text/plain", b"/a b")
            assert (await get(port, "/x", "HEAD")).body == b""
            assert (await get(port, "/x", "DELETE")).status == HTTPStatus.METHOD_NOT_ALLOWED
            assert (await get(port, "/broken")).status == HTTPStatus.INTERNAL_SERVER_ERROR
            assert await raw(port, b"\x16\x03\x01 hello\r\n\r\n") == b"HTTP/1.1 400 Bad Request"
            assert await raw(port, b"GET / SPDY/3\r\n\r\n") == b"HTTP/1.1 400 Bad Request"
            assert await raw(port, b"GET http://[ HTTP/1.1\r\n\r\n") == b"HTTP/1.1 400 Bad Request"
            assert b" 431 " in await raw(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000)

    story(tell)
    assert "no such pool" in caplog.text


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return line.strip()


def test_one_that_says_nothing_is_cut_off_and_keeps_nobody_else_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "DEADLINE", 0.2)

    async def tell() -> None:
        async with serving(echo) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /")
            assert (await get(port, "/quick")).status == 200
            try:
                rest = await reader.read()
            except ConnectionResetError:
                rest = b""
            assert rest == b""
            writer.close()

    story(tell)


def test_too_many_at_a_time_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 1)

    async def tell() -> None:
        async with serving(echo) as port:
            _, idle = await asyncio.open_connection("127.0.0.1", port)
            idle.write(b"GET /")
            refused = False
            for _ in range(200):
                try:
                    await get(port, "/")
                except OSError:
                    refused = True
                    break
                await asyncio.sleep(0.01)
            idle.close()
            assert refused

    story(tell)


def test_an_address_that_is_taken_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE", 0.02)

    async def tell() -> None:
        taken = listen("127.0.0.1:0")
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}"
        server = HttpServer("introspection", address, echo)
        with caplog.at_level(logging.ERROR):
            server.start()
            while "trying again" not in caplog.text:
                await asyncio.sleep(0.01)
        taken.close()
        await server.ready()
        assert (await get(port, "/")).status == 200
        await server.stop()
        assert f"no introspection on {address}: " in caplog.text

    story(tell)


def test_a_server_that_never_got_its_address_can_be_stopped() -> None:
    async def tell() -> None:
        with listen("127.0.0.1:0") as taken:
            server = HttpServer("introspection", f"127.0.0.1:{taken.getsockname()[1]}", echo)
            server.start()
            await asyncio.sleep(0)
            await server.stop()

    story(tell)


def test_a_unix_socket_is_replaced_and_removed(tmp_path: Path) -> None:
    async def tell() -> None:
        path = tmp_path / "run" / "introspection.sock"
        listen(f"unix:{path}").close()  # of an agent that was killed
        server = HttpServer("introspection", f"unix:{path}", echo)
        server.start()
        await server.ready()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET /here HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"\r\n\r\n/here")
        writer.close()
        await server.stop()
        assert not path.exists()

    story(tell)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="in use"):
        listen(f"unix:{path}")
    assert path.read_text() == "data"


@pytest.mark.parametrize("address", ["localhost:0", "[::1]:0", ":0"])
def test_every_way_to_name_an_address(address: str) -> None:
    with listen(address) as listener:
        assert listener.getsockname()[1] > 0


def test_every_address_of_the_node_where_ipv6_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def without_ipv6(address: tuple[str, int], **options: object) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(99, "Cannot assign requested address")
        return create(address)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    with listen(":0") as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
