"""Pods are wired in a real kernel, and packets go through."""

import json
import os
import subprocess
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Protocol

import pytest

from vpccni.ipam.values import Pod
from vpccni.linux import links as nl
from vpccni.linux.names import host_veth, is_host_veth
from vpccni.linux.pod import PodWiring, WiringError, check, reap, unwire, wire
from vpccni.linux.rtnl import Netlink, NetlinkError


class Sandbox(Protocol):
    fd: int
    netlink: Netlink

    def run(self, *command: str) -> str: ...


MakePod = Callable[[], Sandbox]


def ip(*command: str, sandbox: Sandbox | None = None) -> list[dict[str, Any]]:

    argv = ("ip", "-j", *command)
    text = (
        sandbox.run(*argv)
        if sandbox
        else subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    )
    parsed: list[dict[str, Any]] = json.loads(text or "[]")
    return parsed


def wiring(number: int = 5, table: int = 254, mtu: int = 9001) -> PodWiring:
    pod = Pod("default", f"p{number}")
    return PodWiring(str(pod), host_veth("eni", pod), "eth0", IPv4Address("10.0.0.0") + number, table, mtu)


@pytest.mark.parametrize(
    ("namespace", "name", "hashed"),
    [
        ("kube-system", "coredns-57ff979f67-qqbdh", "b5faff8a083"),
        ("kube-system", "coredns-57ff979f67-8ns9b", "9571956a6cc"),
        ("default", "sample-pod", "cc21c2d7785"),
        ("", "", "3a52ce78095"),
        ("kube-system", "web-2", "ca82d32c244"),
    ],
)
def test_names_of_host_veths(namespace: str, name: str, hashed: str) -> None:
    assert host_veth("eni", Pod(namespace, name)) == f"eni{hashed}"
    assert is_host_veth("eni", f"eni{hashed}")
    assert not is_host_veth("eni", f"eni{hashed}0")
    assert not is_host_veth("eni", "eni-lo")
    if (namespace, name) == ("", ""):
        assert host_veth("eni", Pod("", ""), 1) == "enice799470a46"


@pytest.mark.kernel
def test_a_pod_on_a_secondary_eni_is_wired_as_the_original_does_it(host: Netlink, pods: MakePod) -> None:
    pod, want = pods(), wiring(5, table=2)
    wire(host, pod.netlink, pod.fd, want)

    [outside] = ip("link", "show", want.host_veth)
    assert outside["operstate"] == "UP"
    assert outside["mtu"] == 9001
    assert int(outside["address"][:2], 16) & 3 == 2
    assert ip("route", "show", "10.0.0.5") == [
        {"dst": "10.0.0.5", "dev": want.host_veth, "scope": "link", "flags": []}
    ]
    assert [r for r in ip("rule") if r["priority"] in {512, 1536}] == [
        {"priority": 512, "src": "all", "dst": "10.0.0.5", "table": "main"},
        {"priority": 1536, "src": "10.0.0.5", "table": "2"},
    ]
    [inside] = ip("addr", "show", "eth0", sandbox=pod)
    assert [(a["local"], a["prefixlen"]) for a in inside["addr_info"] if a["family"] == "inet"] == [
        ("10.0.0.5", 32)
    ]
    assert {(r["dst"], r.get("gateway"), r.get("scope")) for r in ip("route", sandbox=pod)} == {
        ("default", "169.254.1.1", None),
        ("169.254.1.1", None, "link"),
    }
    [neighbour] = ip("neigh", sandbox=pod)
    assert (neighbour["dst"], neighbour["lladdr"], neighbour["state"]) == (
        "169.254.1.1",
        outside["address"],
        ["PERMANENT"],
    )
    assert check(host, pod.netlink, want) == []


@pytest.mark.kernel
def test_two_pods_of_a_node_reach_each_other_and_the_node(host: Netlink, pods: MakePod) -> None:

    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    first, second = pods(), pods()
    wire(host, first.netlink, first.fd, wiring(5))
    wire(host, second.netlink, second.fd, wiring(6))
    assert " 0% packet loss" in first.run("ping", "-c", "1", "-W", "2", "10.0.0.6")
    assert [r["priority"] for r in ip("rule")] == [0, 512, 512, 32766, 32767]


@pytest.mark.kernel
def test_wiring_again_what_an_interrupted_add_left_is_fine(host: Netlink, pods: MakePod) -> None:
    pod = pods()
    for _ in range(3):
        wire(host, pod.netlink, pod.fd, wiring(5, table=2))
        assert check(host, pod.netlink, wiring(5, table=2)) == []
    assert len([r for r in ip("rule") if r["priority"] in {512, 1536}]) == 2
    successor = pods()  # the pod's next sandbox, before the old one is gone
    wire(host, successor.netlink, successor.fd, wiring(5, table=2))
    assert check(host, successor.netlink, wiring(5, table=2)) == []
    reap(host)
    assert check(host, successor.netlink, wiring(5, table=2)) == []
    assert [link.name for link in nl.links(host) if link.name.startswith("gone")] == []


@pytest.mark.kernel
def test_unwiring_leaves_nothing_and_can_be_repeated(host: Netlink, pods: MakePod) -> None:
    pod, other = pods(), pods()
    wire(host, other.netlink, other.fd, wiring(6, table=2))
    before = (ip("rule"), ip("route"), {link.name for link in nl.links(host)})
    for table in (2, None):
        wire(host, pod.netlink, pod.fd, wiring(5, table=2))
        for _ in range(2):
            unwire(host, IPv4Address("10.0.0.5"), wiring(5).host_veth, table)
        reap(host)
        assert (ip("rule"), ip("route"), {link.name for link in nl.links(host)}) == before
        assert nl.link_named(pod.netlink, "eth0") is None


@pytest.mark.kernel
def test_a_wiring_that_fails_half_way_is_undone_and_says_for_whom(host: Netlink, pods: MakePod) -> None:
    pod = pods()
    before = (ip("rule"), ip("route"))
    bad = PodWiring("default/p5", "enibad", "eth0", IPv4Address("10.0.0.5"), 2, mtu=9001)
    with pytest.raises(WiringError, match=r"pod default/p5: .*"), open(os.devnull) as null:
        wire(host, pod.netlink, null.fileno(), bad)  # no namespace at all
    assert (ip("rule"), ip("route")) == before
    assert nl.link_named(host, "enibad") is None


@pytest.mark.kernel
def test_check_names_every_difference(host: Netlink, pods: MakePod) -> None:
    pod, want = pods(), wiring(5, table=2)
    wire(host, pod.netlink, pod.fd, want)
    subprocess.run(["ip", "rule", "del", "prio", "1536"], check=True)
    pod.run("ip", "addr", "add", "10.9.9.9/32", "dev", "eth0")
    pod.run("ip", "route", "del", "default")
    differences = check(host, pod.netlink, want)
    assert len(differences) == 3
    assert "rule 1536: from 10.0.0.5/32 lookup 2 is missing" in differences
    unwire(host, want.address, want.host_veth)
    assert f"the host has no link {want.host_veth}" in check(host, pod.netlink, want)


@pytest.mark.kernel
def test_the_kernels_own_words_are_in_the_error(host: Netlink) -> None:
    with pytest.raises(NetlinkError, match="set link 4711: No such device") as caught:
        host.run([nl.set_link(4711, up=True)])
    assert caught.value.what == "set link 4711"
