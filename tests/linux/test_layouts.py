"""Both layouts of the pods' rules: the same packets get through, and one is exchanged for the other without losing any."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.linux.namespaces import MakeSandbox, rules, run, state, wiring
from tests.linux.vpc import OUTSIDE, PEER, Vpc, connect, pinging, seen_from

from vpccni.linux.check import check
from vpccni.linux.graveyard import reap
from vpccni.linux.layout import mask_beside
from vpccni.linux.leftovers import keep_pods, leftovers, remove_leftovers
from vpccni.linux.pod import unwire, wire
from vpccni.linux.rtnl import Netlink
from vpccni.linux.sources import Sources

pytestmark = pytest.mark.kernel
FIRST, SECOND, THIRD = wiring(101), wiring(102, table=2), wiring(103, table=2)


def test_every_way_a_packet_can_go(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    first, second, third = sandbox(), sandbox(), sandbox()
    for pod, want in ((first, FIRST), (second, SECOND), (third, THIRD)):
        connect(host, vpc, pod, want, sources)
        assert check(host, pod.netlink, want, sources) == []
    assert first.pings("10.0.0.102")  # the same node, another ENI
    assert second.pings("10.0.0.103")  # the same ENI
    assert second.pings("10.0.0.10")  # the node
    run("ping", "-c", "1", "-W", "2", "10.0.0.102")  # from the node
    for pod, own in ((first, "10.0.0.101"), (second, "10.0.0.102")):
        assert seen_from(vpc, pod, "10.0.0.1") == own  # in the VPC
        assert seen_from(vpc, pod, PEER) == own  # excluded from SNAT
        assert seen_from(vpc, pod, OUTSIDE) == "10.0.0.10"  # beyond: by the primary ENI with its address
    for address in ("10.0.0.101", "10.0.0.102"):
        vpc.router.run("ping", "-c", "1", "-W", "2", "-I", PEER, address)  # from outside the node


@pytest.mark.parametrize("all_devices", ["0", "1", "2"])
def test_what_comes_in_by_a_secondary_eni_passes_the_source_check(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None, all_devices: str
) -> None:
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text(all_devices)
    pod = sandbox()
    connect(host, vpc, pod, SECOND, sources)
    vpc.router.run("ping", "-c", "1", "-W", "2", "-I", PEER, "10.0.0.102")


def test_marks_of_others_stay(host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None) -> None:
    pod = sandbox()
    connect(host, vpc, pod, SECOND, sources)
    theirs = "0x40500/0xffff00"
    mark = ["iptables", "-t", "mangle", "-A"]
    run(*mark, "PREROUTING", "-s", "10.0.0.102", "-j", "MARK", "--set-xmark", theirs)
    run(*mark, "FORWARD", "-s", "10.0.0.102", "-m", "mark", "--mark", theirs)
    pod.run("ping", "-c", "3", "-i", "0.1", "-W", "2", "10.0.0.1")
    saved = run("iptables-save", "-c", "-t", "mangle").splitlines()
    # the original's nft chain clears the mark of a connection's first packet, in whatever layout
    assert [line.split()[0] for line in saved if "FORWARD -s" in line] == ["[2:168]"]


def test_nothing_that_packets_walk_grows_with_the_pods(host: Netlink, sandbox: MakeSandbox) -> None:
    sources = Sources(mask_beside(0x80))
    for number in range(30):
        pod = sandbox()
        wire(host, pod.netlink, pod.fd, wiring(10 + number, table=2 + number % 2), None, sources)
    assert rules() == [
        "512: from all lookup 20512",
        "1536: from all fwmark 0x1/0x7f lookup 2",
        "1536: from all fwmark 0x2/0x7f lookup 3",
    ]
    assert run("ip", "route", "show", "table", "main") == ""
    assert run("nft", "list", "table", "ip", "vpc-cni-pods").count("goto") == 30
    before = sources.tables.copy()
    assert sources.settle() == []
    assert len(before) == 30
    for number in range(30):
        unwire(host, wiring(10 + number).address, wiring(10 + number).host_veth, None, sources)
    assert "goto" not in run("nft", "list", "table", "ip", "vpc-cni-pods")
    assert run("ip", "route", "show", "table", "20512") == ""
    sources.close()


def test_the_layout_is_exchanged_while_pods_run_and_no_packet_is_lost(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    first, second = sandbox(), sandbox()
    live = [FIRST, SECOND]
    for pod, want in ((first, FIRST), (second, SECOND)):
        connect(host, vpc, pod, want, None)
    before = state()
    with (
        pinging(second, "10.0.0.1") as in_vpc,
        pinging(second, OUTSIDE) as outside,
        pinging(first, "10.0.0.102") as between,
        pinging(first, PEER) as primary,
    ):
        for _ in range(5):
            sources = Sources(mask_beside(0x80))
            keep_pods(host, live, sources)
            remove_leftovers(host, leftovers(host, "eni", live, sources=sources))
            assert "lookup 20512" in rules()[0]
            assert all("10.0.0.10" not in rule for rule in rules())
            assert not leftovers(host, "eni", live, sources=sources)
            assert check(host, second.netlink, SECOND, sources) == []
            sources.close()
            keep_pods(host, live)
            remove_leftovers(host, leftovers(host, "eni", live))
            assert state() == before
            assert not leftovers(host, "eni", live)
            assert run("nft", "list", "tables", "ip").count("vpc-cni-pods") == 0
    for said in (in_vpc, outside, between, primary):
        assert " 0% packet loss" in said[0], said


def test_an_eni_more_is_not_noticed_by_the_pods_of_the_others(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox
) -> None:
    sources = Sources(mask_beside(0x80))
    pod = sandbox()
    connect(host, vpc, pod, SECOND, sources)
    with pinging(pod, "10.0.0.1") as said:
        for number in range(5):
            other = sandbox()
            wire(host, other.netlink, other.fd, wiring(120 + number, table=5 + number), None, sources)
    assert " 0% packet loss" in said[0], said
    sources.close()


def test_an_address_of_another_eni_than_before_leaves_by_that(host: Netlink, sandbox: MakeSandbox) -> None:
    sources = Sources(mask_beside(0x80))
    pod, next_pod, last = sandbox(), sandbox(), sandbox()
    wire(host, pod.netlink, pod.fd, SECOND, None, sources)
    elsewhere = replace(SECOND, table=3)
    wire(host, next_pod.netlink, next_pod.fd, elsewhere, None, sources)
    assert sources.chosen(IPv4Address("10.0.0.102")) == "eni-3"
    assert check(host, next_pod.netlink, elsewhere, sources) == []
    primary = replace(SECOND, table=254)
    wire(host, last.netlink, last.fd, primary, None, sources)
    assert sources.chosen(IPv4Address("10.0.0.102")) is None
    assert check(host, last.netlink, primary, sources) == []
    sources.close()


def test_a_flush_of_all_of_nft_is_mended_by_the_next_pod(host: Netlink, sandbox: MakeSandbox) -> None:
    sources = Sources(mask_beside(0x80))
    first, second = sandbox(), sandbox()
    wire(host, first.netlink, first.fd, SECOND, None, sources)
    run("nft", "flush", "ruleset")
    assert check(host, first.netlink, SECOND, sources) == [
        "what 10.0.0.102 sends goes to no chain of nft, not to eni-2"
    ]
    wire(host, second.netlink, second.fd, THIRD, None, sources)
    assert check(host, first.netlink, SECOND, sources) == []
    sources.close()


BREAKS = [
    "nft delete rule ip vpc-cni-pods prerouting handle {handle}",
    "nft flush chain ip vpc-cni-pods eni-2",
    "nft flush chain ip vpc-cni-pods prerouting",
    "nft add rule ip vpc-cni-pods prerouting drop",
    "nft add chain ip vpc-cni-pods theirs",
    "nft delete element ip vpc-cni-pods sources {{ 10.0.0.102 }}",
    "nft add element ip vpc-cni-pods sources {{ 10.0.0.77 : goto eni-2 }}",
    "nft flush map ip vpc-cni-pods sources",
    "nft delete table ip vpc-cni-pods",
    "ip rule del prio 512",
    "ip rule del prio 1536",
    "ip rule add prio 1536 fwmark 0x9/0x7f lookup 9",
    "ip route flush table 20512",
    "ip link set {veth} down",
]


@pytest.mark.parametrize("command", BREAKS)
def test_what_somebody_broke_is_mended(host: Netlink, sandbox: MakeSandbox, command: str) -> None:
    sources = Sources(mask_beside(0x80))
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, SECOND, None, sources)

    def all_of_it() -> tuple[object, ...]:
        return rules(), run("ip", "-4", "route", "show", "table", "all"), run("nft", "list", "ruleset")

    right = all_of_it()
    handle = next(
        line.split()[-1]
        for line in run("nft", "-a", "list", "chain", "ip", "vpc-cni-pods", "prerouting").splitlines()
        if "vmap" in line
    )
    run(*command.format(handle=handle, veth=SECOND.host_veth).split())
    assert all_of_it() != right
    assert keep_pods(host, [SECOND], sources)
    assert all_of_it() == right
    assert keep_pods(host, [SECOND], sources) == []
    assert not leftovers(host, "eni", [SECOND], sources=sources)
    sources.close()


def test_older_rules_for_each_cidr_of_the_vpc_go(
    host: Netlink, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    pod = sandbox()
    wire(host, pod.netlink, pod.fd, SECOND, None, sources)
    right = rules()
    for cidr in ("10.0.0.0/16", "10.1.0.0/16"):
        run("ip", "rule", "add", "prio", "1536", "from", "10.0.0.102", "to", cidr, "lookup", "2")
    run("ip", "rule", "add", "prio", "1537", "from", "10.0.0.102", "to", "10.0.0.0/16", "lookup", "2")
    remove_leftovers(host, leftovers(host, "eni", [SECOND], sources=sources))
    assert [rule for rule in rules() if not rule.startswith("1537")] == right
    assert len(rules()) == len(right) + 1


def test_five_hundred_pods_on_one_node(
    host: Netlink, vpc: Vpc, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    """A large type in prefix mode: the pods of a prefix are on one ENI."""
    pods = [sandbox() for _ in range(500)]
    live = [wiring(101 + n, table=2 if n >> 4 & 1 else 254) for n in range(500)]
    for pod, want in zip(pods, live, strict=True):
        wire(host, pod.netlink, pod.fd, want, None, sources)
    assert keep_pods(host, live, sources) == []
    assert not leftovers(host, "eni", live, sources=sources)
    for number in (0, 16, 499):
        assert check(host, pods[number].netlink, live[number], sources) == []
        vpc.hold(str(live[number].address), 1 if live[number].table == 2 else 0)
        assert pods[number].pings("10.0.0.1")
        assert pods[number].pings("10.0.0.101")
    for want in live:
        unwire(host, want.address, want.host_veth, want.table, sources)
    reap(host)
    assert not [rule for rule in rules() if rule.startswith(("512: from all to", "1536: from 10."))]
    assert run("ip", "route", "show", "table", "all").count("dev eni") == 0


def test_a_thousand_rules_of_strangers_stay_as_they_are(
    host: Netlink, sandbox: MakeSandbox, sources: Sources | None
) -> None:
    lines = [
        f"rule add prio {5000 + n % 7} from 172.16.{n // 250}.{n % 250} lookup {300 + n % 5}"
        for n in range(1000)
    ]
    run("ip", "-batch", "-", text="\n".join(lines))
    before = state()
    pods = [sandbox() for _ in range(3)]
    live = [wiring(101 + number, table=2 + number) for number in range(3)]
    for pod, want in zip(pods, live, strict=True):
        wire(host, pod.netlink, pod.fd, want, None, sources)
    assert keep_pods(host, live, sources) == []
    assert not leftovers(host, "eni", live, sources=sources)
    for want in live:
        unwire(host, want.address, want.host_veth, want.table, sources)
    reap(host)
    theirs = [line for line in run("ip", "rule").splitlines() if "172.16." in line]
    assert theirs == [line for line in before[0].splitlines() if "172.16." in line]
    assert len(theirs) == 1000
