"""Links of pods that are gone are out of use at once, removed together, and nothing else with them."""

import pytest
from tests.linux.namespaces import MakeSandbox, ip, run, wiring

from vpccni.linux.graveyard import REAPED, bury, reap
from vpccni.linux.links import link_named, links
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel


def test_a_buried_link_is_down_renamed_and_waits(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5)
    wired = wire(host, pod.netlink, pod.fd, want)
    run("ip", "addr", "add", "10.0.0.1/32", "dev", "lo")
    assert pod.pings("10.0.0.1")
    bury(host, want.host_veth)
    [buried] = [link for link in links(host) if link.index == wired.host_index]
    assert (buried.name, buried.up, buried.group) == (f"gone{wired.host_index:x}", False, REAPED)
    assert link_named(host, want.host_veth) is None
    assert not pod.pings("10.0.0.1")


def test_reaping_takes_the_buried_and_nothing_else(host: Netlink, sandbox: MakeSandbox) -> None:
    run("ip", "link", "add", "theirs", "group", "7", "type", "veth", "peer", "name", "theirs2")
    pods = [sandbox() for _ in range(4)]
    for number, pod in enumerate(pods):
        wire(host, pod.netlink, pod.fd, wiring(number))
    for number in (0, 2):
        bury(host, wiring(number).host_veth)
    reap(host)
    kept = {"lo", "theirs", "theirs2", wiring(1).host_veth, wiring(3).host_veth}
    assert {link["ifname"] for link in ip("link")} == kept
    assert [len(pod.ip("link")) for pod in pods] == [1, 2, 1, 2]


def test_nothing_to_bury_and_nothing_to_reap_is_fine(host: Netlink) -> None:
    before = links(host)
    bury(host, "eni00000000000")
    reap(host)
    assert links(host) == before


def test_what_a_killed_agent_buried_the_next_one_reaps(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5)
    wire(host, pod.netlink, pod.fd, want)
    unwire(host, want.address, want.host_veth)
    with Netlink() as successor:
        reap(successor)
    assert [link["ifname"] for link in ip("link")] == ["lo"]


def test_a_sandbox_that_ended_took_its_link_with_it(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5)
    wire(host, pod.netlink, pod.fd, want)
    pod.run("ip", "link", "del", "eth0")
    unwire(host, want.address, want.host_veth)
    assert [link["ifname"] for link in ip("link")] == ["lo"]
