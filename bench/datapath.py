"""Pod to pod across two nodes: native VPC routing, beside VXLAN between the same nodes, beside node to node without pods.

    python bench/datapath.py [ROUNDS]          # as root; in namespaces of its own

The three turn by turn in each round, over the same wires and the same VPC's router, so that a noisy machine is noisy for all;
what counts are the ratios. One TCP stream, 64-byte UDP as delivered, and ping's average; MTU 9001, and 8951 in the tunnel.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.linux.namespaces import Sandbox, wiring

from vpccni.linux.pod import wire

ROUNDS, SECONDS, PINGS = 6, 1.0, 300
NODES = ("10.0.0.10", "10.0.0.20")
PODS = ("10.0.0.101", "10.0.0.102")
OVERLAY = ("10.88.1.2", "10.88.2.2")
VXLAN_MTU = 8951
RECEIVE = """
import socket, sys, time
kind = socket.SOCK_STREAM if sys.argv[2] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET, kind)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 5000))
if kind == socket.SOCK_STREAM:
    s.listen()
else:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
print("ready", flush=True)
if kind == socket.SOCK_STREAM:
    s, _ = s.accept()
buffer, got, first = bytearray(1 << 20), 0, None
s.settimeout(1.0)
try:
    while n := s.recv_into(buffer):
        first = first or time.monotonic()
        last = time.monotonic()
        got += n
except TimeoutError:
    pass
print(got / max(last - first, 1e-9), flush=True)
"""
SEND = """
import socket, sys, time
kind = socket.SOCK_STREAM if sys.argv[2] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET, kind)
s.connect((sys.argv[1], 5000))
data = bytes(1 << 20 if kind == socket.SOCK_STREAM else 64)
send, until = s.sendall if kind == socket.SOCK_STREAM else s.send, time.monotonic() + float(sys.argv[3])
while time.monotonic() < until:
    for _ in range(1 if kind == socket.SOCK_STREAM else 50):
        send(data)
"""


@dataclass(frozen=True)
class Path2:
    """Two ends that talk."""

    name: str
    sender: Sandbox
    receiver: Sandbox
    address: str


class World:
    """A router, two nodes with an ENI each, a pod of ours and one of the overlay on each."""

    def __init__(self) -> None:
        self.router, self.first, self.second = Sandbox(), Sandbox(), Sandbox()
        self.router.run("ip", "link", "set", "lo", "up")
        self.router.call(lambda: _write("ip_forward", "1"))
        for number, node in enumerate((self.first, self.second)):
            self._connect(number, node)
        pods = [self._pod(number, node) for number, node in enumerate((self.first, self.second))]
        self.has_vxlan = self._has_vxlan()
        self.paths = [
            Path2("native", pods[0], pods[1], PODS[1]),
            Path2("host to host", self.first, self.second, NODES[1]),
        ]
        if self.has_vxlan:
            tunnelled = [self._tunnel(number, node) for number, node in enumerate((self.first, self.second))]
            self.paths.insert(1, Path2("VXLAN", tunnelled[0], tunnelled[1], OVERLAY[1]))
        self.all = [self.router, self.first, self.second, *pods]

    def _connect(self, number: int, node: Sandbox) -> None:
        far = f"r{number}"
        self.router.run("ip", "link", "add", far, "mtu", "9001", "type", "veth", "peer", "name", "eth0")
        self.router.run(
            "ip", "link", "set", "eth0", "mtu", "9001", "netns", f"/proc/{os.getpid()}/fd/{node.fd}"
        )
        self.router.run("ip", "link", "set", far, "up")
        self.router.call(lambda: _write(f"conf/{far}/proxy_arp", "1"))
        for address in (NODES[number], PODS[number]):
            self.router.run("ip", "route", "add", address, "via", "169.254.0.1", "dev", far, "onlink")
        mac = node.ip("link", "show", "eth0")[0]["address"]
        self.router.run("ip", "neigh", "add", "169.254.0.1", "lladdr", mac, "dev", far)
        node.call(lambda: _write("ip_forward", "1"))
        node.run("ip", "link", "set", "lo", "up")
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "addr", "add", f"{NODES[number]}/32", "dev", "eth0")
        node.run("ip", "route", "add", "default", "dev", "eth0")
        gateway = self.router.ip("link", "show", far)[0]["address"]
        for other in (NODES[1 - number], PODS[1 - number]):
            node.run("ip", "neigh", "add", other, "lladdr", gateway, "dev", "eth0")

    def _pod(self, number: int, node: Sandbox) -> Sandbox:
        pod = Sandbox()
        want = replace(wiring(number), address=IPv4Address(PODS[number]))
        node.call(lambda: wire(node.netlink, pod.netlink, pod.fd, want))
        return pod

    def _has_vxlan(self) -> bool:
        made = self.first.call(
            lambda: subprocess.run(
                ["ip", "link", "add", "probe", "type", "vxlan", "id", "9", "dstport", "8473"],
                capture_output=True,
                check=False,
            )
        )
        if made.returncode == 0:
            self.first.run("ip", "link", "del", "probe")
        return made.returncode == 0

    def _tunnel(self, number: int, node: Sandbox) -> Sandbox:
        """As overlays do: a device to the other node, a route to its pods' network by that."""
        pod, own, other = Sandbox(), f"10.88.{number + 1}", f"10.88.{2 - number}"
        vxlan = ["type", "vxlan", "id", "7", "dstport", "8472", "local", NODES[number], "nolearning"]
        node.run("ip", "link", "add", "vx", "address", f"02:88:00:00:00:0{number + 1}", *vxlan)
        node.run("ip", "link", "set", "vx", "mtu", str(VXLAN_MTU), "up")
        node.run("ip", "addr", "add", f"{own}.0/32", "dev", "vx")
        node.run("ip", "route", "add", f"{other}.0/24", "via", f"{other}.0", "dev", "vx", "onlink")
        there = f"02:88:00:00:00:0{2 - number}"
        node.run("ip", "neigh", "add", f"{other}.0", "lladdr", there, "dev", "vx")
        node.run("bridge", "fdb", "append", there, "dev", "vx", "dst", NODES[1 - number])
        want = replace(
            wiring(50 + number), address=IPv4Address(OVERLAY[number]), mtu=VXLAN_MTU, host_veth="overlay0"
        )
        node.call(lambda: wire(node.netlink, pod.netlink, pod.fd, want))
        return pod

    def close(self) -> None:
        for place in {
            id(each): each for path in self.paths for each in (path.sender, path.receiver)
        }.values():
            place.close()
        self.router.close()


def _write(name: str, value: str) -> None:
    Path("/proc/sys/net/ipv4", name).write_text(value)


def stream(path: Path2, kind: str) -> float:
    """Bytes a second that arrive."""
    command = [sys.executable, "-c", RECEIVE, path.address, kind]
    receiver = path.receiver.call(lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == "ready\n"
    path.sender.run(sys.executable, "-c", SEND, path.address, kind, str(SECONDS))
    return float(receiver.communicate(timeout=30)[0])


def latency(path: Path2) -> float:
    """Milliseconds there and back, ping's average."""
    said = path.sender.run("ping", "-q", "-i", "0.002", "-c", str(PINGS), path.address)
    return float(said.split("min/avg/max")[1].split("=")[1].split("/")[1])


MEASURES: dict[str, tuple[Callable[[Path2], float], float]] = {
    "TCP, Gbit/s": (lambda path: stream(path, "tcp"), 8 / 1e9),
    "UDP of 64 B, kpackets/s": (lambda path: stream(path, "udp"), 1 / 64 / 1e3),
    "ping, ms": (latency, 1.0),
}


def main(rounds: int) -> None:
    world = World()
    try:
        if not world.has_vxlan:
            print("this kernel has no VXLAN: native and host to host only")
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for what, (measure, unit) in MEASURES.items():
                for path in world.paths:
                    found.setdefault((what, path.name), []).append(measure(path) * unit)
    finally:
        world.close()
    print(f"medians of {rounds} rounds, turn by turn; in brackets lowest and highest")
    print(f"{'':26}{'':14}{'median':>10}{'':>18}{'of native':>11}")
    for what in MEASURES:
        native = statistics.median(found[what, "native"])
        for path in world.paths:
            values = found[what, path.name]
            middle, span = statistics.median(values), f"({min(values):.3g} to {max(values):.3g})"
            print(f"{what:26}{path.name:14}{middle:>10.3g}{span:>18}{middle / native:>11.2f}")


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("run it as root: it makes network namespaces")
    main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)
