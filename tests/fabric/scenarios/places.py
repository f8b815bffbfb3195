"""Corners of the lab: what is machine-wide elsewhere is a node's own here, and the machine gets nothing of it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vpclab.fabric import CommandError, Place, node_place

ROOT = Path(sys.argv[1])
AWKWARD = Path("/var/lib/a,b:c")
"""Below what a node overlays, with what separates overlay options in its name."""
LACKING = [path for path in ("/etc/cni", "/opt/cni", "/var/lib/cni") if not Path(path).exists()]
OWN = (
    "/etc/cni/net.d/10-aws.conflist",
    "/opt/cni/bin/aws-cni",
    "/var/run/aws-node/ipam.json",
    "/var/log/aws-routed-eni/ipamd.log",
    "/run/netns/cni-1",
    "/run/xtables.lock",
    "/var/lib/cni/results/one",
    "/etc/hosts",
)


def write(name: str) -> None:
    for file in OWN:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(name)


def read() -> set[str]:
    return {Path(file).read_text() for file in OWN}


async def nodes_are_machines(one: Place, other: Place) -> None:
    hosts = Path("/etc/hosts").read_text()
    for node in (one, other):
        assert node.name in await node.call(Path("/etc/hosts").read_text)
        await node.call(write, node.name)
    for node in (one, other):
        assert await node.call(read) == {node.name}
        assert (await node.run(("hostname",))).stdout == f"{node.name}\n"
        assert await node.call(Path("/etc/hostname").read_text) == f"{node.name}\n"
        assert await node.call(os.listdir, "/sys/class/net") == ["lo"]
        assert await node.call(os.listdir, "/sys/fs/cgroup") == os.listdir("/sys/fs/cgroup")
    assert Path("/etc/hosts").read_text() == hosts
    assert not [path for path in LACKING if Path(path).exists()]
    # The lab reads a node's files without going there.
    assert (ROOT / "node-1/var/log/aws-routed-eni/ipamd.log").read_text() == "node-1"
    # Everything that is started inside is inside: threads at once, processes, sockets.
    assert await one.call(os.readlink, "/proc/thread-self/ns/net") != os.readlink("/proc/self/ns/net")
    meet = asyncio.Event()
    loop = asyncio.get_running_loop()
    together = asyncio.Barrier(2)

    def wait() -> None:
        asyncio.run_coroutine_threadsafe(together.wait(), loop).result(10)
        loop.call_soon_threadsafe(meet.set)

    await asyncio.gather(one.call(wait), one.call(wait))
    assert meet.is_set()


async def commands_tell_what_went_wrong(place: Place) -> None:
    done = await place.run(
        ("sh", "-c", "cat; echo bad >&2; exit 3"), input="in", check=False, env={"PATH": "/bin"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "in", "bad\n")
    with pytest.raises(
        CommandError, match=r"in node-1: sh -c 'echo bad >&2; exit 3' failed with status 3: bad"
    ):
        await place.run(("sh", "-c", "echo bad >&2; exit 3"))
    with pytest.raises(CommandError, match=r"in node-1: no-such-command could not start \(No such file"):
        await place.run(("no-such-command",))
    with pytest.raises(CommandError, match="could not start"):
        place.spawn(("no-such-command",))
    with pytest.raises(CommandError, match=r"at 'link set e7 up': Cannot find device"):
        await place.ip(("link set lo up", "link set e7 up"))
    with pytest.raises(CommandError, match=r"at 'add chain ip none c': .*No such file"):
        await place.nft("add table ip a\nadd chain ip none c\n")
    assert (await place.run(("nft", "list", "tables"))).stdout == "", "a ruleset is one transaction"
    # Too long: ended with all that it started. What is left in the background holds nobody up.
    with pytest.raises(CommandError, match=r"took longer than 0.1 s and was killed"):
        await place.run(("sh", "-c", "sleep 77 & wait"), timeout=0.1)
    began = time.monotonic()
    await place.run(("sh", "-c", "sleep 78 & true"))
    assert time.monotonic() - began < 20
    task = asyncio.create_task(place.run(("sleep", "79")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while "sleep 78 " not in running():  # its shell was forked, and may not have come to the sleep yet
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.01)
    assert not {"sleep 77 ", "sleep 79 "} & running()


def running() -> set[str]:
    """The command lines of all processes."""
    found = set[str]()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.add(path.read_text().replace("\0", " "))
    return found


async def sockets_belong_to_the_place(one: Place, other: Place) -> None:
    for place in (one, other):
        await place.ip(("addr add 10.9.9.9/32 dev lo",))
    first = await one.listen("10.9.9.9", 80)
    second = await other.listen("10.9.9.9", 80)  # the same address in another world
    loop = asyncio.get_running_loop()
    for place, bound in ((one, first), (other, second)):
        client = await place.call(socket.create_connection, ("10.9.9.9", 80))
        accepted, _ = await loop.sock_accept(bound)
        await loop.sock_sendall(accepted, place.name.encode())
        assert client.recv(100).decode() == place.name
        for used in (client, accepted, bound):
            used.close()
    datagram = await one.listen("10.9.9.9", 53, socket.SOCK_DGRAM)
    assert datagram.type == socket.SOCK_DGRAM
    datagram.close()
    with pytest.raises(OSError, match="Cannot assign requested address"):
        await one.listen("10.9.9.8", 80)


async def a_nodes_root_lies_anywhere() -> None:
    AWKWARD.mkdir()  # in the lab's own /var/lib: see main
    node = node_place("node-3", AWKWARD)
    await node.call(write, "node-3")
    assert await node.call(read) == {"node-3"}
    for file in ("run/aws-node/ipam.json", "var/log/aws-routed-eni/ipamd.log", "opt/cni/bin/aws-cni"):
        assert (AWKWARD / file).read_text() == "node-3"
    node.close()


async def main() -> None:
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", "/var/lib"), check=True)
    await a_nodes_root_lies_anywhere()
    one, other = (node_place(f"node-{n}", ROOT / f"node-{n}") for n in (1, 2))
    await nodes_are_machines(one, other)
    await commands_tell_what_went_wrong(one)
    await sockets_belong_to_the_place(one, other)
    if sys.argv[2:] == ["wait"]:
        # Somebody outside wants to come in: see test_places.py.
        held = one.namespaces
        print(held.net, held.mount, held.uts, flush=True)  # noqa: T201 - to whoever started it
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for place in (one, other):
        place.close()
        place.close()
    assert not [name for name in os.listdir("/proc/self/fd") if "net:" in _target(name)]


def _target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


asyncio.run(main())
