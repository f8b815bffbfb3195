"""CHECK names every difference, and only differences."""

from collections.abc import Callable

import pytest
from tests.linux.namespaces import MakeSandbox, Sandbox, run, wiring

from vpccni.linux.check import check
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
VETH = wiring(5).host_veth


def outside(*command: str) -> Callable[[Sandbox], object]:
    return lambda _: run(*command)


def inside(*command: str) -> Callable[[Sandbox], object]:
    return lambda pod: pod.run(*command)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (outside("ip", "rule", "del", "prio", "512"), ["rule 512: to 10.0.0.5/32 lookup 254 is missing"]),
        (outside("ip", "rule", "del", "prio", "1536"), ["rule 1536: from 10.0.0.5/32 lookup 2 is missing"]),
        (
            outside("ip", "rule", "add", "prio", "1536", "from", "10.0.0.5", "lookup", "3"),
            ["rule 1536: from 10.0.0.5/32 lookup 3 is not this pod's"],
        ),
        (outside("ip", "route", "del", "10.0.0.5"), ["the host has no route to 10.0.0.5"]),
        (
            outside("ip", "route", "replace", "10.0.0.5", "dev", "lo", "scope", "link"),
            [f"the host's route to 10.0.0.5 does not lead straight to {VETH}"],
        ),
        (
            outside("ip", "link", "set", VETH, "mtu", "1400"),
            [f"the host's {VETH} has MTU 1400, not 9001"],
        ),
        (
            outside("ip", "link", "set", VETH, "down"),
            [f"the host's {VETH} is down", "the host has no route to 10.0.0.5"],
        ),
        (
            outside("ip", "link", "set", VETH, "address", "02:00:00:00:00:77"),
            [f"the pod's neighbour 169.254.1.1 is not 02:00:00:00:00:77, the MAC of {VETH}"],
        ),
        (inside("ip", "link", "set", "lo", "down"), ["lo of the pod is down"]),
        (inside("ip", "link", "set", "eth0", "mtu", "1400"), ["the pod's eth0 has MTU 1400, not 9001"]),
        (
            inside("ip", "addr", "add", "10.0.0.9/32", "dev", "eth0"),
            ["eth0 of the pod holds 10.0.0.5/32, 10.0.0.9/32, not 10.0.0.5/32"],
        ),
        (inside("ip", "route", "del", "default"), ["the pod's route default is missing or another"]),
        (
            inside("ip", "neigh", "del", "169.254.1.1", "dev", "eth0"),
            ["the pod's neighbour 169.254.1.1 is not {mac}, the MAC of " + VETH],
        ),
        (inside("ip", "link", "set", "eth0", "name", "eth1"), ["the pod has no link eth0"]),
    ],
)
def test_a_difference_is_said(
    host: Netlink, sandbox: MakeSandbox, spoil: Callable[[Sandbox], object], said: list[str]
) -> None:
    pod = sandbox()
    wired = wire(host, pod.netlink, pod.fd, wiring(5, table=2))
    assert check(host, pod.netlink, wiring(5, table=2)) == []
    spoil(pod)
    assert check(host, pod.netlink, wiring(5, table=2)) == [
        line.replace("{mac}", wired.host_mac) for line in said
    ]


def test_a_link_that_is_gone_is_said_on_both_sides(host: Netlink, sandbox: MakeSandbox) -> None:
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5))
    run("ip", "link", "del", VETH)
    assert check(host, pod.netlink, wiring(5)) == [
        f"the host has no link {VETH}",
        "the host has no route to 10.0.0.5",
        "the pod has no link eth0",
    ]


def test_another_pods_link_is_not_taken_for_this_ones(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, other = sandbox(), sandbox()
    wire(host, pod.netlink, pod.fd, wiring(5))
    wire(host, other.netlink, other.fd, wiring(6))
    assert f"eth0 of the pod is not the other end of {VETH}" in check(host, other.netlink, wiring(5))


def test_a_pod_that_was_unwired_lacks_everything_outside(host: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    wire(host, pod.netlink, pod.fd, want)
    unwire(host, want.address, want.host_veth, 2)
    said = check(host, pod.netlink, want)
    assert said[0] == f"the host has no link {VETH}"
    assert len([line for line in said if line.startswith("rule ")]) == 2
