"""The host's own rules in a real kernel: exactly the original's, written once, never a stranger's."""

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tests.linux.namespaces import IPV4_EVENTS, MAC, rules, run

from vpccni.linux.host import HostSettings, set_up_host
from vpccni.linux.iptables import IptablesKind
from vpccni.linux.rtnl import Netlink

pytestmark = pytest.mark.kernel
SETTINGS = HostSettings(
    primary_mac=MAC,
    node_address=IPv4Address("192.168.1.10"),
    vpc_cidrs=(IPv4Network("10.10.0.0/16"), IPv4Network("10.11.0.0/16")),
    exclude_cidrs=(IPv4Network("10.12.0.0/16"), IPv4Network("10.13.0.0/16")),
)
BUILT_IN = [f"-P {chain} ACCEPT" for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
SNAT = [
    '-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0',
    '-A AWS-SNAT-CHAIN-0 -d 10.13.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN',
    '-A AWS-SNAT-CHAIN-0 -d 10.12.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN',
    '-A AWS-SNAT-CHAIN-0 -d 10.11.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN',
    '-A AWS-SNAT-CHAIN-0 -d 10.10.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN',
    '-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL '
    "-j SNAT --to-source 192.168.1.10 --random-fully",
]


def nat() -> list[str]:
    return [line for line in run("iptables", "-t", "nat", "-S").splitlines() if not line.startswith("-P")]


def mangle() -> list[str]:
    return [line for line in run("iptables", "-t", "mangle", "-S").splitlines() if line.startswith("-A")]


def connmark_table() -> str:
    """Empty if there is none; the handles show whether it was made again."""
    command = ["nft", "-a", "list", "table", "ip", "aws-cni"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def everything() -> str:
    saved = run("iptables-save", "-c")
    return (
        "".join(line for line in saved.splitlines(keepends=True) if not line.startswith("#"))
        + connmark_table()
    )


def test_the_rules_are_the_originals_to_the_letter(node: Netlink) -> None:
    changes = set_up_host(node, SETTINGS)
    assert nat() == ["-N AWS-SNAT-CHAIN-0", *SNAT]
    assert mangle() == [
        '-A PREROUTING -i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in '
        "-j CONNMARK --set-xmark 0x80/0x80",
        '-A PREROUTING -i eni+ -m comment --comment "AWS, primary ENI" '
        "-j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80",
        '-A PREROUTING -i vlan+ -m comment --comment "AWS, primary ENI" '
        "-j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80",
    ]
    assert "counter" in connmark_table()
    assert rules() == ["1024: from all fwmark 0x80/0x80 lookup main"]
    assert Path("/proc/sys/net/ipv4/conf/eth0/rp_filter").read_text() == "2\n"
    assert "mtu 9001" in run("ip", "link", "show", "eth0")
    assert changes == [
        "set the MTU of eth0 to 9001",
        "set rp_filter of eth0 to 2",
        "added rule 1024: fwmark 0x80/0x80 lookup 254",
        "made the nft table ip aws-cni",
        "changed our rules in the mangle table",
        "changed our rules in the nat table",
    ]


def originals_own_rules() -> None:
    """The same rules in the original's way: by the iptables command, one by one, some inserted (spec 5.3)."""
    comment = ["-m", "comment", "--comment"]
    snat = ["iptables", "-t", "nat"]
    run(*snat, "-N", "AWS-SNAT-CHAIN-0")
    run(*snat, "-A", "POSTROUTING", *comment, "AWS SNAT CHAIN", "-j", "AWS-SNAT-CHAIN-0")
    for cidr, words in (("10.10", ""), ("10.11", ""), ("10.12", " EXCLUSION"), ("10.13", " EXCLUSION")):
        run(
            *snat,
            "-I",
            "AWS-SNAT-CHAIN-0",
            "1",
            "-d",
            f"{cidr}.0.0/16",
            *comment,
            f"AWS SNAT CHAIN{words}",
            "-j",
            "RETURN",
        )
    local = ["-m", "addrtype", "!", "--dst-type", "LOCAL"]
    to = ["-j", "SNAT", "--to-source", "192.168.1.10", "--random-fully"]
    run(*snat, "-A", "AWS-SNAT-CHAIN-0", "!", "-o", "vlan+", *comment, "AWS, SNAT", *local, *to)
    prerouting = ["iptables", "-t", "mangle", "-A", "PREROUTING", *comment, "AWS, primary ENI"]
    local = ["-m", "addrtype", "--dst-type", "LOCAL", "--limit-iface-in"]
    run(*prerouting, "-i", "eth0", *local, "-j", "CONNMARK", "--set-mark", "0x80/0x80")
    for prefix in ("eni", "vlan"):
        run(*prerouting, "-i", f"{prefix}+", "-j", "CONNMARK", "--restore-mark", "--mask", "0x80")


def test_what_the_original_made_is_right_already(node: Netlink) -> None:
    originals_own_rules()
    before = nat(), mangle()
    changes = set_up_host(node, SETTINGS)
    assert not [change for change in changes if "our rules" in change]
    assert (nat(), mangle()) == before


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
    run("ip", "route", "add", "default", "dev", "eth0")
    subprocess.run(["ping", "-c", "1", "-W", "0.1", "8.8.8.8"], capture_output=True, check=False)
    before = everything()
    assert "[1:84] -A POSTROUTING" in before  # a packet was counted
    with Netlink(groups=IPV4_EVENTS) as events:
        assert set_up_host(node, SETTINGS) == []
        assert not events.events(0.01)
    assert everything() == before
    assert "1024: from 10.0.0.1 fwmark 0x80/0x80 lookup main" in rules()


BREAKS = [
    "iptables -t nat -F AWS-SNAT-CHAIN-0",
    "iptables -t nat -F",
    "iptables -t nat -A AWS-SNAT-CHAIN-0 -d 10.99.0.0/16 -j RETURN",
    "iptables -t nat -I AWS-SNAT-CHAIN-0 -j ACCEPT",
    "iptables -t nat -D AWS-SNAT-CHAIN-0 2",
    "iptables -t nat -D POSTROUTING 1",
    "iptables -t mangle -F",
    "iptables -t mangle -D PREROUTING 2",
    "nft flush chain ip aws-cni snat-mark",
    "nft delete table ip aws-cni",
    "nft flush ruleset",
    "ip rule del prio 1024",
    "ip link set eth0 mtu 1500",
    "ip link set eth0 down",
    "sysctl -q net.ipv4.conf.eth0.rp_filter=1",
]


@pytest.mark.parametrize("command", BREAKS)
def test_whatever_was_interrupted_or_broken_is_mended(node: Netlink, command: str) -> None:
    set_up_host(node, SETTINGS)
    right = nat(), sorted(mangle()), rules()
    run(*command.split())
    assert set_up_host(node, SETTINGS)
    assert (nat(), sorted(mangle()), rules()) == right
    assert connmark_table()
    assert set_up_host(node, SETTINGS) == []


def test_what_releases_before_left_goes(node: Netlink) -> None:
    comment = ["-m", "comment", "--comment", "AWS SNAT CHAN"]
    for number in range(3):
        run("iptables", "-t", "nat", "-N", f"AWS-SNAT-CHAIN-{number}")
    run("iptables", "-t", "nat", "-A", "POSTROUTING", *comment, "-j", "AWS-SNAT-CHAIN-0")
    for number in range(2):
        jump = ["!", "-d", f"10.{number}.0.0/16", *comment, "-j", f"AWS-SNAT-CHAIN-{number + 1}"]
        run("iptables", "-t", "nat", "-A", f"AWS-SNAT-CHAIN-{number}", *jump)
    run("iptables", "-t", "nat", "-N", "AWS-CONNMARK-CHAIN-0")
    run("iptables", "-t", "nat", "-A", "AWS-CONNMARK-CHAIN-0", "-j", "RETURN")
    jump = ["-m", "comment", "--comment", "AWS, outbound connections", "-m", "state", "--state", "NEW"]
    run("iptables", "-t", "nat", "-A", "PREROUTING", "-i", "eni+", *jump, "-j", "AWS-CONNMARK-CHAIN-0")
    set_up_host(node, SETTINGS)
    assert nat() == ["-N AWS-SNAT-CHAIN-0", *SNAT]
    assert set_up_host(node, SETTINGS) == []


def test_strangers_rules_and_chains_stay_where_they_are(node: Netlink) -> None:
    strangers = """*nat
:KUBE-SERVICES - [0:0]
:AWS-SNAT-CHAIN-x - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "AWS, someone else" -j AWS-SNAT-CHAIN-x
-A KUBE-SERVICES -d 10.100.0.1/32 -p tcp -j RETURN
COMMIT
*mangle
-A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0x1
COMMIT
*filter
-A FORWARD -s 10.0.0.9/32 -j DROP
COMMIT
"""
    run("iptables-restore", text=strangers)
    theirs = [line for line in run("iptables-save").splitlines() if line.startswith("-A")]
    for settings in (SETTINGS, replace(SETTINGS, veth_prefix="veth"), replace(SETTINGS, external_snat=True)):
        set_up_host(node, settings)
        now = run("iptables-save").splitlines()
        assert [line for line in now if line in theirs] == theirs
    assert nat()[0] != SNAT[0]


def test_external_snat_takes_the_rules_away_and_back(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    external = replace(SETTINGS, external_snat=True)
    assert set_up_host(node, external)
    assert nat() == ["-N AWS-SNAT-CHAIN-0"]
    assert len(mangle()) == 3
    assert connmark_table() == ""
    assert rules() == ["1024: from all fwmark 0x80/0x80 lookup main"]
    assert set_up_host(node, external) == []
    neither = replace(external, node_port=False)
    assert set_up_host(node, neither)
    assert (mangle(), rules()) == ([], [])
    assert set_up_host(node, neither) == []
    without_node_ports = replace(SETTINGS, node_port=False)
    assert set_up_host(node, without_node_ports)
    assert len(mangle()) == 1
    assert set_up_host(node, SETTINGS)
    assert nat() == ["-N AWS-SNAT-CHAIN-0", *SNAT]


@pytest.mark.parametrize(
    ("ports", "words"), [("prng", " --random-fully"), ("hashrandom", " --random"), ("none", "")]
)
def test_how_source_ports_are_chosen(node: Netlink, ports: str, words: str) -> None:
    chosen = replace(SETTINGS, ports=ports)
    set_up_host(node, chosen)
    assert nat()[-1].endswith(f"--to-source 192.168.1.10{words}")
    assert set_up_host(node, chosen) == []


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "128.0.0.0/1", "10.9.9.9/32"])
@pytest.mark.parametrize("mark", [0x80, 0x1, 0xFFFFFFFF])
def test_odd_settings_are_recognised_when_they_are_there(node: Netlink, cidr: str, mark: int) -> None:
    odd = replace(SETTINGS, exclude_cidrs=(IPv4Network(cidr),), mark=mark)
    set_up_host(node, odd)
    assert set_up_host(node, odd) == []
    where = "" if cidr == "0.0.0.0/0" else f"-d {cidr} "
    assert f'-A AWS-SNAT-CHAIN-0 {where}-m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN' in nat()
    assert len(rules()) == 1


def test_another_mark_or_prefix_takes_the_place_of_the_first(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    other = replace(SETTINGS, mark=0x40, veth_prefix="veth")
    set_up_host(node, other)
    assert rules() == ["1024: from all fwmark 0x40/0x40 lookup main"]
    assert len(mangle()) == 3  # the mark differs, so nothing of before is of use to the pods of before
    assert "veth" in connmark_table()
    assert set_up_host(node, other) == []
    again = replace(other, veth_prefix="eni")
    set_up_host(node, again)
    assert [line.split()[3] for line in mangle()] == ["eth0", "veth+", "eni+", "vlan+"]
    assert set_up_host(node, again) == []


def test_external_services_have_a_rule_each(node: Netlink) -> None:
    services = replace(SETTINGS, service_cidrs=(IPv4Network("172.16.0.0/24"), IPv4Network("172.17.0.0/24")))
    set_up_host(node, services)
    assert rules()[1:] == [
        "1535: from all to 172.16.0.0/24 lookup main",
        "1535: from all to 172.17.0.0/24 lookup main",
    ]
    set_up_host(node, replace(SETTINGS, service_cidrs=(IPv4Network("172.17.0.0/24"),)))
    assert rules()[1:] == ["1535: from all to 172.17.0.0/24 lookup main"]


def test_a_vpc_without_cidrs_is_not_believed(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    before = everything()
    with pytest.raises(OSError, match="the VPC has no IPv4 CIDR to exempt from SNAT"):
        set_up_host(node, replace(SETTINGS, vpc_cidrs=()))
    assert everything() == before
    set_up_host(node, replace(SETTINGS, vpc_cidrs=(), external_snat=True))


LEGACY = [
    '-A PREROUTING -i eni+ -m comment --comment "AWS, outbound connections" -j AWS-CONNMARK-CHAIN-0',
    '-A PREROUTING -m comment --comment "AWS, CONNMARK" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80',
    SNAT[0],
    '-A AWS-CONNMARK-CHAIN-0 -d 10.13.0.0/16 -m comment --comment "AWS CONNMARK CHAIN" -j RETURN',
    '-A AWS-CONNMARK-CHAIN-0 -d 10.12.0.0/16 -m comment --comment "AWS CONNMARK CHAIN" -j RETURN',
    '-A AWS-CONNMARK-CHAIN-0 -d 10.11.0.0/16 -m comment --comment "AWS CONNMARK CHAIN" -j RETURN',
    '-A AWS-CONNMARK-CHAIN-0 -d 10.10.0.0/16 -m comment --comment "AWS CONNMARK CHAIN" -j RETURN',
    '-A AWS-CONNMARK-CHAIN-0 -m comment --comment "AWS, CONNMARK" -j CONNMARK --set-xmark 0x80/0x80',
    *SNAT[1:],
]


@pytest.mark.usefixtures("legacy")
def test_the_legacy_backend_marks_with_a_chain(node: Netlink) -> None:
    set_up_host(node, SETTINGS)
    assert [line for line in nat() if line.startswith("-A")] == LEGACY
    assert connmark_table() == ""
    before = everything()
    assert set_up_host(node, SETTINGS) == []
    assert everything() == before
    assert set_up_host(node, replace(SETTINGS, external_snat=True))
    assert nat() == ["-N AWS-SNAT-CHAIN-0"]


@pytest.mark.usefixtures("legacy")
@pytest.mark.parametrize(
    "command",
    [
        "iptables -t nat -F AWS-CONNMARK-CHAIN-0",
        "iptables -t nat -D PREROUTING 1",  # it must come back before the one that restores
        "iptables -t nat -F PREROUTING",
        "iptables -t mangle -F",
    ],
)
def test_the_legacy_backend_is_mended_too(node: Netlink, command: str) -> None:
    set_up_host(node, SETTINGS)
    right = nat(), sorted(mangle())
    run(*command.split())
    assert set_up_host(node, SETTINGS)
    assert (nat(), sorted(mangle())) == right
    assert set_up_host(node, SETTINGS) == []


def test_a_node_that_changes_its_backend_is_marked_by_one_of_them_only(
    node: Netlink, request: pytest.FixtureRequest
) -> None:
    set_up_host(node, SETTINGS)
    assert connmark_table()
    request.getfixturevalue("legacy")
    set_up_host(node, SETTINGS)
    assert connmark_table() == ""
    assert [line for line in nat() if line.startswith("-A")] == LEGACY


@pytest.mark.usefixtures("legacy")
def test_legacy_needs_no_nft(node: Netlink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore"):
        (tmp_path / tool.replace("-legacy", "")).unlink(missing_ok=True)
        (tmp_path / tool.replace("-legacy", "")).symlink_to(f"/usr/sbin/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set_up_host(node, SETTINGS)
    assert set_up_host(node, SETTINGS) == []


def test_a_node_address_or_cidr_that_comes_or_goes_is_followed(node: Netlink) -> None:
    """The VPC gets a secondary CIDR, and loses it again, while the agent runs."""
    set_up_host(node, SETTINGS)
    before = nat(), connmark_table().count("10.14.0.0/16")
    more = replace(SETTINGS, vpc_cidrs=(*SETTINGS.vpc_cidrs, IPv4Network("10.14.0.0/16")))
    assert set_up_host(node, more) == ["made the nft table ip aws-cni", "changed our rules in the nat table"]
    assert '-A AWS-SNAT-CHAIN-0 -d 10.14.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN' in nat()
    assert nat()[-1] == SNAT[-1]
    assert "10.14.0.0/16" in connmark_table()
    assert set_up_host(node, more) == []
    set_up_host(node, SETTINGS)
    assert (nat(), connmark_table().count("10.14.0.0/16")) == before


def test_an_iptables_that_cannot_choose_ports_fully_at_random_chooses_them_at_random(
    node: Netlink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vpccni.linux.host.iptables_kind", lambda: IptablesKind(legacy=False, fully_random=False)
    )
    set_up_host(node, SETTINGS)
    assert nat()[-1].endswith("--to-source 192.168.1.10 --random")
