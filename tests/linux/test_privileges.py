"""The agent's container: CAP_NET_ADMIN and CAP_NET_RAW, nothing else, and a /proc/sys that cannot be written."""

import os
import subprocess
import sys

import pytest
from tests.linux.namespaces import MakeSandbox, ip, rules, run, wiring

from vpccni.linux.check import check
from vpccni.linux.rtnl import Netlink

AGENT = """
import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tests.linux.namespaces import ENI, MAC, wiring
from vpccni.linux.eni import set_up_eni
from vpccni.linux.host import HostSettings, set_up_host
from vpccni.linux.pod import reap, unwire, wire
from vpccni.linux.rtnl import Netlink

assert "CapEff:\\t0000000000003000" in Path("/proc/self/status").read_text()
assert not __import__("os").access("/proc/sys/net/ipv6/conf/lo/accept_ra", 2)
netns, inside, sysctl_dir = map(int, sys.argv[1:])
want = wiring(5, table=2)
with Netlink() as host, Netlink.from_fd(inside) as pod:
    settings = HostSettings(MAC, IPv4Address("192.168.1.10"), (IPv4Network("192.168.0.0/16"),))
    assert "set rp_filter of eth0 to 2" in set_up_host(host, settings)
    assert set_up_host(host, settings) == []
    set_up_eni(host, ENI, 9001, 5.0)
    for _ in range(2):
        wire(host, pod, netns, want, sysctl_dir)
        unwire(host, want.address, want.host_veth, 2)
        reap(host)
    wire(host, pod, netns, want, sysctl_dir)
"""


@pytest.mark.kernel
def test_two_capabilities_and_three_descriptors_are_enough(node: Netlink, sandbox: MakeSandbox) -> None:
    pod, want = sandbox(), wiring(5, table=2)
    sysctl_dir = os.open("/proc/sys/net/ipv6/conf", os.O_RDONLY | os.O_DIRECTORY)
    fds = [pod.fd, pod.netlink.sock.fileno(), sysctl_dir]
    caps = "-all,+net_admin,+net_raw"
    script = (
        "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && "
        f'exec setpriv --inh-caps={caps} --bounding-set={caps} "$@"'
    )
    argv = [sys.executable, "-c", AGENT, *map(str, fds)]
    try:
        done = subprocess.run(
            ["unshare", "-m", "sh", "-ec", script, "sh", *argv],
            capture_output=True,
            text=True,
            pass_fds=fds,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
    finally:
        os.close(sysctl_dir)
    assert done.returncode == 0, done.stderr
    assert check(node, pod.netlink, want) == []
    assert run("cat", f"/proc/sys/net/ipv6/conf/{want.host_veth}/accept_ra") == "0\n"
    assert "1536: from 10.0.0.5 lookup 2" in rules()
    assert [link["ifname"] for link in ip("link")] == ["lo", "eth1", "eth0", want.host_veth]
