"""Network namespaces of the test's own: the test runs inside one that plays the node, the machine's is never touched."""

import ctypes
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

from vpccni.ipam.values import Eni, EniId, Pod, SubnetId
from vpccni.linux.names import host_veth
from vpccni.linux.rtnl import Netlink
from vpccni.linux.wiring import PodWiring

CLONE_NEWNET = 0x40000000
T = TypeVar("T")
libc = ctypes.CDLL(None, use_errno=True)

IPV4_EVENTS = 0x10 | 0x40 | 0x80
"""Multicast groups of IPv4 addresses, routes and rules."""
MAC, SECOND_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
ENI = Eni(
    EniId("eni-2"),
    SECOND_MAC,
    1,
    SubnetId("subnet-1"),
    IPv4Network("192.168.1.0/24"),
    IPv4Address("192.168.1.20"),
)


def enter(fd: int) -> None:
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def staying() -> Iterator[None]:
    """Come back to where we were."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        yield
    finally:
        enter(here)
        os.close(here)


def fresh() -> int:
    """A new network namespace, as a descriptor; the caller stays where it is."""
    with staying():
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


class Sandbox:
    """A pod's namespace."""

    def __init__(self) -> None:
        self.fd = fresh()
        self.netlink = self.call(Netlink)

    def call(self, fn: Callable[[], T]) -> T:
        with staying():
            enter(self.fd)
            return fn()

    def run(self, *command: str) -> str:
        return self.call(lambda: run(*command))

    def ip(self, *command: str) -> list[dict[str, Any]]:
        return self.call(lambda: ip(*command))

    def pings(self, address: str) -> bool:
        command = ["ping", "-c", "1", "-w", "1", address]
        return self.call(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0)

    def close(self) -> None:
        self.netlink.close()
        os.close(self.fd)


MakeSandbox = Callable[[], Sandbox]


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


def ip(*command: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = json.loads(run("ip", "-j", *command) or "[]")
    return parsed


def rules() -> list[str]:
    """`ip rule` without the kernel's own three."""
    return [" ".join(line.split()) for line in run("ip", "rule").splitlines()[1:-2]]


def state() -> tuple[str, str, str]:
    """All of IPv4 that pods touch in a namespace, to be compared; not whether a link has its carrier yet, which it gets by itself."""
    names = sorted(link["ifname"] for link in ip("link"))
    routes = run("ip", "-4", "route", "show", "table", "all").replace(" linkdown", "").replace(" dead", "")
    return run("ip", "rule"), routes, ",".join(names)


def wiring(number: int = 5, table: int = 254, mtu: int = 9001) -> PodWiring:
    pod = Pod("default", f"p{number}")
    return PodWiring(str(pod), host_veth("eni", pod), "eth0", IPv4Address("10.0.0.0") + number, table, mtu)
