"""What pods cost those that come after them: time of an ADD's wiring, and packets a second, with 10 to 1,000 on the node.

    python bench/node_scale.py [PODS...]          # as root; in namespaces of its own

Both layouts of the pods' rules (VPC_CNI_RULES) on one node, exchanged for each other between the rounds while the pods run,
so that a noisy machine is noisy for both. Packets are 64 bytes of UDP from a pod on a secondary ENI to a host beyond the VPC's
router; one process sends, and what arrives is counted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.linux.namespaces import Sandbox, enter, fresh, run, wiring
from tests.linux.vpc import PEER, Vpc

from vpccni.linux.graveyard import reap
from vpccni.linux.layout import RulesLayout, mask_beside
from vpccni.linux.leftovers import keep_pods, leftovers, remove_leftovers
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import PodWiring

SIZES = (10, 100, 500, 1_000)
ROUNDS, ADDS, SECONDS = 5, 20, 1.0
FIRST = 16
"""The pods' addresses are 10.0.0.16 and up, apart from the node's; the one that sends has the first."""
SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 9))
data, until = bytes(64), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    for _ in range(100):
        s.send(data)
"""


class Node:
    """The node's namespace, with pods and one of the layouts."""

    def __init__(self, host: Netlink) -> None:
        self.host = host
        self.vpc = Vpc(host)
        self.sink = self.vpc.router.call(_sink)
        self.sources: Sources | None = None
        self.live: list[PodWiring] = []
        self.pods: list[Sandbox] = []

    def grow(self, size: int) -> None:
        while len(self.pods) < size:
            self.add()
        self.vpc.hold(str(self.live[0].address), 1)

    def add(self) -> float:
        """Milliseconds that one more pod took."""
        pod, want = Sandbox(), wiring(FIRST + len(self.pods), table=2)
        self.pods.append(pod)
        self.live.append(want)
        began = time.perf_counter()
        wire(self.host, pod.netlink, pod.fd, want, None, self.sources)
        return (time.perf_counter() - began) * 1000

    def remove(self) -> float:
        """Milliseconds that the last pod's removal took, its link's excepted."""
        pod, want = self.pods.pop(), self.live.pop()
        began = time.perf_counter()
        unwire(self.host, want.address, want.host_veth, want.table, self.sources)
        took = (time.perf_counter() - began) * 1000
        pod.close()
        return took

    def lay_out(self, layout: RulesLayout) -> None:
        before = self.sources
        self.sources = Sources(mask_beside(0x80)) if layout is RulesLayout.COMPACT else None
        keep_pods(self.host, self.live, self.sources)
        remove_leftovers(self.host, leftovers(self.host, "eni", self.live, sources=self.sources))
        if before is not None:
            before.close()

    def packets(self) -> float:
        """Thousands a second that arrive."""
        before = self._arrived()
        self.pods[0].run(sys.executable, "-c", SENDER, PEER, str(SECONDS))
        return (self._arrived() - before) / SECONDS / 1000

    def _arrived(self) -> int:
        counted = self.vpc.router.run("cat", "/proc/thread-self/net/dev")
        return int(next(line for line in counted.splitlines() if "r1:" in line).split()[2])

    def close(self) -> None:
        for pod in self.pods:
            pod.close()
        os.close(self.sink)
        self.vpc.close()


def _sink() -> int:
    """Somebody must have the port, or each packet would be answered with an error."""
    import socket  # noqa: PLC0415

    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((PEER, 9))
    return sock.detach()


@contextmanager
def node() -> Iterator[Node]:
    namespace = fresh()
    enter(namespace)
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as scratch, Netlink() as host:
        os.environ["XTABLES_LOCKFILE"] = f"{scratch}/xtables.lock"
        made = Node(host)
        try:
            yield made
        finally:
            made.close()


def main(sizes: tuple[int, ...]) -> None:
    print(f"medians of {ROUNDS} rounds, turn by turn; compact as a multiple of compatible")
    print(f"{'pods':>6}{'layout':>12}{'ADD, ms':>10}{'DEL, ms':>10}{'kpackets/s':>12}{'':>8}")
    with node() as made:
        for size in sizes:
            made.grow(size)
            rows: dict[RulesLayout, list[tuple[float, float, float]]] = {each: [] for each in RulesLayout}
            for _ in range(ROUNDS):
                for layout in RulesLayout:
                    made.lay_out(layout)
                    added = statistics.median(made.add() for _ in range(ADDS))
                    removed = statistics.median(made.remove() for _ in range(ADDS))
                    reap(made.host)
                    rows[layout].append((added, removed, made.packets()))
            base = 0.0
            for layout, values in rows.items():
                add, delete, packets = (statistics.median(column) for column in zip(*values, strict=True))
                base = base or packets
                print(
                    f"{size:>6}{layout.value:>12}{add:>10.2f}{delete:>10.2f}{packets:>12.1f}{packets / base:>7.2f}x"
                )


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("run it as root: it makes network namespaces")
    try:
        main(tuple(int(each) for each in sys.argv[1:]) or SIZES)
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
