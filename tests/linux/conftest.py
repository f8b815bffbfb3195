import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.linux.namespaces import MAC, SECOND_MAC, MakeSandbox, Sandbox, enter, fresh, run, staying
from tests.linux.vpc import Vpc

from vpccni.linux.compact import settle_shared
from vpccni.linux.layout import RulesLayout, mask_beside
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources

NODE_IPV6, OUTSIDE_IPV6 = "2001:db8:1::10", "2001:db8:2::1"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Netlink]:
    """The test is moved into a namespace that plays the node; a netlink socket of it."""
    monkeypatch.setenv("XTABLES_LOCKFILE", str(tmp_path / "xtables.lock"))
    node = fresh()
    try:
        with staying():
            enter(node)
            run("ip", "link", "set", "lo", "up")
            with Netlink() as netlink:
                yield netlink
    finally:
        os.close(node)


@pytest.fixture
def node(host: Netlink) -> Netlink:
    """A node with two ENIs: a veth pair's ends."""
    pair = ["eth0", "address", MAC, "type", "veth", "peer", "name", "eth1", "address", SECOND_MAC]
    run("ip", "link", "add", *pair)
    run("ip", "link", "set", "eth0", "up")
    run("ip", "addr", "add", "192.168.1.10/24", "dev", "eth0")
    return host


@pytest.fixture
def sandbox(host: Netlink) -> Iterator[MakeSandbox]:
    """Makes sandboxes."""
    made: list[Sandbox] = []

    def make() -> Sandbox:
        made.append(Sandbox())
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def legacy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`iptables` is the legacy one."""
    for name in ("iptables", "iptables-save", "iptables-restore"):
        (tmp_path / name).symlink_to(f"/usr/sbin/{name.replace('iptables', 'iptables-legacy', 1)}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(params=list(RulesLayout), ids=lambda layout: str(layout.value))
def sources(request: pytest.FixtureRequest, host: Netlink) -> Iterator[Sources | None]:
    """Each layout: the compact one's map, or None for the compatible one."""
    if request.param is RulesLayout.COMPATIBLE:
        yield None
        return
    made = Sources(mask_beside(0x80))
    settle_shared(host, made, ())
    yield made
    made.close()


@pytest.fixture
def vpc(host: Netlink) -> Iterator[Vpc]:
    """The node has two ENIs in a VPC that drops what does not come from an ENI's own addresses."""
    made = Vpc(host)
    yield made
    made.close()


@pytest.fixture
def internet(host: Netlink, sandbox: MakeSandbox) -> Sandbox:
    """Beyond the node, whose eth0 has a global address of IPv6."""
    del host
    far = sandbox()
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
    run("ip", "link", "set", "far0", "netns", f"/proc/{os.getpid()}/fd/{far.fd}")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "addr", "add", f"{NODE_IPV6}/64", "dev", "eth0", "nodad")
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
    far.run("ip", "link", "set", "far0", "up")
    far.run("ip", "link", "set", "lo", "up")
    far.run("ip", "addr", "add", "2001:db8:1::1/64", "dev", "far0", "nodad")
    far.run("ip", "addr", "add", f"{OUTSIDE_IPV6}/128", "dev", "lo", "nodad")
    run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::1")
    return far
