"""A VPC's router as the node's wires see it: an address is delivered to the ENI that holds it, and must come from there."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.linux.namespaces import MAC, SECOND_MAC, Sandbox, run

from vpccni.ipam.values import Eni, EniId, SubnetId
from vpccni.linux.eni import set_up_eni
from vpccni.linux.host import HostSettings, set_up_host
from vpccni.linux.pod import wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources
from vpccni.linux.wiring import PodWiring

SUBNET = IPv4Network("10.0.0.0/24")
OUTSIDE = "198.51.100.10"
PEER = "10.9.0.10"
SECOND = Eni(EniId("eni-2"), SECOND_MAC, 1, SubnetId("subnet-1"), SUBNET, IPv4Address("10.0.0.20"))
SETTINGS = HostSettings(
    primary_mac=MAC,
    node_address=IPv4Address("10.0.0.10"),
    vpc_cidrs=(SUBNET,),
    exclude_cidrs=(IPv4Network("10.9.0.0/16"),),
)


class Vpc:
    """The router's namespace; the test's own is the node, with ENIs eth0 (10.0.0.10) and eth1 (10.0.0.20)."""

    def __init__(self, host: Netlink) -> None:
        self.router = Sandbox()
        for number, (name, mac) in enumerate((("eth0", MAC), ("eth1", SECOND_MAC))):
            far = ["peer", "name", f"r{number}", "address", f"0e:00:00:00:00:0{number + 1}"]
            run("ip", "link", "add", name, "address", mac, "type", "veth", *far)
            run("ip", "link", "set", f"r{number}", "netns", f"/proc/{os.getpid()}/fd/{self.router.fd}")
            self.router.run("ip", "link", "set", f"r{number}", "mtu", "9001", "up")
            run("ip", "link", "set", name, "mtu", "9001", "up")
        self.router.call(lambda: _sysctls("ip_forward=1", "conf/r0/rp_filter=1", "conf/r1/rp_filter=1"))
        self.router.call(lambda: _sysctls("conf/r0/proxy_arp=1", "conf/r1/proxy_arp=1"))
        self.router.run("ip", "link", "set", "lo", "up")
        for address in ("10.0.0.1/32", f"{OUTSIDE}/32", f"{PEER}/32"):
            self.router.run("ip", "addr", "add", address, "dev", "lo")
        self.hold("10.0.0.10", 0)
        self.hold("10.0.0.20", 1)
        run("ip", "addr", "add", "10.0.0.10/24", "dev", "eth0")
        run("ip", "route", "add", "default", "via", "10.0.0.1")
        _sysctls("ip_forward=1")
        set_up_host(host, SETTINGS)
        set_up_eni(host, SECOND, 9001, 5.0)

    def hold(self, address: str, eni: int) -> None:
        """The ENI holds the address from now on."""
        self.router.run("ip", "route", "replace", f"{address}/32", "dev", f"r{eni}", "scope", "link")
        mac = (MAC, SECOND_MAC)[eni]
        self.router.run("ip", "neigh", "replace", address, "lladdr", mac, "dev", f"r{eni}")

    def close(self) -> None:
        self.router.close()


def _sysctls(*settings: str) -> None:
    for setting in settings:
        path, value = setting.split("=")
        Path("/proc/sys/net/ipv4", path).write_text(value)


def connect(host: Netlink, vpc: Vpc, pod: Sandbox, want: PodWiring, sources: Sources | None) -> None:
    wire(host, pod.netlink, pod.fd, want, None, sources)
    vpc.hold(str(want.address), 0 if want.table == 254 else 1)


def seen_from(vpc: Vpc, pod: Sandbox, address: str) -> str:
    """The source address that the far end sees."""
    command = ["tcpdump", "-lni", "any", "-c", "1", "icmp[icmptype]=icmp-echo", "and", "dst", "host", address]
    watching = vpc.router.call(
        lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    )
    assert watching.stderr is not None
    for line in watching.stderr:
        if "listening" in line:
            break
    assert pod.pings(address)
    return watching.communicate(timeout=10)[0].split(" > ")[0].split()[-1]


@contextlib.contextmanager
def pinging(pod: Sandbox, address: str, every: float = 0.01) -> Iterator[list[str]]:
    """Ping all the time; in the end the list has ping's summary."""
    said: list[str] = []
    command = ["ping", "-n", "-i", str(every), "-W", "1", address]
    running = pod.call(
        lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "bytes from" in line:
            break
    try:
        yield said
    finally:
        time.sleep(0.1)  # what is under way has time to come back
        running.send_signal(2)
        said += [line for line in running.communicate()[0].splitlines() if "packet loss" in line]
