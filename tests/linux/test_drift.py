"""Whatever of ours somebody takes away or changes is back within a second; what is not ours is not touched."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.linux.namespaces import MakeSandbox, ip, rules, run, wiring
from tests.linux.vpc import SECOND, SETTINGS, Vpc

from vpccni.ipam.values import Eni
from vpccni.linux.drift import DriftWatcher
from vpccni.linux.heal import Wanted, heal, strangers_in_front
from vpccni.linux.leftovers import keep_pods
from vpccni.linux.legacy_sizes import legacy_sizes
from vpccni.linux.news import Part
from vpccni.linux.pod import reap, unwire, wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import PodWiring

pytestmark = pytest.mark.kernel
POD, OTHER = wiring(101), wiring(102, table=2)
MOST = 1.0
"""Seconds to be whole again."""
TRIES = 3


def everything() -> tuple[object, ...]:
    """All that pods and packets meet, counters and handles left out."""
    names = sorted((link["ifname"], link["mtu"], "UP" in link["flags"]) for link in ip("link"))
    nat = [line for line in run("iptables-save").splitlines() if line.startswith("-A")]
    tables = run("nft", "-s", "list", "tables", "ip")
    of_pods = ["nft", "-s", "list", "table", "ip", "vpc-cni-pods"]
    marks = run("nft", "-s", "list", "table", "ip", "aws-cni") if "aws-cni" in tables else ""
    pods = sorted(run(*of_pods).splitlines()) if "vpc-cni-pods" in tables else []
    routes = sorted(run("ip", "-4", "route", "show", "table", "all").splitlines())
    filters = [
        run("cat", f"/proc/sys/net/ipv4/conf/{dev}/rp_filter") for dev in ("eth0", "eth1") if _has(dev)
    ]
    return sorted(rules()), routes, names, sorted(nat), marks, pods, filters


def _has(device: str) -> bool:
    return any(link["ifname"] == device for link in ip("link"))


class Node:
    """Two pods, and a watcher that heals them."""

    def __init__(self, host: Netlink, sources: Sources | None, *, legacy: bool = False) -> None:
        self.host = host
        self.sources = sources
        self.pods: tuple[PodWiring, ...] = (POD, OTHER)
        ports = {host.port, *([sources.port] if sources else [])}
        self.watcher = DriftWatcher(
            self.wanted,
            self.heal,
            veth_prefix="eni",
            own_ports=lambda: ports,
            poll=legacy_sizes if legacy else None,
        )

    def wanted(self) -> Wanted:
        enis: tuple[Eni, ...] = (SECOND,)
        return Wanted(SETTINGS, enis, self.pods, self.sources)

    async def heal(self, part: Part) -> list[str]:
        return heal(self.host, self.wanted(), part)

    async def quiet(self, least: float = 0.3) -> int:
        """Wait until nothing is looked at for a while; how often something was."""
        looks, since = self.watcher.looks, time.monotonic()
        while time.monotonic() - since < least:
            await asyncio.sleep(0.02)
            if self.watcher.looks != looks:
                looks, since = self.watcher.looks, time.monotonic()
        return looks

    async def until(self, right: Callable[[], bool], most: float = 10.0) -> float:
        """Seconds until it is so."""
        began = time.monotonic()
        while not right():
            assert time.monotonic() - began < most, "it is not mended"
            await asyncio.sleep(0.02)
        return time.monotonic() - began


@asynccontextmanager
async def watching(
    host: Netlink, sandbox: MakeSandbox, sources: Sources | None, *, legacy: bool = False
) -> AsyncIterator[Node]:
    node = Node(host, sources, legacy=legacy)
    for want in node.pods:
        pod = sandbox()
        wire(host, pod.netlink, pod.fd, want, None, sources)
    node.watcher.start()
    try:
        await node.quiet()
        yield node
    finally:
        await node.watcher.stop()


BOTH = [
    "ip rule del prio 1024",
    "ip rule del prio 32765",
    "ip route flush table 2",
    "ip route del default table 2",
    "ip addr flush dev eth1",
    "ip link set eth1 down",
    "ip link set eth1 mtu 1500",
    "ip link set eth0 mtu 1500",
    "ip link set {veth} down",
    "sysctl -q net.ipv4.conf.eth0.rp_filter=1",
    "iptables -t nat -F AWS-SNAT-CHAIN-0",
    "iptables -t nat -F",
    "iptables -t nat -I AWS-SNAT-CHAIN-0 -j ACCEPT",
    "iptables -t nat -D POSTROUTING 1",
    "iptables -t mangle -F PREROUTING",
    "nft flush chain ip aws-cni snat-mark",
    "nft delete table ip aws-cni",
    "nft flush ruleset",
    "ip rule add prio 1536 from 10.0.0.102 lookup 77",
    "ip addr add 10.0.0.99/24 dev eth1",
]
SYSTEMD_NETWORKD = "".join(f"rule del prio {prio}\n" for prio in (512, 1024, 1536, 32765))
"""What it does to rules that it did not make, when it starts anew."""
COMPATIBLE = [
    "ip rule del prio 512",
    "ip rule del prio 1536",
    "ip route del 10.0.0.102/32",
    "ip route replace 10.0.0.102/32 dev lo scope link",
]
COMPACT = [
    "ip rule del prio 512",
    "ip rule del prio 1536",
    "ip route del 10.0.0.102/32 table 20512",
    "ip route flush table 20512",
    "nft flush map ip vpc-cni-pods sources",
    "nft delete table ip vpc-cni-pods",
]


async def mended(node: Node, command: str) -> None:
    """It is mended every time, and in time at least once: others use this machine, too."""
    right, took = everything(), MOST
    for _ in range(TRIES):
        await asyncio.to_thread(run, *command.format(veth=OTHER.host_veth).split())
        took = await node.until(lambda: everything() == right)
        await node.quiet()
        assert everything() == right
        if took < MOST:
            return
    pytest.fail(f"mended only after {took:.1f} s")


@pytest.mark.parametrize("command", BOTH)
def test_what_is_taken_away_is_back(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None, command: str
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, sources) as node:
            await mended(node, command)

    asyncio.run(story())


@pytest.mark.parametrize("command", COMPATIBLE)
def test_a_pods_own_rules_and_routes_are_back(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, command: str
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            await mended(node, command)

    asyncio.run(story())


@pytest.mark.parametrize("command", COMPACT)
def test_what_pods_share_is_back(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, command: str) -> None:
    async def story() -> None:
        sources = Sources(0x7F)
        keep_pods(host, [], sources)
        async with watching(host, sandbox, sources) as node:
            await mended(node, command)
        sources.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "command",
    ["iptables -t nat -F AWS-SNAT-CHAIN-0", "iptables -t nat -D POSTROUTING 1", "iptables -t mangle -F"],
)
def test_legacy_rules_that_nobody_tells_of_are_back(
    host: Netlink, legacy: None, vpc: Vpc, sandbox: MakeSandbox, command: str
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None, legacy=True) as node:
            await mended(node, command)

    asyncio.run(story())


def test_the_primarys_new_name_is_followed_by_its_rules(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            run("ip", "link", "set", "eth0", "name", "ens5")
            took = await node.until(lambda: "-i ens5" in run("iptables", "-t", "mangle", "-S"))
            assert took < MOST
            assert "-i eth0" not in run("iptables", "-t", "mangle", "-S")

    asyncio.run(story())


def test_what_systemd_networkd_takes_away_when_it_starts_is_back(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, sources) as node:
            right = everything()
            run("ip", "-batch", "-", text=SYSTEMD_NETWORKD)
            assert await node.until(lambda: everything() == right) < MOST

    asyncio.run(story())


def test_a_pods_link_gets_its_name_back(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, sources) as node:
            await mended(node, "ip link set {veth} name theirs0")

    asyncio.run(story())


def test_what_is_not_ours_is_not_touched_and_not_looked_at(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            looks = node.watcher.looks
            run("ip", "link", "add", "theirs0", "type", "veth", "peer", "name", "theirs1")
            run("ip", "addr", "add", "172.30.0.1/24", "dev", "theirs0")
            run("ip", "link", "set", "theirs0", "up")
            run("ip", "route", "add", "172.31.0.0/16", "via", "10.0.0.1")
            run("ip", "route", "add", "172.30.9.0/24", "dev", "theirs0", "table", "77")
            run("nft", "add table ip theirs { chain c { type filter hook input priority 0; }; }")
            run("iptables", "-t", "nat", "-N", "KUBE-SERVICES")
            run("iptables", "-t", "filter", "-A", "FORWARD", "-s", "172.30.0.0/24", "-j", "ACCEPT")
            for number in range(50):
                run(
                    "iptables", "-t", "nat", "-A", "KUBE-SERVICES", "-d", f"172.20.0.{number}", "-j", "RETURN"
                )
            before = everything()
            await node.quiet()
            assert node.watcher.looks <= looks + 2  # iptables says again that PREROUTING is there
            run("ip", "rule", "add", "prio", "100", "from", "172.30.0.9", "lookup", "77")
            run("ip", "rule", "add", "prio", "1536", "from", "172.30.0.0/24", "lookup", "77")
            await node.quiet()
            assert everything()[1:] == before[1:]
            assert "100: from 172.30.0.9 lookup 77" in rules()
            assert "1536: from 172.30.0.0/24 lookup 77" in rules()
            assert strangers_in_front(host) == [
                "rule 100: from 172.30.0.9/32 lookup 77 of somebody else's comes before the rules of the pods, whose "
                "packets may follow it"
            ]

    asyncio.run(story())


def test_our_own_work_is_no_drift(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, sources) as node:
            looks = node.watcher.looks
            for number in range(40):
                pod, want = sandbox(), wiring(110 + number, table=2)
                wire(host, pod.netlink, pod.fd, want, None, sources)
                node.pods = (*node.pods, want)
                if number % 2:
                    unwire(host, want.address, want.host_veth, 2, sources)
                    node.pods = node.pods[:-1]
                if number % 8 == 0:
                    reap(host)
                    await asyncio.sleep(0)
            await node.quiet()
            assert node.watcher.looks <= looks + 1  # who went down is looked for once

    asyncio.run(story())


def test_pods_whose_sandboxes_end_are_no_drift(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, sources) as node:
            pods = [sandbox() for _ in range(20)]
            live = node.pods
            for number, pod in enumerate(pods):
                wire(host, pod.netlink, pod.fd, wiring(110 + number, table=2), None, sources)
            node.pods = (*live, *(wiring(110 + number, table=2) for number in range(20)))
            await node.quiet()
            looks = node.watcher.looks
            for pod in pods:
                pod.run("ip", "link", "del", "eth0")
            await node.quiet()
            assert node.watcher.looks <= looks + 3

    asyncio.run(story())


def test_a_storm_of_events_is_a_few_looks(host: Netlink, vpc: Vpc, sandbox: MakeSandbox) -> None:
    lines = [f"rule add prio 9000 from 172.16.{n // 250}.{n % 250} lookup 77" for n in range(3000)]

    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            looks = node.watcher.looks
            await asyncio.to_thread(lambda: run("ip", "-batch", "-", text="\n".join(lines)))
            await node.quiet()
            assert looks < node.watcher.looks < looks + 20
            right = rules()
            run("ip", "rule", "del", "prio", "512")
            assert await node.until(lambda: sorted(rules()) == sorted(right)) < 2 * MOST

    asyncio.run(story())


def test_who_undoes_our_work_again_and_again_gets_slower_answers(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            deadline = time.monotonic() + 60
            while "again and again" not in caplog.text:
                assert time.monotonic() < deadline
                subprocess.run(["ip", "rule", "del", "prio", "1024"], capture_output=True)
                await asyncio.sleep(0.05)
            looks = node.watcher.looks
            for _ in range(10):
                subprocess.run(["ip", "rule", "del", "prio", "1024"], capture_output=True)
                await asyncio.sleep(0.1)
            assert node.watcher.looks - looks <= 1

    asyncio.run(story())


def test_what_fails_is_tried_again(host: Netlink, vpc: Vpc, sandbox: MakeSandbox) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            failed: list[Part] = []
            real = node.watcher._heal

            async def once(part: Part) -> list[str]:
                if not failed:
                    failed.append(part)
                    raise OSError("no memory")
                return await real(part)

            node.watcher._heal = once
            run("ip", "rule", "del", "prio", "1024")
            await node.until(lambda: any("1024" in rule for rule in rules()))
            assert failed == [Part.ROUTING]

    asyncio.run(story())


def test_a_device_that_is_gone_is_not_waited_for(host: Netlink, vpc: Vpc, sandbox: MakeSandbox) -> None:
    async def story() -> None:
        async with watching(host, sandbox, None) as node:
            run("ip", "link", "del", "eth1")
            run("ip", "rule", "del", "prio", "1024")
            assert await node.until(lambda: any("1024" in rule for rule in rules())) < MOST
            assert not _has("eth1")

    asyncio.run(story())
