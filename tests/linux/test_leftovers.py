"""After a restart live pods are whole, the dead ones' traces are gone, strangers are as they were."""

import pytest
from tests.linux.namespaces import IPV4_EVENTS, MakeSandbox, Sandbox, rules, run, state, wiring

from vpccni.linux.check import check
from vpccni.linux.graveyard import reap
from vpccni.linux.leftovers import Leftovers, keep_pods, leftovers, pod_links, remove_leftovers
from vpccni.linux.links import link_named
from vpccni.linux.pod import wire
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
LIVE, DEAD = wiring(101, table=2), wiring(102, table=3)
STRANGERS = [
    "ip rule add prio 512 to 172.30.0.0/16 lookup main",
    "ip rule add prio 512 to 172.30.0.9 lookup 7",
    "ip rule add prio 512 from 172.30.0.9 lookup main",
    "ip rule add prio 1536 from 172.30.0.9 iif lo lookup 7",
    "ip rule add prio 1536 from 172.30.0.9 lookup main",
    "ip rule add prio 1536 from 172.30.0.0/24 lookup 7",
    "ip rule add prio 1536 not from 172.30.0.9 lookup 7",
    "ip rule add prio 600 to 172.30.0.9 lookup main",
    "ip link add eni-theirs type veth peer name enitheirs0000",
    "ip link set eni-theirs up",
    "ip route add 172.30.0.9 dev eni-theirs",
    "ip route add 172.30.0.10 dev lo",
    f"ip route add 172.31.0.0/16 dev {LIVE.host_veth}",  # by a pod, but not to one
    f"ip route add 172.29.0.9/32 via 10.0.0.101 dev {LIVE.host_veth} onlink",
]


@pytest.fixture
def pods(host: Netlink, sandbox: MakeSandbox) -> tuple[Sandbox, Sandbox]:
    """A pod that lives and one that nobody knows any more."""
    live, dead = sandbox(), sandbox()
    wire(host, live.netlink, live.fd, LIVE)
    return live, dead


def test_a_pod_that_is_whole_is_not_touched(host: Netlink, pods: tuple[Sandbox, Sandbox]) -> None:
    with Netlink(groups=IPV4_EVENTS) as events:
        assert keep_pods(host, [LIVE]) == []
        assert not leftovers(host, "eni", [LIVE])
        assert remove_leftovers(host, Leftovers()) == []
        assert not events.events(0.01)


@pytest.mark.parametrize(
    "command",
    [
        "ip rule del prio 512",
        "ip rule del prio 1536",
        "ip route del 10.0.0.101",
        "ip route replace 10.0.0.101 dev lo scope link",
    ],
)
def test_what_a_live_pod_lacks_it_gets(host: Netlink, pods: tuple[Sandbox, Sandbox], command: str) -> None:
    live, _ = pods
    run(*command.split())
    [change] = keep_pods(host, [LIVE])
    assert change.endswith("of pod default/p101")
    assert check(host, live.netlink, LIVE) == []
    assert keep_pods(host, [LIVE]) == []


def test_a_pod_without_its_link_is_left_alone(host: Netlink) -> None:
    before = state()
    assert keep_pods(host, [DEAD]) == []
    assert state() == before


def test_of_the_dead_everything_goes_and_of_strangers_nothing(
    host: Netlink, pods: tuple[Sandbox, Sandbox]
) -> None:
    live, dead = pods
    for command in STRANGERS:
        run(*command.split())
    before = state()
    wire(host, dead.netlink, dead.fd, DEAD)
    found = leftovers(host, "eni", [LIVE])
    assert sorted(map(str, found.rules)) == [
        "1536: from 10.0.0.102/32 lookup 3",
        "512: to 10.0.0.102/32 lookup 254",
    ]
    assert [str(route.destination) for route in found.routes] == ["10.0.0.102/32"]
    assert found.links == (DEAD.host_veth,)
    assert len(remove_leftovers(host, found)) == 4
    reap(host)
    assert state() == before
    assert not leftovers(host, "eni", [LIVE])
    assert check(host, live.netlink, LIVE) == []


def test_rules_of_a_live_address_for_another_table_go(host: Netlink, pods: tuple[Sandbox, Sandbox]) -> None:
    run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.101", "lookup", "9")
    found = leftovers(host, "eni", [LIVE])
    assert [str(rule) for rule in found.rules] == ["1536: from 10.0.0.101/32 lookup 9"]
    remove_leftovers(host, found)
    assert rules() == ["512: from all to 10.0.0.101 lookup main", "1536: from 10.0.0.101 lookup 2"]


def test_rules_without_a_link_are_found_too(host: Netlink) -> None:
    """An agent killed between the two; or the sandbox ended and nobody called DEL."""
    run("ip", "rule", "add", "prio", "512", "to", "10.0.0.102", "lookup", "main")
    run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.102", "lookup", "10101")
    assert len(remove_leftovers(host, leftovers(host, "eni", []))) == 2
    assert rules() == []


def test_the_links_that_are_there_are_told_by_name(host: Netlink, pods: tuple[Sandbox, Sandbox]) -> None:
    run("ip", "link", "add", "eni-theirs", "type", "veth", "peer", "name", "x")
    assert pod_links(host) == {LIVE.host_veth[-11:]: LIVE.host_veth}
    assert link_named(host, "eni-theirs") is not None


def test_a_pod_whose_add_was_cut_off_keeps_nothing_from_starting(
    host: Netlink, pods: tuple[Sandbox, Sandbox]
) -> None:
    run("ip", "rule", "del", "prio", "1536")
    run("ip", "link", "set", LIVE.host_veth, "down")  # takes its route away, too
    assert len(keep_pods(host, [LIVE])) == 3
    assert keep_pods(host, [LIVE]) == []
