"""IPv6 egress of an IPv4 pod: real packets by SNAT to the node's global address, and nothing left of it afterwards."""

import os
import socket
from dataclasses import replace
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from tests.linux.conftest import NODE_IPV6 as NODE
from tests.linux.conftest import OUTSIDE_IPV6 as OUTSIDE
from tests.linux.namespaces import MakeSandbox, Sandbox, ip, run, wiring
from tests.linux.test_crashes import KilledError, Mortal

from vpccni.linux.egress import (
    EgressWiring,
    block_others,
    chain_of,
    host_veth_of,
    remove_dead_egress,
    unwire_egress,
    wire_egress,
)
from vpccni.linux.egress_family import IPV6
from vpccni.linux.names import HOST_VETH
from vpccni.linux.pod import reap, wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.wiring import WiringError

pytestmark = pytest.mark.kernel
WANT = EgressWiring("default/web", "aws-cni", "c0ffee", IPv6Address("fd00::ac:5"), IPv6Address(NODE), 9001)
MESSAGES = 9
"""More than an ADD sends to the host."""


@pytest.fixture
def pod(host: Netlink, sandbox: MakeSandbox) -> Sandbox:
    """An IPv4 pod, connected."""
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5))
    return pod


def connect(host: Netlink, pod: Sandbox, want: EgressWiring = WANT) -> None:
    conf = pod.call(lambda: os.open("/proc/sys/net/ipv6/conf", os.O_RDONLY | os.O_DIRECTORY))
    try:
        wire_egress(host, pod.netlink, pod.fd, want, "eth0", conf)
    finally:
        os.close(conf)


def kept() -> tuple[str, ...]:
    """All that a pod may leave on the host; the kernel's own tables and chains come with their first use."""
    names = sorted(link["ifname"] for link in ip("link"))
    ours = [line for line in run("ip6tables-save").splitlines() if line.startswith((":CNI-", "-A"))]
    return (",".join(names), run("ip", "-6", "route"), *ours)


def test_the_far_end_sees_the_nodes_address(host: Netlink, internet: Sandbox, pod: Sandbox) -> None:
    connect(host, pod)
    with (
        internet.call(lambda: socket.create_server((OUTSIDE, 7000), family=socket.AF_INET6)) as server,
        pod.call(partial(socket.create_connection, (OUTSIDE, 7000), 5)) as asking,
    ):
        answering, (seen, *_) = server.accept()
        with answering:
            assert seen == NODE
            answering.sendall(b"hello")
            assert asking.recv(9) == b"hello"
    assert pod.pings(OUTSIDE)


def test_the_interface_of_the_vpc_has_no_ipv6(host: Netlink, internet: Sandbox, pod: Sandbox) -> None:
    del internet
    connect(host, pod)
    assert pod.run("ip", "-6", "addr", "show", "dev", "eth0") == ""
    assert "fd00::ac:5" in pod.run("ip", "-6", "addr", "show", "dev", "v6if0")


def test_where_the_runtime_has_switched_ipv6_off_by_default(
    host: Netlink, internet: Sandbox, pod: Sandbox
) -> None:
    del internet
    pod.call(lambda: Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1"))
    connect(host, pod)
    assert pod.pings(OUTSIDE)


@pytest.mark.parametrize("ports", ["prng", "hashrandom", "none"])
def test_the_chain_is_the_originals(host: Netlink, internet: Sandbox, pod: Sandbox, ports: str) -> None:
    del internet
    connect(host, pod, replace(WANT, ports=ports))
    chain = chain_of(IPV6, "aws-cni", "c0ffee")
    assert len(chain) == 28
    comment = r'-m comment --comment "name: \"aws-cni\" id: \"c0ffee\""'
    flag = {"prng": " --random-fully", "hashrandom": " --random", "none": ""}[ports]
    said = run("ip6tables-save", "-t", "nat").splitlines()
    assert [line for line in said if chain in line and line.startswith("-A")] == [
        f"-A POSTROUTING -s fd00::ac:5/128 {comment} -j {chain}",
        f"-A {chain} -d ff00::/8 {comment} -j ACCEPT",
        f"-A {chain} {comment} -j SNAT --to-source {NODE}{flag}",
    ]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_nothing_is_left_of_it(
    host: Netlink, internet: Sandbox, sandbox: MakeSandbox, gone: bool, times: int
) -> None:
    del internet
    before = kept()
    pod = sandbox()
    connect(host, pod)
    assert kept() != before
    if gone:
        run("ip", "link", "del", WANT.host_veth)  # as the end of the sandbox does
    for _ in range(times):
        unwire_egress(host, IPV6, "aws-cni", "c0ffee")
    reap(host)
    assert kept() == before


def test_a_pods_address_is_its_alone_after_one_that_nobody_deleted(
    host: Netlink, internet: Sandbox, sandbox: MakeSandbox
) -> None:
    del internet
    connect(host, sandbox(), replace(WANT, container_id="older", node_address=IPv6Address("2001:db8:1::99")))
    pod = sandbox()
    connect(host, pod)
    assert pod.pings(OUTSIDE), "and not by the older one's SNAT"


def test_what_pods_left_that_are_gone_is_swept(
    host: Netlink, internet: Sandbox, sandbox: MakeSandbox
) -> None:
    del internet
    live = sandbox()
    connect(host, live)
    connect(host, sandbox(), replace(WANT, container_id="dead", address=IPv6Address("fd00::ac:6")))
    assert remove_dead_egress(host, IPV6) == []
    run("ip", "link", "del", host_veth_of("aws-cni", "dead"))
    dead = chain_of(IPV6, "aws-cni", "dead")
    assert remove_dead_egress(host, IPV6) == [f"removed chain {dead} of a pod that is gone"]
    assert dead not in run("ip6tables-save")
    assert live.pings(OUTSIDE)
    assert remove_dead_egress(host, IPV6) == []


@pytest.mark.parametrize("lives", range(MESSAGES + 1))
def test_an_add_that_was_killed_is_made_whole_by_the_next(
    host: Netlink, internet: Sandbox, sandbox: MakeSandbox, lives: int
) -> None:
    del internet
    before = kept()
    pod = sandbox()
    with Mortal(lives) as mortal:
        try:
            connect(mortal, pod)
        except KilledError:
            assert lives < MESSAGES
    connect(host, pod)
    assert pod.pings(OUTSIDE)
    unwire_egress(host, IPV6, "aws-cni", "c0ffee")
    reap(host)
    assert kept() == before


def test_what_cannot_be_made_is_undone(host: Netlink, internet: Sandbox, sandbox: MakeSandbox) -> None:
    del internet
    before = kept()
    with pytest.raises(WiringError, match=r"IPv6 egress of pod default/web: .*ip6tables"):
        connect(host, sandbox(), replace(WANT, node_address="nonsense"))  # type: ignore[arg-type]
    assert kept() == before


def test_others_may_not_begin_connections_to_pods(host: Netlink, internet: Sandbox, pod: Sandbox) -> None:
    connect(host, pod)
    internet.run("ip", "-6", "route", "add", "fd00::ac:0/118", "via", NODE)
    assert internet.pings("fd00::ac:5")
    assert block_others(IPV6) == ["blocked new connections to fd00::ac:0/118 from outside"]
    assert not internet.pings("fd00::ac:5")
    assert pod.pings(OUTSIDE), "what the pod asks is answered"
    assert block_others(IPV6) == []


def test_its_name_is_not_taken_for_a_pods_own_veth() -> None:
    assert not HOST_VETH.fullmatch(WANT.host_veth)
    assert len(WANT.host_veth) <= 15
