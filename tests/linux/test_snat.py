"""The original's rules to the letter, as text; no kernel (that it takes them so is test_host's)."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpccni.linux.iptables import Tables, transaction
from vpccni.linux.snat import NatSettings, wanted_tables

SETTINGS = NatSettings(
    primary_interface="eth0",
    node_address=IPv4Address("192.168.1.10"),
    vpc_cidrs=(IPv4Network("10.10.0.0/16"), IPv4Network("10.11.0.0/16")),
    exclude_cidrs=(IPv4Network("10.12.0.0/16"), IPv4Network("10.13.0.0/16")),
)
PRIMARY = (
    '-i eth0 -m comment --comment "AWS, primary ENI" -m addrtype --dst-type LOCAL --limit-iface-in '
    "-j CONNMARK --set-xmark 0x80/0x80"
)
PODS = (
    '-i eni+ -m comment --comment "AWS, primary ENI" -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80'
)
VLANS = PODS.replace("eni+", "vlan+")


def test_the_last_cidr_comes_first_and_exclusions_before_the_vpcs() -> None:
    chain = wanted_tables(SETTINGS, connmark=False)["nat"].chains["AWS-SNAT-CHAIN-0"]
    assert [rule.split(" -m ")[0] for rule in chain] == [
        "-d 10.13.0.0/16",
        "-d 10.12.0.0/16",
        "-d 10.11.0.0/16",
        "-d 10.10.0.0/16",
        "! -o vlan+",
    ]


def test_a_cidr_given_twice_is_there_once() -> None:
    twice = replace(SETTINGS, vpc_cidrs=SETTINGS.vpc_cidrs * 2, exclude_cidrs=SETTINGS.vpc_cidrs)
    tables = wanted_tables(twice, connmark=True)["nat"]
    assert len(tables.chains["AWS-SNAT-CHAIN-0"]) == 5
    assert len(tables.chains["AWS-CONNMARK-CHAIN-0"]) == 3


@pytest.mark.parametrize(
    ("external", "node_port", "rules"),
    [
        (False, True, (PRIMARY, PODS, VLANS)),
        (False, False, (PODS,)),
        (True, True, (PRIMARY, PODS, VLANS)),
        (True, False, ()),
    ],
)
def test_who_needs_the_mark_restored(external: bool, node_port: bool, rules: tuple[str, ...]) -> None:
    settings = replace(SETTINGS, external_snat=external, node_port=node_port)
    assert wanted_tables(settings, connmark=False)["mangle"].jumps["PREROUTING"] == rules


def test_with_external_snat_the_chain_is_there_and_empty() -> None:
    nat = wanted_tables(replace(SETTINGS, external_snat=True), connmark=True)["nat"]
    assert nat.chains == {"AWS-SNAT-CHAIN-0": ()}
    assert nat.jumps == {"PREROUTING": (), "POSTROUTING": ()}


def settled(
    table: str, present: dict[str, list[str]], settings: NatSettings = SETTINGS, *, connmark: bool = False
) -> str:
    tables: Tables = {table: present}
    wanted = wanted_tables(settings, connmark=connmark)
    return transaction(tables, {table: wanted[table]})


def test_rules_of_an_earlier_veth_prefix_stay_for_the_pods_that_it_named() -> None:
    new = replace(SETTINGS, veth_prefix="veth")
    script = settled("mangle", {"PREROUTING": [PRIMARY, PODS, VLANS]}, new)
    assert "-i eni+" not in script
    assert "-A PREROUTING -i veth+" in script
    jump = '-i eni+ -m comment --comment "AWS, outbound connections" -j AWS-CONNMARK-CHAIN-0'
    assert f"-D PREROUTING {jump}" not in settled("nat", {"PREROUTING": [jump]}, new, connmark=True)
    assert f"-D PREROUTING {jump}" in settled("nat", {"PREROUTING": [jump]}, new, connmark=False)


@pytest.mark.parametrize(
    ("table", "chain", "rule"),
    [
        ("nat", "POSTROUTING", '-m comment --comment "AWS SNAT CHAN" -j AWS-SNAT-CHAIN-0'),
        ("nat", "POSTROUTING", '-m comment --comment "AWS, SNAT" -j SNAT --to-source 192.168.1.10'),
        (
            "nat",
            "PREROUTING",
            '-i eni+ -m comment --comment "AWS, outbound connections" -m state --state NEW -j AWS-CONNMARK-CHAIN-0',
        ),
        ("mangle", "PREROUTING", PRIMARY.replace("eth0", "ens5")),
        ("mangle", "PREROUTING", PODS.replace("0x80", "0x40")),
    ],
)
def test_what_older_releases_and_settings_left_goes(table: str, chain: str, rule: str) -> None:
    assert f"-D {chain} {rule}\n" in settled(table, {chain: [rule]}, connmark=True)


def test_without_node_ports_the_vlans_rule_goes_though_the_pods_one_stays() -> None:
    script = settled("mangle", {"PREROUTING": [PRIMARY, PODS, VLANS]}, replace(SETTINGS, node_port=False))
    assert script == f"*mangle\n-D PREROUTING {PRIMARY}\n-D PREROUTING {VLANS}\nCOMMIT\n"


def test_strangers_are_not_ours_though_their_comments_speak_of_aws() -> None:
    theirs = '-m comment --comment "AWS, my own rule" -j ACCEPT'
    assert theirs not in settled(
        "nat", {"POSTROUTING": [theirs], "PREROUTING": [theirs], "KUBE": ["-j RETURN"]}
    )


def test_chains_of_releases_with_one_for_each_cidr_go() -> None:
    script = settled(
        "nat",
        {
            "AWS-SNAT-CHAIN-0": ['! -d 10.0.0.0/16 -m comment --comment "AWS SNAT CHAN" -j AWS-SNAT-CHAIN-1'],
            "AWS-SNAT-CHAIN-1": ['! -d 10.1.0.0/16 -m comment --comment "AWS SNAT CHAN" -j AWS-SNAT-CHAIN-2'],
            "AWS-SNAT-CHAIN-2": ["-j SNAT --to-source 192.168.1.10"],
            "AWS-CONNMARK-CHAIN-1": [],
            "AWS-SNAT-CHAIN-x": [],
        },
    )
    for chain in ("AWS-SNAT-CHAIN-1", "AWS-SNAT-CHAIN-2", "AWS-CONNMARK-CHAIN-1"):
        assert f"-F {chain}\n" in script
        assert f"-X {chain}\n" in script
    assert "CHAIN-x" not in script
    assert script.index("-F AWS-SNAT-CHAIN-2") < script.index("-X AWS-SNAT-CHAIN-1")
