"""The host's own rules in a real kernel: exactly the original's, written once, never a stranger's."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from vpccni.ipam.values import Eni, EniId, Pod, SubnetId
from vpccni.linux import links as nl
from vpccni.linux.eni import set_up_eni, tear_down_eni, wait_for_link
from vpccni.linux.host import HostSettings, keep_pods, leftovers, remove_leftovers, set_up_host
from vpccni.linux.names import host_veth
from vpccni.linux.pod import PodWiring, wire
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel

CHANGES = 0x1 | 0x10 | 0x40 | 0x80
"""Multicast groups of links, IPv4 addresses, routes and rules."""
MAC, SECOND_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
SETTINGS = HostSettings(
    primary_mac=MAC,
    node_address=IPv4Address("192.168.1.10"),
    vpc_cidrs=(IPv4Network("10.10.0.0/16"), IPv4Network("10.11.0.0/16")),
    exclude_cidrs=(IPv4Network("10.12.0.0/16"), IPv4Network("10.13.0.0/16")),
)
ENI = Eni(
    EniId("eni-2"),
    SECOND_MAC,
    1,
    SubnetId("subnet-1"),
    IPv4Network("192.168.1.0/24"),
    IPv4Address("192.168.1.20"),
)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def node(host: Netlink) -> Iterator[Netlink]:
    """A node with two ENIs: a veth pair's ends."""
    run(
        "ip",
        "link",
        "add",
        "eth0",
        "address",
        MAC,
        "type",
        "veth",
        "peer",
        "name",
        "eth1",
        "address",
        SECOND_MAC,
    )
    run("ip", "link", "set", "eth0", "up")
    run("ip", "addr", "add", "192.168.1.10/24", "dev", "eth0")
    yield host


def listing() -> str:
    return (
        run("iptables-save", "-t", "nat")
        + run("iptables-save", "-t", "mangle")
        + run("nft", "list", "ruleset")
    )


def test_the_rules_are_the_originals_to_the_letter(node: Netlink) -> None:
    assert set_up_host(node, SETTINGS)
    assert run("iptables", "-t", "nat", "-S").splitlines() == [
        "-P PREROUTING ACCEPT",
        "-P INPUT ACCEPT",
        "-P OUTPUT ACCEPT",
        "-P POSTROUTING ACCEPT",
        "-N AWS-SNAT-CHAIN-0",
        '-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0',
        '-A AWS-SNAT-CHAIN-0 -d 10.13.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN',
        '-A AWS-SNAT-CHAIN-0 -d 10.12.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN',
        '-A AWS-SNAT-CHAIN-0 -d 10.11.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN',
        '-A AWS-SNAT-CHAIN-0 -d 10.10.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN',
        '-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL '
        "-j SNAT --to-source 192.168.1.10 --random-fully",
    ]
    assert [line for line in run("iptables", "-t", "mangle", "-S").splitlines() if line.startswith("-A")] == [
        '-A PREROUTING -i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in '
        "-j CONNMARK --set-xmark 0x80/0x80",
        '-A PREROUTING -i eni+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
        '-A PREROUTING -i vlan+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
    ]
    table = run("nft", "-s", "list", "table", "ip", "aws-cni")
    assert "type nat hook prerouting priority dstnat + 10; policy accept;" in table
    assert 'iifname "eni*" counter jump snat-mark' in table
    assert "ct mark set ct mark | 0x00000080" in table
    assert run("ip", "rule").splitlines()[1] == "1024:\tfrom all fwmark 0x80/0x80 lookup main"
    assert Path("/proc/sys/net/ipv4/conf/eth0/rp_filter").read_text() == "2\n"


def test_a_second_run_changes_nothing_and_counters_go_on(node: Netlink) -> None:
    run(
        "iptables",
        "-t",
        "nat",
        "-A",
        "POSTROUTING",
        "-m",
        "comment",
        "--comment",
        "a stranger",
        "-j",
        "ACCEPT",
    )
    run("ip", "rule", "add", "prio", "1024", "from", "10.0.0.1", "fwmark", "0x80/0x80", "lookup", "main")
    set_up_host(node, SETTINGS)
    before = listing()
    with Netlink(groups=CHANGES) as changes:
        assert set_up_host(node, SETTINGS) == []
        assert not changes.events(0.01)
        run("ip", "rule", "add", "prio", "9", "from", "1.1.1.1", "lookup", "9")
        assert changes.events(5.0)  # it would have heard
    assert "a stranger" in listing()
    assert listing() == before
    assert "1024:\tfrom 10.0.0.1 fwmark 0x80/0x80 lookup main" in run("ip", "rule")


def test_what_somebody_broke_is_mended_and_stale_rules_go(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    right = run("iptables-save", "-t", "nat")
    run("iptables", "-t", "nat", "-F", "AWS-SNAT-CHAIN-0")
    run("iptables", "-t", "nat", "-A", "AWS-SNAT-CHAIN-0", "-d", "10.99.0.0/16", "-j", "RETURN")
    run("nft", "flush", "chain", "ip", "aws-cni", "snat-mark")
    run("ip", "rule", "del", "prio", "1024")
    assert len(set_up_host(node, SETTINGS)) == 3
    assert strip_counters(run("iptables-save", "-t", "nat")) == strip_counters(right)
    assert set_up_host(node, SETTINGS) == []


def strip_counters(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if not line.startswith(("#", ":P", ":I", ":O"))]


def test_external_snat_takes_the_rules_away_and_back(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    external = replace(SETTINGS, external_snat=True)
    assert set_up_host(node, external)
    assert "SNAT --to" not in run("iptables-save")
    assert (
        subprocess.run(["nft", "list", "table", "ip", "aws-cni"], capture_output=True, check=False).returncode
        == 1
    )
    assert set_up_host(node, external) == []
    neither = replace(external, node_port=False)
    assert set_up_host(node, neither)
    assert "AWS, primary ENI" not in run("iptables-save", "-t", "mangle")
    assert "1024" not in run("ip", "rule")
    assert set_up_host(node, SETTINGS)
    assert "SNAT --to-source 192.168.1.10" in run("iptables-save", "-t", "nat")


@pytest.mark.parametrize(
    ("ports", "words"), [("prng", "--random-fully"), ("hashrandom", "--random"), ("none", "")]
)
def test_how_source_ports_are_chosen(node: Netlink, ports: str, words: str) -> None:
    set_up_host(node, replace(SETTINGS, ports=ports))
    [rule] = [line for line in run("iptables", "-t", "nat", "-S").splitlines() if "--to-source" in line]
    assert rule.endswith(f"--to-source 192.168.1.10 {words}".rstrip())


def test_an_exclusion_of_everything_has_no_destination_and_survives(node: Netlink) -> None:
    everything = replace(SETTINGS, exclude_cidrs=(IPv4Network("0.0.0.0/0"),))
    set_up_host(node, everything)
    assert '-A AWS-SNAT-CHAIN-0 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN' in run(
        "iptables", "-t", "nat", "-S"
    )
    assert set_up_host(node, everything) == []


def test_external_services_have_a_rule_each(node: Netlink) -> None:
    services = replace(SETTINGS, service_cidrs=(IPv4Network("172.16.0.0/24"), IPv4Network("172.17.0.0/24")))
    set_up_host(node, services)
    assert "1535:\tfrom all to 172.17.0.0/24 lookup main" in run("ip", "rule")
    set_up_host(node, replace(SETTINGS, service_cidrs=(IPv4Network("172.16.0.0/24"),)))
    assert run("ip", "rule").count("1535:") == 1


def test_the_legacy_backend_marks_with_a_chain(
    node: Netlink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("iptables", "iptables-save", "iptables-restore"):
        legacy = name.replace("iptables", "iptables-legacy", 1)
        (tmp_path / name).symlink_to(f"/usr/sbin/{legacy}")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin")
    set_up_host(node, SETTINGS)
    rules = run("iptables", "-t", "nat", "-S").splitlines()
    assert (
        '-A PREROUTING -i eni+ -m comment --comment "AWS, outbound connections" -j AWS-CONNMARK-CHAIN-0'
        in rules
    )
    assert rules[-1].startswith("-A AWS-SNAT-CHAIN-0")
    assert (
        '-A AWS-CONNMARK-CHAIN-0 -m comment --comment "AWS, CONNMARK" -j CONNMARK --set-xmark 0x80/0x80'
        in rules
    )
    order = [line for line in rules if line.startswith("-A PREROUTING")]
    assert "outbound" in order[0]
    assert "--restore-mark" in order[1]
    assert set_up_host(node, SETTINGS) == []
    assert set_up_host(node, replace(SETTINGS, external_snat=True))
    assert "CONNMARK-CHAIN" not in run("iptables", "-t", "nat", "-S")


def test_a_secondary_eni_gets_its_address_table_and_rule_once(node: Netlink) -> None:
    run("ip", "addr", "add", "192.168.1.77/24", "dev", "eth1")  # as a cloud's DHCP client does
    assert set_up_eni(node, ENI, 9001, 5.0)
    assert "192.168.1.20/24" in run("ip", "-br", "addr", "show", "eth1")
    assert "192.168.1.77" not in run("ip", "-br", "addr", "show", "eth1")
    assert run("ip", "route", "show", "table", "2").splitlines() == [
        "default via 192.168.1.1 dev eth1 ",
        "192.168.1.1 dev eth1 scope link ",
    ]
    assert "dev eth1" not in run("ip", "route", "show", "table", "main")
    assert "32765:\tfrom 192.168.1.20 lookup 2" in run("ip", "rule")
    assert set_up_eni(node, ENI, 9001, 5.0) == []
    tear_down_eni(node, ENI)
    assert "32765" not in run("ip", "rule")
    tear_down_eni(node, ENI)


def test_a_device_is_waited_for_and_missed_in_words(host: Netlink) -> None:
    with pytest.raises(OSError, match="no device with MAC 02:00:00:00:00:09 appeared within 0 s"):
        wait_for_link("02:00:00:00:00:09", 0.05)
    with subprocess.Popen(["sh", "-c", f"sleep 0.2; ip link add x address {MAC} type veth peer name y"]):
        assert wait_for_link(MAC, 10.0).name == "x"


def pod_wiring(number: int) -> PodWiring:
    pod = Pod("default", f"p{number}")
    return PodWiring(str(pod), host_veth("eni", pod), "eth0", IPv4Address("192.168.1.100") + number, 2)


def test_after_a_restart_live_pods_are_kept_and_the_dead_ones_traces_go(
    node: Netlink, pods: Callable[[], object]
) -> None:
    for number in (1, 2):
        pod = pods()
        wire(node, pod.netlink, pod.fd, pod_wiring(number))  # type: ignore[attr-defined]
    live, dead = pod_wiring(1), pod_wiring(2)
    run("ip", "rule", "add", "prio", "512", "to", "172.30.0.0/16", "lookup", "main")  # a stranger's
    run("ip", "rule", "add", "prio", "1536", "from", "172.30.0.9", "iif", "lo", "lookup", "7")  # another's
    assert keep_pods(node, [live, dead]) == []
    run("ip", "rule", "del", "prio", "512", "to", "192.168.1.101")
    run("ip", "route", "del", "192.168.1.101")
    assert len(keep_pods(node, [live])) == 2
    found = leftovers(node, "eni", [live])
    assert sorted(str(rule) for rule in found.rules) == [
        "1536: from 192.168.1.102/32 lookup 2",
        "512: to 192.168.1.102/32 lookup 254",
    ]
    assert [str(route.destination) for route in found.routes] == ["192.168.1.102/32"]
    assert found.links == (dead.host_veth,)
    remove_leftovers(node, found)
    again = leftovers(node, "eni", [live])
    assert not again
    rules = run("ip", "rule")
    assert "172.30.0.0/16" in rules
    assert "iif lo" in rules
    assert nl.link_named(node, live.host_veth) is not None
