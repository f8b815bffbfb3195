"""Which source address the far end sees, in each mode, with each iptables, under each layout: with packets."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from tests.linux.namespaces import MakeSandbox, rules, wiring
from tests.linux.vpc import OUTSIDE, PEER, SETTINGS, Vpc, connect, seen_from

from vpccni.linux.host import set_up_host
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources

pytestmark = pytest.mark.kernel
FIRST, SECOND = wiring(101), wiring(102, table=2)
NODE, OWN, OTHER = "10.0.0.10", "10.0.0.101", "10.0.0.102"


@pytest.fixture(params=["nft", "legacy"])
def iptables(request: pytest.FixtureRequest) -> None:
    """Either of the kernel's interfaces."""
    if request.param == "legacy":
        request.getfixturevalue("legacy")


@pytest.mark.usefixtures("iptables")
def test_who_is_seen(
    host: Netlink, iptables: None, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    first, second = sandbox(), sandbox()
    connect(host, vpc, first, FIRST, sources)
    connect(host, vpc, second, SECOND, sources)

    def seen() -> tuple[str, ...]:
        return tuple(seen_from(vpc, pod, to) for to in (OUTSIDE, PEER) for pod in (first, second))

    assert seen() == (NODE, NODE, OWN, OTHER)
    without = replace(SETTINGS, exclude_cidrs=())
    set_up_host(host, without)
    assert seen() == (NODE, NODE, NODE, NODE)
    # the VPC gets another CIDR at run time, and loses it
    set_up_host(host, replace(without, vpc_cidrs=(*without.vpc_cidrs, IPv4Network("10.9.0.0/16"))))
    assert seen() == (NODE, NODE, OWN, OTHER)
    set_up_host(host, without)
    assert seen() == (NODE, NODE, NODE, NODE)
    for ports in ("hashrandom", "none"):
        set_up_host(host, replace(SETTINGS, ports=ports))
        assert seen() == (NODE, NODE, OWN, OTHER)
    for node_port in (True, False):
        set_up_host(host, replace(SETTINGS, external_snat=True, node_port=node_port))
        assert seen() == (OWN, OTHER, OWN, OTHER)
    set_up_host(host, SETTINGS)
    assert seen() == (NODE, NODE, OWN, OTHER)


def test_what_is_sent_to_an_external_service_leaves_by_the_primary(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    pod = sandbox()
    connect(host, vpc, pod, SECOND, sources)
    settings = replace(SETTINGS, service_cidrs=(IPv4Network(f"{PEER}/32"),), exclude_cidrs=())
    set_up_host(host, settings)
    assert f"1535: from all to {PEER} lookup main" in rules()
    assert seen_from(vpc, pod, PEER) == NODE
    vpc.router.run("ip", "link", "set", "r1", "down")  # the pod's own ENI is not needed for it
    assert pod.pings(PEER)
    assert not pod.pings("10.0.0.1")
