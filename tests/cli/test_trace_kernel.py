"""What a trace says beside what packets do, on real kernels' tables of both layouts and both kinds of iptables."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from types import MappingProxyType

import pytest
from tests.linux.namespaces import MakeSandbox, Sandbox, enter, run, staying, wiring
from tests.linux.vpc import OUTSIDE, PEER, SECOND, SETTINGS, SUBNET, Vpc

from vpccni.cli.cloud.values import NodeEni
from vpccni.cli.cloud.values import Vpc as VpcFacts
from vpccni.cli.kernel.namespaces import in_throwaway, inside, namespace_of
from vpccni.cli.kernel.read import read_devices, read_network
from vpccni.cli.kernel.sysctls import device_settings
from vpccni.cli.netfilter.read import read_filters
from vpccni.cli.trace.path import trace
from vpccni.cli.trace.scene import Scene
from vpccni.cli.trace.steps import Outcome, Question, Stage, Trace
from vpccni.cli.unknown import Unknown
from vpccni.linux.host import set_up_host
from vpccni.linux.pod import wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import PodWiring

pytestmark = pytest.mark.kernel
FIRST, SECOND_POD, THIRD = wiring(101), wiring(102, table=2), wiring(103, table=2)
DEVICES = MappingProxyType({"r0": "eth0", "r1": "eth1"})
TRIES = 10
SERVICE = "172.20.0.80"
SERVICE_RULES = """*nat
:SVC - [0:0]
:A - [0:0]
:B - [0:0]
-A PREROUTING -d 172.20.0.80/32 -p udp -m udp --dport 53 -j SVC
-A SVC -m statistic --mode random --probability 0.5 -j A
-A SVC -j B
-A A -p udp -j DNAT --to-destination {first}:5353
-A B -p udp -j DNAT --to-destination {second}:5353
COMMIT
"""


def eni(number: int, mac: str, address: str, pods: list[PodWiring]) -> NodeEni:
    held = tuple(IPv4Network(pod.address) for pod in pods)
    return NodeEni(
        f"eni-{number}", mac, "subnet-1", SUBNET, IPv4Address(address), held, is_primary=number == 1
    )


def scene(host: Netlink, pod: Sandbox | None) -> Scene:
    silent = Unknown("a test has no EC2")
    network = read_network(host)
    filters = read_filters()
    assert filters.not_read == ()
    return Scene(
        host=network,
        ruleset=filters.ruleset,
        vpc=VpcFacts((SUBNET,), silent, silent, silent, silent),
        pod=read_network(pod.netlink) if pod is not None else None,
        settings=device_settings([device.name for device in network.devices]),
        enis=(
            eni(1, SETTINGS.primary_mac, "10.0.0.10", [FIRST]),
            eni(2, SECOND.mac, "10.0.0.20", [SECOND_POD, THIRD]),
        ),
    )


def told(host: Netlink, pod: Sandbox, of: PodWiring, to: str, port: int = 5353) -> Trace:
    return trace(
        scene(host, pod), Question(IPv4Address(int(of.address)), IPv4Address(to), "udp", port, of.pod)
    )


def leaving(found: Trace) -> tuple[str, str, str]:
    """Device, source and destination as the trace says that it leaves the node."""
    [capture] = [step.capture for step in found.steps if step.stage is Stage.ENI and step.capture is not None]
    return capture.interface, str(capture.source), str(capture.destination)


class Wire:
    """Both of the node's ENIs, watched from the VPC's side."""

    def __init__(self, vpc: Vpc) -> None:
        command = ["tcpdump", "-lni", "any", "-Q", "in", "-c", "1", "udp", "and", "dst", "port", "5353"]
        self.watching = vpc.router.call(
            lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        assert self.watching.stderr is not None
        for line in self.watching.stderr:
            if "listening" in line:
                break

    def seen(self, send_it: Callable[[], None]) -> tuple[str, str, str]:
        """Device, source and destination of the packet, which is sent again if it was lost: UDP may be."""
        try:
            for _ in range(TRIES):
                send_it()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    words = self.watching.communicate(timeout=2)[0].split()
                    break
            else:
                pytest.fail("no packet left the node")
        finally:
            self.watching.kill()
            self.watching.wait()
        arrow = words.index(">")
        source, destination = (words[arrow - 1].rpartition(".")[0], words[arrow + 1].rpartition(".")[0])
        return DEVICES[words[1]], source, destination


def send(pod: Sandbox, to: str, port: int) -> None:
    def go() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"x", (to, port))

    pod.call(go)


@pytest.fixture
def pods(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> list[tuple[Sandbox, PodWiring]]:
    """Three pods, one on the primary ENI, two on the second."""
    made: list[tuple[Sandbox, PodWiring]] = []
    for want in (FIRST, SECOND_POD, THIRD):
        pod = sandbox()
        wire(host, pod.netlink, pod.fd, want, None, sources)
        vpc.hold(str(want.address), 0 if want.table == 254 else 1)
        made.append((pod, want))
    return made


@pytest.fixture(params=["nf_tables", "legacy"])
def backend(request: pytest.FixtureRequest, host: Netlink, vpc: Vpc) -> str:
    """Which kind of iptables the node uses."""
    if request.param == "legacy":
        request.getfixturevalue("legacy")
        run("nft", "flush", "ruleset")
        set_up_host(host, SETTINGS)
    return str(request.param)


def test_packets_go_where_the_trace_says(
    host: Netlink, vpc: Vpc, backend: str, pods: list[tuple[Sandbox, PodWiring]]
) -> None:
    for pod, want in pods:
        for to in (OUTSIDE, PEER, "10.0.0.1"):
            found = told(host, pod, want, to)
            seen = Wire(vpc).seen(partial(send, pod, to, 5353))
            assert leaving(found) == seen, (backend, want.pod, to, found)
            assert found.doubts == ()


def test_a_service_is_followed_to_one_of_its_endpoints(
    host: Netlink, vpc: Vpc, pods: list[tuple[Sandbox, PodWiring]]
) -> None:
    """The first translation keeps later NAT chains from being asked: a service that leads out of the VPC is not marked."""
    run("iptables-restore", "--noflush", text=SERVICE_RULES.format(first=OUTSIDE, second=PEER))
    for pod, want in pods:
        found = told(host, pod, want, SERVICE, 53)
        assert found.alternatives == (f"{PEER} port 5353",)
        other = trace(
            scene(host, pod),
            Question(IPv4Address(int(want.address)), IPv4Address(PEER), "udp", 5353, want.pod),
        )
        possible = {leaving(found), leaving(other)}
        assert Wire(vpc).seen(partial(send, pod, SERVICE, 53)) in possible


def test_between_pods_and_to_the_node(host: Netlink, vpc: Vpc, pods: list[tuple[Sandbox, PodWiring]]) -> None:
    (first, one), (second, two), (_, three) = pods
    for pod, of, to in ((first, one, two), (second, two, three), (second, two, one)):
        found = told(host, pod, of, str(to.address))
        assert found.outcome is Outcome.DELIVERED
        assert found.seen_source == of.address
        assert to.host_veth in found.steps[-1].what
        assert pod.pings(str(to.address))
    to_node = told(host, second, two, "10.0.0.10")
    assert (to_node.steps[-1].stage, to_node.outcome) == (Stage.INPUT, Outcome.DELIVERED)
    from_node = trace(scene(host, None), Question(IPv4Address(0), IPv4Address("10.0.0.102"), "icmp"))
    assert str(from_node.seen_source) == "10.0.0.10"
    run("ping", "-c", "1", "-W", "2", "10.0.0.102")


@pytest.mark.parametrize("strict", [False, True])
def test_a_reply_that_the_source_check_loses(
    host: Netlink, vpc: Vpc, pods: list[tuple[Sandbox, PodWiring]], sources: Sources | None, strict: bool
) -> None:
    for name in ("all", "eth0"):
        with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as file:
            file.write("1" if strict else "0")
    pod, want = pods[1]
    found = trace(
        scene(host, pod), Question(IPv4Address(int(want.address)), IPv4Address(OUTSIDE), "icmp", 0, want.pod)
    )
    arrives = found.outcome is not Outcome.LOST
    assert pod.pings(OUTSIDE) is arrives, found
    assert arrives or sources is None or strict


def test_a_filter_that_drops(host: Netlink, vpc: Vpc, pods: list[tuple[Sandbox, PodWiring]]) -> None:
    run("iptables", "-A", "FORWARD", "-d", "10.0.0.0/24", "-p", "icmp", "-j", "DROP")
    pod, want = pods[1]
    found = trace(
        scene(host, pod),
        Question(IPv4Address(int(want.address)), IPv4Address("10.0.0.1"), "icmp", 0, want.pod),
    )
    assert found.outcome is Outcome.LOST
    assert found.steps[-1].stage is Stage.FORWARD
    assert not pod.pings("10.0.0.1")


def device_names() -> list[str]:
    with Netlink() as netlink:
        return [device.name for device in read_devices(netlink)]


def test_a_pods_namespace_is_found_by_its_veth(host: Netlink, sandbox: MakeSandbox) -> None:
    pod = sandbox()
    want = wiring(7)
    wire(host, pod.netlink, pod.fd, want)
    [device] = [each for each in read_devices(host) if each.name == want.host_veth]
    assert device.peer_namespace is not None
    assert namespace_of(host, 10**6) is None
    holder = pod.call(lambda: subprocess.Popen(["sleep", "60"]))  # shows its namespace in /proc
    try:
        fd = namespace_of(host, device.peer_namespace)
        assert fd is not None
        assert "eth0" in inside(fd, device_names)
        os.close(fd)
    finally:
        holder.kill()
        holder.wait()


def test_a_throwaway_namespace_leaves_us_where_we_are(host: Netlink) -> None:
    def inner() -> list[str]:
        run("ip", "link", "set", "lo", "up")
        return device_names()

    run("ip", "link", "add", "stays", "type", "veth", "peer", "name", "other")
    assert in_throwaway(inner) == ["lo"]
    assert "stays" in [device.name for device in read_devices(host)]
    with staying(), pytest.raises(OSError, match="setns"):
        enter(-1)
    with pytest.raises(OSError, match="setns"):
        inside(-1, inner)
