"""Network namespaces of the test's own: the test runs inside one, the machine's is never touched."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from vpccni.linux.rtnl import Netlink

CLONE_NEWNET = 0x40000000
T = TypeVar("T")
libc = ctypes.CDLL(None, use_errno=True)


def enter(fd: int) -> None:
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def fresh() -> int:
    """A new network namespace, as a descriptor; the caller stays where it is."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        enter(here)
        os.close(here)


class Namespace:
    """Another namespace than the one the test is in."""

    def __init__(self) -> None:
        self.fd = fresh()
        self.netlink = self.call(Netlink)

    def call(self, fn: Callable[[], T]) -> T:
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter(self.fd)
            return fn()
        finally:
            enter(here)
            os.close(here)

    def run(self, *command: str) -> str:
        return self.call(lambda: run(*command))

    def close(self) -> None:
        self.netlink.close()
        os.close(self.fd)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Netlink]:
    """The test is moved into a namespace that plays the node; a netlink socket of it."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    node = fresh()
    try:
        enter(node)
        run("ip", "link", "set", "lo", "up")
        with Netlink() as netlink:
            yield netlink
    finally:
        enter(before)
        os.close(before)
        os.close(node)


@pytest.fixture
def pods(host: Netlink) -> Iterator[Callable[[], Namespace]]:
    """Makes sandboxes."""
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace())
        return made[-1]

    yield make
    for namespace in made:
        namespace.close()
