"""Pods with branch ENIs, in both modes: real packets, over a macvlan in the VLAN's place where the kernel has no VLANs."""

import asyncio
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.linux.namespaces import MakeSandbox, Sandbox, ip, run, state, wiring
from tests.linux.test_crashes import KilledError, Mortal
from tests.linux.vpc import OUTSIDE, PEER, SECOND, SETTINGS, Vpc, seen_from

from vpccni.agent.branch_host import KernelBranches
from vpccni.agent.cni_call import CniCall, Placed
from vpccni.agent.host import KernelHost
from vpccni.agent.ports import HostError
from vpccni.agent.settings import Settings
from vpccni.agent.wire import PluginRequest
from vpccni.ipam.values import EniId, EniRole, Pod
from vpccni.kube.branch import Branch
from vpccni.linux import branch
from vpccni.linux.branch import (
    BranchWiring,
    check_branch,
    find_branch,
    remove_dead_branches,
    unwire_branch,
    wire_branch,
)
from vpccni.linux.branch_layout import Enforcing, table_of
from vpccni.linux.host import settle_host_rules
from vpccni.linux.leftovers import keep_pods, leftovers
from vpccni.linux.links import (
    IFINFO,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_LINKINFO,
    NEWLINK,
    link_named,
)
from vpccni.linux.pod import reap
from vpccni.linux.rtnl import CREATE, EXCL, Netlink, Request, attribute, name_value
from vpccni.linux.rules import Rule, add_rule
from vpccni.linux.wiring import WiringError

pytestmark = pytest.mark.kernel
TRUNK_MAC, BRANCH_MAC = "0a:00:00:00:00:03", "0a:00:00:00:0b:07"
ADDRESS, GATEWAY = IPv4Address("10.0.0.77"), IPv4Address("10.0.0.1")
VLAN = 7
MESSAGES = 20
"""More than an ADD sends to the host."""


def macvlan(name: str, mac: str, parent: int, vlan: int) -> Request:
    """As `add_vlan`, but of what this kernel has."""
    del vlan
    body = IFINFO.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, name_value(name))
    body += attribute(IFLA_ADDRESS, bytes.fromhex(mac.replace(":", "")))
    body += attribute(IFLA_LINK, struct.pack("=I", parent))
    body += attribute(IFLA_LINKINFO, attribute(1, b"macvlan"))
    return Request(NEWLINK, CREATE | EXCL, body, f"add {name}")


@pytest.fixture
def vpc(host: Netlink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vpc]:
    """A node with a trunk ENI, eth2; the router has the branch ENI behind it."""
    monkeypatch.setattr(branch, "add_vlan", macvlan)
    vpc = Vpc(host)
    run("ip", "link", "add", "eth2", "address", TRUNK_MAC, "type", "veth", "peer", "name", "r2")
    run("ip", "link", "set", "r2", "netns", f"/proc/{os.getpid()}/fd/{vpc.router.fd}")
    run("ip", "link", "set", "eth2", "up")
    vpc.router.run("ip", "link", "set", "r2", "up")
    vpc.router.run("ip", "route", "add", f"{ADDRESS}/32", "dev", "r2", "scope", "link")
    vpc.router.run("ip", "neigh", "add", str(ADDRESS), "lladdr", BRANCH_MAC, "dev", "r2")
    yield vpc
    vpc.close()


def wanted(host: Netlink, mode: str) -> BranchWiring:
    trunk = link_named(host, "eth2")
    assert trunk is not None
    veth = replace(wiring(5, table_of(VLAN)), address=ADDRESS)
    if mode == "strict":
        veth = replace(veth, host_veth=veth.host_veth.replace("eni", "vlan"))
    return BranchWiring(veth, VLAN, BRANCH_MAC, trunk.index, GATEWAY, strict=mode == "strict")


def connect(host: Netlink, pod: Sandbox, want: BranchWiring) -> None:
    wire_branch(host, pod.netlink, pod.fd, want)


both_modes = pytest.mark.parametrize("mode", ["strict", "standard"])


@both_modes
def test_its_packets_go_and_come_by_the_trunk_with_its_own_address(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str
) -> None:
    pod = sandbox()
    want = wanted(host, mode)
    connect(host, pod, want)
    # in the standard mode what leaves the VPC is its node's, as every pod's is
    assert seen_from(vpc, pod, OUTSIDE) == ("10.0.0.10" if mode == "standard" else str(ADDRESS))
    assert seen_from(vpc, pod, PEER) == str(ADDRESS)
    assert vpc.router.pings(str(ADDRESS))
    [link] = list(ip("-s", "link", "show", "dev", want.device))
    assert link["address"] == BRANCH_MAC
    assert min(link["stats64"]["rx"]["packets"], link["stats64"]["tx"]["packets"]) >= 2
    assert check_branch(host, pod.netlink, want) == []


@both_modes
def test_tcp_goes_both_ways(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str) -> None:
    pod = sandbox()
    connect(host, pod, wanted(host, mode))
    for server, client, address in ((pod, vpc.router, str(ADDRESS)), (vpc.router, pod, PEER)):
        with (
            server.call(lambda: socket.create_server(("", 7000))) as listening,
            client.call(partial(socket.create_connection, (address, 7000), 5)) as asking,
        ):
            answering, _ = listening.accept()
            with answering:
                asking.sendall(b"hello")
                assert answering.recv(9) == b"hello"
                answering.sendall(b"you")
                assert asking.recv(9) == b"you"


@both_modes
@pytest.mark.parametrize("again", [False, True])
def test_nothing_is_left_of_it(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str, again: bool) -> None:
    del vpc
    before = state()
    want = wanted(host, mode)
    connect(host, sandbox(), want)
    assert state() != before
    for _ in range(1 + again):
        unwire_branch(host, ADDRESS, VLAN, want.veth.host_veth)
    reap(host)
    assert state() == before


@both_modes
def test_wired_twice_it_is_left_as_it_is(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str) -> None:
    del vpc
    pod, want = sandbox(), wanted(host, mode)
    connect(host, pod, want)
    before = state(), link_named(host, want.device)
    connect(host, pod, want)
    assert (state(), link_named(host, want.device)) == before


@both_modes
def test_a_new_sandbox_of_the_pod_takes_its_place(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str
) -> None:
    want = wanted(host, mode)
    connect(
        host,
        sandbox(),
        replace(want, vlan=9, mac="0a:00:00:00:0b:09", veth=replace(want.veth, table=table_of(9))),
    )
    pod = sandbox()
    connect(host, pod, want)
    assert pod.pings(OUTSIDE)
    assert vpc.router.pings(str(ADDRESS))
    assert check_branch(host, pod.netlink, want) == []


def test_a_change_of_the_mode_leaves_nothing_of_the_other(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    del vpc
    before = state()
    first, second = wanted(host, "standard"), wanted(host, "strict")
    connect(host, sandbox(), first)
    connect(host, sandbox(), second)
    assert f"from {ADDRESS}" not in run("ip", "rule")
    unwire_branch(host, ADDRESS, VLAN, second.veth.host_veth)
    unwire_branch(host, ADDRESS, VLAN, first.veth.host_veth)
    reap(host)
    assert state() == before


@pytest.mark.parametrize(
    ("mode", "harm", "says"),
    [
        (
            "strict",
            ["ip", "rule", "del", "prio", "10", "iif", "vlan.eth.7"],
            "rule 10: iif vlan.eth.7 lookup 107",
        ),
        ("strict", ["ip", "route", "flush", "table", "107"], "route 10.0.0.77/32 dev"),
        ("standard", ["ip", "route", "flush", "table", "107"], "route default via 10.0.0.1"),
        ("standard", ["ip", "rule", "del", "prio", "1536"], "rule 1536: from 10.0.0.77/32 lookup 107"),
        ("strict", ["ip", "link", "del", "vlan.eth.7"], "no VLAN vlan.eth.7"),
        ("strict", ["ip", "link", "set", "vlan.eth.7", "address", "0a:00:00:00:00:99"], "0a:00:00:00:00:99"),
        ("standard", ["ip", "link", "set", "vlan.eth.7", "down"], "the host's vlan.eth.7 is down"),
    ],
)
def test_check_tells_what_differs(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str, harm: list[str], says: str
) -> None:
    del vpc
    pod, want = sandbox(), wanted(host, mode)
    connect(host, pod, want)
    run(*harm)
    assert any(says in difference for difference in check_branch(host, pod.netlink, want))
    connect(host, pod, want)
    assert check_branch(host, pod.netlink, want) == [], "the next ADD mends it"


@both_modes
@pytest.mark.parametrize("lives", range(MESSAGES + 1))
def test_an_add_that_was_killed_is_made_whole_by_the_next(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str, lives: int
) -> None:
    before = state()
    pod, want = sandbox(), wanted(host, mode)
    with Mortal(lives) as mortal:
        try:
            wire_branch(mortal, pod.netlink, pod.fd, want)
        except KilledError:
            assert lives < MESSAGES
    connect(host, pod, want)
    assert check_branch(host, pod.netlink, want) == []
    assert vpc.router.pings(str(ADDRESS))
    unwire_branch(host, ADDRESS, VLAN, want.veth.host_veth)
    reap(host)
    assert state() == before


def test_what_cannot_be_made_is_undone(host: Netlink, vpc: Vpc, sandbox: MakeSandbox) -> None:
    del vpc
    before = state()
    with pytest.raises(WiringError, match=r"pod default/p5: .*vlan\.eth\.7"):
        connect(host, sandbox(), replace(wanted(host, "strict"), trunk=9999))
    assert state() == before


@both_modes
@pytest.mark.parametrize("own", [5, 6])
def test_the_agents_start_leaves_it_alone(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str, own: int
) -> None:
    pod, want = sandbox(), wanted(host, mode)
    connect(host, pod, want)
    before = state()
    live = [wiring(own)] if own == 6 else []
    assert keep_pods(host, live) == []
    assert not leftovers(host, "eni", live)
    assert state() == before
    assert vpc.router.pings(str(ADDRESS))


def test_in_the_strict_mode_the_node_is_reached_by_the_vpc(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    eth0 = link_named(host, "eth0")
    assert eth0 is not None
    before = state()
    strict = replace(SETTINGS, strict_branches=True)
    assert settle_host_rules(host, strict, eth0) == [
        "added rule 20: lookup 255",
        "removed rule 0: lookup 255",
    ]
    assert settle_host_rules(host, strict, eth0) == []
    pod = sandbox()
    connect(host, pod, wanted(host, "strict"))
    out = ["tcpdump", "-lni", "eth2", "-c", "1", "icmp", "and", "dst", "host", "10.0.0.10"]
    watching = subprocess.Popen(out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stderr is not None
    assert any("listening" in line for line in watching.stderr)
    pod.pings("10.0.0.10")
    assert f"{ADDRESS} > 10.0.0.10" in watching.communicate(timeout=10)[0]
    assert pod.pings(OUTSIDE)
    unwire_branch(host, ADDRESS, VLAN, wanted(host, "strict").veth.host_veth)
    assert settle_host_rules(host, SETTINGS, eth0) == [
        "added rule 0: lookup 255",
        "removed rule 20: lookup 255",
    ]
    reap(host)
    assert state() == before


def test_a_local_rule_that_somebody_else_moved_stays_there(host: Netlink, vpc: Vpc) -> None:
    del vpc
    eth0 = link_named(host, "eth0")
    assert eth0 is not None
    host.run([add_rule(Rule(100, 255))])
    run("ip", "rule", "del", "prio", "0")
    before = state()
    assert settle_host_rules(host, SETTINGS, eth0) == []
    assert state() == before


def test_a_rule_of_the_strict_mode_is_read_back(host: Netlink) -> None:
    rule = Rule(10, 107, by="vlan.eth.7")
    host.run([add_rule(rule)])
    assert run("ip", "rule", "show", "prio", "10").split() == [
        "10:",
        "from",
        "all",
        "iif",
        "vlan.eth.7",
        "[detached]",
        "lookup",
        "107",
    ]


@both_modes
def test_it_is_found_by_its_veth(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str) -> None:
    del vpc
    want = wanted(host, mode)
    assert find_branch(host, want.veth.host_veth) is None
    connect(host, sandbox(), want)
    assert find_branch(host, want.veth.host_veth) == (VLAN, ADDRESS)
    assert find_branch(host, "eth0") is None


@both_modes
def test_what_is_left_of_pods_that_are_gone_is_swept_and_nothing_else(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, mode: str
) -> None:
    run("ip", "link", "add", "vlan.eth.x", "type", "veth", "peer", "name", "vlan9")
    before = state()
    want = wanted(host, mode)
    connect(host, sandbox(), want)
    assert remove_dead_branches(host) == []
    assert vpc.router.pings(str(ADDRESS))
    run("ip", "link", "del", want.veth.host_veth)  # as the end of its namespace does
    assert remove_dead_branches(host) == ["removed vlan.eth.7 of a pod that is gone"]
    assert state() == before
    assert remove_dead_branches(host) == []


def test_the_agents_host_connects_checks_and_lets_go(host: Netlink, vpc: Vpc, sandbox: MakeSandbox) -> None:
    """Through the agent's own thread and socket, as the plugin's descriptors come to it."""
    trunk = link_named(host, "eth2")
    assert trunk is not None
    before = state()
    pod = sandbox()
    eni = replace(SECOND, id=EniId("eni-trunk"), mac=TRUNK_MAC, role=EniRole.TRUNK)
    found = Branch("eni-b", BRANCH_MAC, ADDRESS, VLAN, IPv4Network("10.0.0.0/24"))
    call = CniCall("ADD", "1.0.0", "aws-cni", "c1", "eth0", "/n", Pod("default", "web"))

    def request() -> PluginRequest:
        return PluginRequest({}, b"", netns=pod.fd, netlink=pod.netlink.sock.fileno())

    async def tell() -> None:
        kernel = KernelHost(Settings())
        branches = KernelBranches(kernel, mode=Enforcing.STRICT, veth_prefix="eni")
        assert await branches.trunk_index(eni) == trunk.index
        veth = await branches.wire_branch(request(), call, found, eni)
        assert veth.startswith("vlan")
        assert await branches.check_branch(request(), call, found, eni) == []
        placed = await branches.find_branch(call.pod)
        assert placed == Placed(VLAN, ADDRESS, veth)
        assert pod.pings(OUTSIDE)
        await branches.remove_dead()
        assert await branches.find_branch(call.pod) == placed
        await branches.unwire_branch(placed)
        with pytest.raises(HostError, match=r"the device of the trunk ENI eni-trunk .* is not on this node"):
            await branches.trunk_index(replace(eni, mac="0a:00:00:00:00:77"))
        kernel.close()

    asyncio.run(tell())
    reap(host)
    assert state() == before
