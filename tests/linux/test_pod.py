"""Pods are wired in a real kernel, and packets go through."""

import errno
import os
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.linux.namespaces import IPV4_EVENTS, MakeSandbox, Sandbox, ip, rules, run, state, wiring

from vpccni.linux.check import check
from vpccni.linux.graveyard import bury, reap
from vpccni.linux.layout import RulesLayout, pod_rules
from vpccni.linux.links import add_veth, links
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink, NetlinkError, Request
from vpccni.linux.rules import add_missing_rule
from vpccni.linux.wiring import WiringError

pytestmark = pytest.mark.kernel


def test_a_pod_on_a_secondary_eni_is_wired_as_the_original_does_it(
    host: Netlink, sandbox: MakeSandbox
) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    wired = wire(host, pod.netlink, pod.fd, want)

    [outside] = ip("link", "show", want.host_veth)
    assert (outside["operstate"], outside["mtu"]) == ("UP", 9001)
    assert (outside["ifindex"], outside["address"]) == (wired.host_index, wired.host_mac)
    assert int(wired.host_mac[:2], 16) & 3 == 2  # locally administered, unicast
    assert run("ip", "route", "show", "10.0.0.5") == f"10.0.0.5 dev {want.host_veth} scope link \n"
    assert "proto" not in run("ip", "route", "show", "10.0.0.5")  # boot is what ip does not tell
    assert rules() == ["512: from all to 10.0.0.5 lookup main", "1536: from 10.0.0.5 lookup 2"]

    [inside] = pod.ip("addr", "show", "eth0")
    assert (inside["ifindex"], inside["address"], inside["mtu"]) == (
        wired.container_index,
        wired.container_mac,
        9001,
    )
    assert [(a["local"], a["prefixlen"]) for a in inside["addr_info"] if a["family"] == "inet"] == [
        ("10.0.0.5", 32)
    ]
    assert pod.run("ip", "route").splitlines() == [
        "default via 169.254.1.1 dev eth0 ",
        "169.254.1.1 dev eth0 scope link ",
    ]
    assert pod.run("ip", "neigh") == f"169.254.1.1 dev eth0 lladdr {wired.host_mac} PERMANENT \n"
    assert pod.run("ip", "rule").count(":") == 3
    assert pod.pings("127.0.0.1")
    assert check(host, pod.netlink, want) == []


def test_a_pod_on_the_primary_eni_has_one_rule(host: Netlink, sandbox: MakeSandbox) -> None:
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5, mtu=1280))
    assert rules() == ["512: from all to 10.0.0.5 lookup main"]
    assert [
        link["mtu"] for link in (*ip("link", "show", wiring(5).host_veth), *pod.ip("link", "show", "eth0"))
    ] == [1280] * 2


def test_an_eni_of_another_card_has_a_table_beyond_a_byte(host: Netlink, sandbox: MakeSandbox) -> None:
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5, table=10101))
    assert rules()[1] == "1536: from 10.0.0.5 lookup 10101"
    unwire(host, IPv4Address("10.0.0.5"), wiring(5).host_veth, 10101)
    assert rules() == []


def test_pods_reach_each_other_and_the_node_reaches_them(host: Netlink, sandbox: MakeSandbox) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    first, second = sandbox(), sandbox()
    wire(host, first.netlink, first.fd, wiring(5))
    wire(host, second.netlink, second.fd, wiring(6))
    run("ip", "addr", "add", "10.0.0.1/32", "dev", "lo")
    assert first.pings("10.0.0.6")
    assert second.pings("10.0.0.5")
    assert first.pings("10.0.0.1")
    run("ping", "-c", "1", "-W", "2", "10.0.0.6")
    assert not first.pings("10.0.0.7")


def test_the_hosts_end_has_its_sysctls_before_it_is_up(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5)
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    Path("/proc/sys/net/ipv6/conf/default/accept_redirects").write_text("0")
    wire(host, pod.netlink, pod.fd, want)
    conf = Path("/proc/sys/net/ipv6/conf") / want.host_veth
    assert [(conf / name).read_text() for name in ("accept_ra", "accept_redirects", "forwarding")] == [
        "0\n",
        "1\n",
        "0\n",
    ]


def test_the_sysctls_are_written_through_the_passed_directory(
    host: Netlink, sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod, want = sandbox(), wiring(5)
    directory = os.open("/proc/sys/net/ipv6/conf", os.O_RDONLY | os.O_DIRECTORY)
    monkeypatch.setattr("vpccni.linux.sysctl.ROOT", "/nowhere")
    try:
        wire(host, pod.netlink, pod.fd, want, directory)
    finally:
        os.close(directory)
    assert Path(f"/proc/sys/net/ipv6/conf/{want.host_veth}/accept_ra").read_text() == "0\n"


def test_a_pod_that_is_wired_rightly_is_left_as_it_is(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    first = wire(host, pod.netlink, pod.fd, want)
    # not of links: the kernel tells of carriers up to a second after the change; that they are the same shows anyhow
    with Netlink(groups=IPV4_EVENTS) as outside, pod.call(lambda: Netlink(groups=IPV4_EVENTS)) as inside:
        assert wire(host, pod.netlink, pod.fd, want) == first
        assert not outside.events(0.01)
        assert not inside.events(0.01)


BREAKS = [
    ("ip", "rule", "del", "prio", "512"),
    ("ip", "rule", "del", "prio", "1536"),
    ("ip", "route", "del", "10.0.0.5"),
    ("ip", "link", "set", wiring(5).host_veth, "down"),
    ("ip", "link", "set", wiring(5).host_veth, "mtu", "1400"),
    ("ip", "link", "set", wiring(5).host_veth, "address", "02:00:00:00:00:77"),
    ("ip", "link", "del", wiring(5).host_veth),
    ("ip", "rule", "add", "prio", "1536", "from", "10.0.0.5", "lookup", "3"),
]
INNER_BREAKS = [
    ("ip", "link", "set", "eth0", "down"),
    ("ip", "link", "set", "lo", "down"),
    ("ip", "addr", "flush", "dev", "eth0"),
    ("ip", "addr", "add", "10.0.0.99/32", "dev", "eth0"),
    ("ip", "route", "del", "default"),
    ("ip", "neigh", "flush", "nud", "permanent"),
]


@pytest.mark.parametrize("command", BREAKS, ids=" ".join)
def test_what_an_interrupted_add_left_outside_is_made_whole(
    host: Netlink, sandbox: MakeSandbox, command: tuple[str, ...]
) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    wire(host, pod.netlink, pod.fd, want)
    run(*command)
    assert check(host, pod.netlink, want)
    wire(host, pod.netlink, pod.fd, want)
    assert check(host, pod.netlink, want) == []
    assert len(rules()) == 2


@pytest.mark.parametrize("command", INNER_BREAKS, ids=" ".join)
def test_what_an_interrupted_add_left_inside_is_made_whole(
    host: Netlink, sandbox: MakeSandbox, command: tuple[str, ...]
) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    wire(host, pod.netlink, pod.fd, want)
    pod.run(*command)
    assert check(host, pod.netlink, want)
    wire(host, pod.netlink, pod.fd, want)
    assert check(host, pod.netlink, want) == []


def test_the_next_sandbox_of_a_pod_takes_its_place_before_the_old_one_is_gone(
    host: Netlink, sandbox: MakeSandbox
) -> None:
    old, new, want = sandbox(), sandbox(), wiring(5, table=2)
    wire(host, old.netlink, old.fd, want)
    wire(host, new.netlink, new.fd, want)
    assert check(host, new.netlink, want) == []
    reap(host)
    assert check(host, new.netlink, want) == []
    assert [link.name for link in links(host)] == ["lo", want.host_veth]
    assert old.run("ip", "-br", "link").split()[0] == "lo"


def test_older_rules_and_routes_that_name_the_address_go(host: Netlink, sandbox: MakeSandbox) -> None:
    other, pod = sandbox(), sandbox()
    wire(host, other.netlink, other.fd, replace(wiring(6), address=IPv4Address("10.0.0.5"), table=3))
    for table in ("7", "8", "9"):
        run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.5", "lookup", table)
    run("ip", "rule", "add", "prio", "512", "to", "10.0.0.5", "lookup", "7")
    run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.50", "lookup", "3")  # of another pod
    wire(host, pod.netlink, pod.fd, wiring(5, table=2))
    assert rules() == [
        "512: from all to 10.0.0.5 lookup main",
        "1536: from 10.0.0.50 lookup 3",
        "1536: from 10.0.0.5 lookup 2",
    ]
    assert wiring(5).host_veth in run("ip", "route", "show", "10.0.0.5")
    assert check(host, pod.netlink, wiring(5, table=2)) == []


def test_a_device_of_somebody_else_in_the_sandbox_is_not_taken_away(
    host: Netlink, sandbox: MakeSandbox
) -> None:
    pod, before = sandbox(), state()
    pod.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "theirs")
    with pytest.raises(WiringError, match="pod default/p5: the sandbox has a link eth0 that we did not make"):
        wire(host, pod.netlink, pod.fd, wiring(5, table=2))
    assert state() == before
    assert len(pod.ip("link")) == 3


def test_a_pair_of_somebody_else_between_host_and_sandbox_is_not_taken_away(
    host: Netlink, sandbox: MakeSandbox
) -> None:
    pod = sandbox()
    host.run(
        [add_veth("theirs", bytes([2, 0, 0, 0, 0, 9]), 1500, peer="eth0", peer_netns=pod.fd, peer_mtu=1500)]
    )
    before, inside = state(), pod.ip("link")
    with pytest.raises(WiringError, match="the sandbox has a link eth0 that we did not make"):
        wire(host, pod.netlink, pod.fd, wiring(5))
    assert (state(), pod.ip("link")) == (before, inside)


def test_a_number_alone_does_not_make_a_device_ours(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, other = sandbox(), sandbox()
    buried = wire(host, other.netlink, other.fd, wiring(6)).host_index
    bury(host, wiring(6).host_veth)
    pod.run(
        "ip", "link", "add", "eth0", "index", "900", "type", "veth", "peer", "name", "x", "index", str(buried)
    )
    with pytest.raises(WiringError, match="the sandbox has a link eth0 that we did not make"):
        wire(host, pod.netlink, pod.fd, wiring(5))
    assert len(pod.ip("link")) == 3


def test_descriptors_of_two_namespaces_are_refused(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, other, before = sandbox(), sandbox(), state()
    other.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "theirs")
    inside = other.run("ip", "addr")
    with pytest.raises(WiringError, match="eth0 in the sandbox is not the other end of"):
        wire(host, other.netlink, pod.fd, wiring(5, table=2))
    assert other.run("ip", "addr") == inside
    assert state() == before


def test_no_namespace_at_all_is_said_with_the_kernels_words(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, before = sandbox(), state()
    with (
        open(os.devnull) as null,
        pytest.raises(WiringError, match=r"^pod default/p5: add veth .*: Invalid") as caught,
    ):
        wire(host, pod.netlink, null.fileno(), wiring(5, table=2))
    assert caught.value.errno == errno.EINVAL
    assert state() == before


class Failing(Netlink):
    """A socket on which the `at`th request is refused."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def attempt(self, requests: list[Request]) -> list[NetlinkError | None]:  # type: ignore[override]
        outcomes: list[NetlinkError | None] = []
        for request in requests:
            self.left -= 1
            if self.left == 0:
                outcomes.append(NetlinkError(errno.ENOBUFS, request.what))
            else:
                outcomes += super().attempt([request])
        return outcomes


@pytest.mark.parametrize("at", range(1, 8))
def test_whatever_fails_outside_all_is_undone(host: Netlink, sandbox: MakeSandbox, at: int) -> None:
    pod, before = sandbox(), state()
    failing = Failing(at)
    with failing, pytest.raises(WiringError, match=r"pod default/p5: .*No buffer space"):
        wire(failing, pod.netlink, pod.fd, wiring(5, table=2))
    assert state() == before
    assert [link["ifname"] for link in pod.ip("link")] == ["lo"]
    wire(host, pod.netlink, pod.fd, wiring(5, table=2))
    assert check(host, pod.netlink, wiring(5, table=2)) == []


@pytest.mark.parametrize("at", range(1, 7))
def test_whatever_fails_inside_all_is_undone(host: Netlink, sandbox: MakeSandbox, at: int) -> None:
    pod, before = sandbox(), state()
    failing = pod.call(lambda: Failing(at))
    with failing, pytest.raises(WiringError, match=r"pod default/p5: .*No buffer space"):
        wire(host, failing, pod.fd, wiring(5, table=2))
    assert state() == before
    assert [link["ifname"] for link in pod.ip("link")] == ["lo"]


def test_what_could_not_be_undone_is_said(
    host: Netlink, sandbox: MakeSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = sandbox()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "it is forbidden")

    monkeypatch.setattr("vpccni.linux.pod.unwire", refuse)
    with (
        open(os.devnull) as null,
        pytest.raises(
            WiringError, match=r"Invalid argument.*; and it could not be undone: .*it is forbidden"
        ),
    ):
        wire(host, pod.netlink, null.fileno(), wiring(5))


@pytest.mark.parametrize("table", [2, None])
def test_unwiring_leaves_nothing_and_can_be_repeated(
    host: Netlink, sandbox: MakeSandbox, table: int | None
) -> None:
    pod, other = sandbox(), sandbox()
    wire(host, other.netlink, other.fd, wiring(6, table=2))
    before = state()
    wire(host, pod.netlink, pod.fd, wiring(5, table=2))
    for _ in range(2):
        unwire(host, IPv4Address("10.0.0.5"), wiring(5).host_veth, table)
        assert rules() == ["512: from all to 10.0.0.6 lookup main", "1536: from 10.0.0.6 lookup 2"]
        assert run("ip", "route", "show", "10.0.0.5") == ""
    reap(host)
    assert state() == before
    assert [link["ifname"] for link in pod.ip("link")] == ["lo"]


def test_unwiring_takes_every_one_of_several_equal_rules(host: Netlink) -> None:
    host.run([add_missing_rule(rule) for rule in pod_rules(RulesLayout.COMPATIBLE, wiring(5, table=2)) * 3])
    run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.5", "lookup", "3")
    unwire(host, IPv4Address("10.0.0.5"), None, 2)
    assert rules() == ["1536: from 10.0.0.5 lookup 3"]  # not this ENI's
    unwire(host, IPv4Address("10.0.0.5"), None)
    assert rules() == []


def test_a_link_that_is_another_sandboxs_by_now_is_kept(host: Netlink, sandbox: MakeSandbox) -> None:
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5))
    unwire(host, IPv4Address("10.0.0.5"), None)
    assert wiring(5).host_veth in [link.name for link in links(host)]


def test_a_strangers_route_to_the_address_by_a_gateway_is_not_ours(node: Netlink) -> None:
    run("ip", "route", "add", "10.0.0.5/32", "via", "192.168.1.1", "dev", "eth0")
    unwire(node, IPv4Address("10.0.0.5"), None)
    assert "10.0.0.5 via" in run("ip", "route", "show", "10.0.0.5")


def test_many_pods_come_and_go_and_nothing_is_left(host: Netlink, sandbox: MakeSandbox) -> None:
    before = state()
    pods: list[Sandbox] = [sandbox() for _ in range(40)]
    for number, pod in enumerate(pods):
        wire(host, pod.netlink, pod.fd, wiring(number + 10, table=2 + number % 3))
    assert all(
        check(host, pod.netlink, wiring(number + 10, table=2 + number % 3)) == []
        for number, pod in enumerate(pods)
    )
    assert len(rules()) == 80
    for number in range(40):
        unwire(host, wiring(number + 10).address, wiring(number + 10).host_veth, 2 + number % 3)
    reap(host)
    assert state() == before


def test_a_second_interface_has_a_table_of_its_own_inside(host: Netlink, sandbox: MakeSandbox) -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    pod, other = sandbox(), sandbox()
    first = wiring(5)
    second = replace(wiring(6, table=10101), interface="mNicIf1", host_veth="eni00000000006", number=1)
    for want in (first, second):
        wire(host, pod.netlink, pod.fd, want)
        wire(host, pod.netlink, pod.fd, want)  # again, as after an ADD whose answer was lost
    wire(host, other.netlink, other.fd, wiring(7))
    assert pod.run("ip", "route", "show", "table", "1").splitlines() == [
        "default via 169.254.1.2 dev mNicIf1 ",
        "169.254.1.2 dev mNicIf1 scope link ",
    ]
    assert [
        line.split("\t")[1].strip() for line in pod.run("ip", "rule").splitlines() if line.startswith("1:")
    ] == ["from 10.0.0.6 lookup 1"]
    assert other.pings("10.0.0.5")
    assert other.pings("10.0.0.6")
    assert check(host, pod.netlink, first) == []
    assert check(host, pod.netlink, second) == []
    pod.run("ip", "rule", "del", "priority", "1")
    assert check(host, pod.netlink, second) == ["rule 1: from 10.0.0.6/32 lookup 1 is missing in the pod"]
