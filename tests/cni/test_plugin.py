"""The real plugin as a process, against the real socket server."""

import asyncio
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vpccni.agent.wire import PluginRequest, PluginServer, Reply, decode_request

InstallAt = Callable[[Path], Path]
CONF = b'{"cniVersion":"0.4.0","name":"aws-cni","type":"aws-cni"}'
ENV = {
    "CNI_CONTAINERID": "abc123",
    "CNI_NETNS": "/var/run/netns/none",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
    "CNI_ARGS": "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
}


def run(
    plugin: Path, command: str | None, stdin: bytes = CONF, **env: str
) -> subprocess.CompletedProcess[bytes]:
    told = {**ENV, **env, **({"CNI_COMMAND": command} if command else {})}
    return subprocess.run(
        [plugin], env={k: v for k, v in told.items() if v}, input=stdin, capture_output=True, timeout=30
    )


def run_against(
    run_dir: Path,
    plugin: Path,
    handler: Callable[[PluginRequest], Reply],
    command: str,
    stdin: bytes = CONF,
    **env: str,
) -> subprocess.CompletedProcess[bytes]:
    async def story() -> subprocess.CompletedProcess[bytes]:
        async def handle(request: PluginRequest) -> Reply:
            return handler(request)

        server = PluginServer(run_dir / "cni.sock", handle)
        server.start()
        try:
            return await asyncio.to_thread(lambda: run(plugin, command, stdin, **env))
        finally:
            await server.stop()

    return asyncio.run(story())


def test_version_needs_no_agent(tmp_path: Path, plugin_at: InstallAt) -> None:
    done = run(plugin_at(tmp_path), "VERSION")
    assert done.returncode == 0
    assert json.loads(done.stdout)["supportedVersions"] == ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]


def test_run_by_hand_it_says_what_it_is(tmp_path: Path, plugin_at: InstallAt) -> None:
    done = run(plugin_at(tmp_path), None)
    assert done.returncode == 0
    assert done.stdout == b""
    assert done.stderr.startswith(b"AWS CNI v")


def test_add_without_an_agent_asks_to_try_again_and_says_where_to_look(
    tmp_path: Path, plugin_at: InstallAt
) -> None:
    (tmp_path / "plugin.log").touch()
    done = run(plugin_at(tmp_path), "ADD", CNI_NETNS="/proc/1/ns/mnt")
    assert done.returncode == 1
    assert json.loads(done.stdout)["code"] == 8  # not a network namespace at all
    line = json.loads((tmp_path / "plugin.log").read_text())
    assert line["level"] == "error"
    assert set(line) == {"level", "ts", "caller", "msg"}
    assert abs(datetime.fromisoformat(line["ts"]) - datetime.now(UTC)) < timedelta(minutes=5)


def test_status_without_an_agent_is_not_available(tmp_path: Path, plugin_at: InstallAt) -> None:
    done = run(plugin_at(tmp_path), "STATUS")
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert answer["code"] == 50
    assert "aws-node" in answer["details"]


def test_del_without_an_agent_is_noted_whole_and_succeeds(tmp_path: Path, plugin_at: InstallAt) -> None:
    plugin = plugin_at(tmp_path)
    for _ in range(2):  # the runtime says DEL twice
        done = run(plugin, "DEL")
        assert (done.returncode, done.stdout) == (0, b"")
    [note] = (tmp_path / "pending-del").iterdir()
    request = decode_request(note.read_bytes(), [])
    assert request.env["CNI_CONTAINERID"] == "abc123"
    assert request.env["CNI_COMMAND"] == "DEL"
    assert request.stdin == CONF


def test_an_agent_that_dies_before_it_answers_is_as_one_that_is_away(
    tmp_path: Path, plugin_at: InstallAt
) -> None:

    plugin = plugin_at(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "cni.sock"))
    listener.listen()
    child = subprocess.Popen(
        [plugin], env={**ENV, "CNI_COMMAND": "DEL"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with listener, child:
        assert child.stdin is not None
        child.stdin.write(CONF)
        child.stdin.close()
        connection, _ = listener.accept()
        connection.close()
    assert child.returncode == 0
    assert len(list((tmp_path / "pending-del").iterdir())) == 1


@pytest.mark.parametrize(
    ("command", "env", "words"),
    [
        ("ADD", {"CNI_NETNS": ""}, "[CNI_NETNS] missing"),
        ("DEL", {"CNI_CONTAINERID": "", "CNI_IFNAME": ""}, "[CNI_CONTAINERID,CNI_IFNAME] missing"),
        ("JUMP", {}, "unknown CNI_COMMAND: JUMP"),
    ],
)
def test_a_bad_environment_is_code_4(
    tmp_path: Path, plugin_at: InstallAt, command: str, env: dict[str, str], words: str
) -> None:
    done = run(plugin_at(tmp_path), command, CONF, **env)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["code"]) == (1, 4)
    assert words in answer["msg"]


def test_what_the_agent_says_is_printed_as_it_is(tmp_path: Path, plugin_at: InstallAt) -> None:
    seen: list[PluginRequest] = []

    def handler(request: PluginRequest) -> Reply:
        seen.append(request)
        return Reply(1, b"x" * 300_000)

    stdin = CONF + b" " * 500_000  # more than a socket takes at once, both ways
    done = run_against(tmp_path, plugin_at(tmp_path), handler, "DEL", stdin)
    assert done.returncode == 1
    assert done.stdout == b"x" * 300_000
    assert seen[0].stdin == stdin
    assert seen[0].env["CNI_ARGS"] == ENV["CNI_ARGS"]
    assert seen[0].netns is None


@pytest.mark.kernel
def test_add_passes_the_sandbox_as_descriptors(tmp_path: Path, plugin_at: InstallAt) -> None:

    holder = subprocess.Popen(["unshare", "--net", "sleep", "30"])
    try:
        own = os.stat("/proc/self/ns/net")
        path = f"/proc/{holder.pid}/ns/net"
        deadline = time.monotonic() + 20
        while os.stat(path).st_ino == own.st_ino:
            assert time.monotonic() < deadline, "unshare did not come to it"
            time.sleep(0.01)
        inode = os.stat(path).st_ino
        seen: dict[str, object] = {}

        def handler(request: PluginRequest) -> Reply:
            assert request.netns is not None
            assert request.netlink is not None
            seen["netns"] = os.fstat(request.netns).st_ino
            with socket.socket(fileno=os.dup(request.netlink)) as netlink:
                seen["family"] = netlink.family
                # RTM_GETLINK dump: a fresh namespace has just lo
                netlink.send(struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0))
                seen["links"] = [m for m in _messages(netlink.recv(65536)) if m == 16]
            return Reply(0, b"{}")

        done = run_against(tmp_path, plugin_at(tmp_path), handler, "ADD", CNI_NETNS=path)
        assert (done.returncode, done.stdout) == (0, b"{}")
        assert seen == {"netns": inode, "family": socket.AF_NETLINK, "links": [16]}
        gone = run(plugin_at(tmp_path), "ADD", CNI_NETNS=path)
        answer = json.loads(gone.stdout)
        assert (gone.returncode, answer["code"]) == (1, 11)
        assert "AgentUnreachable" in answer["msg"]
        assert "ipamd.log" in answer["details"]
        own_ns = run(plugin_at(tmp_path), "ADD", CNI_NETNS="/proc/self/ns/net")
        assert json.loads(own_ns.stdout)["code"] == 8
    finally:
        holder.kill()
        holder.wait()


def _messages(data: bytes) -> list[int]:
    kinds = []
    while len(data) >= 16:
        length, kind = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:6], "little")
        kinds.append(kind)
        data = data[(length + 3) & ~3 :]
    return kinds
