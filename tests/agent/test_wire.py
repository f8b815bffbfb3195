import asyncio
import os
import socket
from pathlib import Path

import pytest

from vpccni.agent.wire import PluginRequest, PluginServer, Reply, decode_request


def test_a_request_cut_short_or_with_the_wrong_descriptors_is_refused() -> None:
    with pytest.raises(ValueError, match="cut short"):
        decode_request(b"nl\0CNI_COMMAND=ADD", [3, 4])
    with pytest.raises(ValueError, match="cut short"):
        decode_request(b"nl\0CNI_COMMAND=ADD\0\0{}", [3])


def test_descriptors_are_given_out_by_letter() -> None:
    request = decode_request(b"snl\0CNI_COMMAND=ADD\0CNI_ARGS=a=b;c=d\0\0{}", [7, 8, 9])
    assert (request.sysctl_dir, request.netns, request.netlink) == (7, 8, 9)
    assert request.env == {"CNI_COMMAND": "ADD", "CNI_ARGS": "a=b;c=d"}
    assert request.stdin == b"{}"


def test_the_servers_socket_is_the_owners_alone_and_replaces_a_dead_one(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "run" / "cni.sock"

        async def handle(request: PluginRequest) -> Reply:
            return Reply(0, b"hello " + request.env["CNI_COMMAND"].encode())

        path.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        server = PluginServer(path, handle)
        server.start()
        assert path.stat().st_mode & 0o777 == 0o600
        answers = await asyncio.gather(*(_ask(path, b"\0CNI_COMMAND=%d\0\0" % n, ()) for n in range(20)))
        assert answers == [b"0\nhello %d" % n for n in range(20)]
        await server.stop()
        assert not path.exists()

    asyncio.run(story())


def test_who_only_looks_whether_anybody_listens_is_not_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async def handle(request: PluginRequest) -> Reply:
            raise AssertionError("nothing was asked")

        path = tmp_path / "cni.sock"
        server = PluginServer(path, handle)
        server.start()
        assert await _ask(path, b"", ()) == b""
        assert await _ask(path, b"garbage", ()) == b""
        await server.stop()

    asyncio.run(story())
    assert [record.message.partition(" on ")[0] for record in caplog.records] == ["refused what came"]


def test_garbage_gets_no_answer_and_leaks_no_descriptor(tmp_path: Path) -> None:
    async def story() -> None:
        async def handle(request: PluginRequest) -> Reply:
            raise AssertionError("garbage must not reach the agent")

        path = tmp_path / "cni.sock"
        server = PluginServer(path, handle)
        server.start()
        before = set(os.listdir("/proc/self/fd"))
        with Path("/dev/null").open() as null:
            assert await _ask(path, b"no request at all", (null.fileno(),)) == b""
        assert set(os.listdir("/proc/self/fd")) == before
        await server.stop()

    asyncio.run(story())


async def _ask(path: Path, request: bytes, fds: tuple[int, ...]) -> bytes:
    def talk() -> bytes:
        with socket.socket(socket.AF_UNIX) as plugin:
            plugin.connect(str(path))
            socket.send_fds(plugin, [request], list(fds))
            plugin.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := plugin.recv(65536):
                answer += chunk
            return answer

    return await asyncio.to_thread(talk)
