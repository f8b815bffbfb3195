from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from vpclab.fabric.eni import Link
from vpclab.fabric.security_groups import NO_GROUPS, V4, V6, Family, blocks_set, members_set, security_table
from vpclab.region.values import NetworkInterface, SecurityGroup, SecurityGroupRule

EVERYWHERE = IPv4Network("0.0.0.0/0")
OFFICE = IPv4Network("192.0.2.0/24")
ENI = NetworkInterface(
    "eni-1",
    "02:00:00:00:00:01",
    "vpc-1",
    "subnet-1",
    "a",
    IPv4Address("10.0.1.10"),
    secondary=(IPv4Address("10.0.1.11"),),
    prefixes=(IPv4Network("10.0.1.32/28"),),
    groups=("sg-1",),
)
LINK = Link("eni-1", "i-1", "eth0", ENI.mac)


def rules_of(
    *ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] = (), family: Family = V4
) -> dict[str, tuple[str, ...]]:
    group = SecurityGroup("sg-1", "one", "vpc-1", ingress=ingress, egress=egress)
    table = security_table({LINK.name: LINK}, {ENI.id: ENI}, {group.id: group}, family=family)
    return {name: chain.rules for name, chain in table.chains.items()}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (SecurityGroupRule(cidr=EVERYWHERE), "accept"),
        (SecurityGroupRule(cidr=OFFICE), "ip saddr 192.0.2.0/24 accept"),
        (SecurityGroupRule(cidr=IPv4Network("192.0.2.7/32")), "ip saddr 192.0.2.7 accept"),
        (SecurityGroupRule("tcp", 22, 22, EVERYWHERE), "tcp dport 22 accept"),
        (
            SecurityGroupRule("udp", 30000, 32767, OFFICE),
            "ip saddr 192.0.2.0/24 udp dport 30000-32767 accept",
        ),
        (SecurityGroupRule("tcp", 0, 65535, EVERYWHERE), "ip protocol tcp accept"),
        (SecurityGroupRule("tcp", None, None, EVERYWHERE), "ip protocol tcp accept"),
        (SecurityGroupRule("6", 443, 443, EVERYWHERE), "tcp dport 443 accept"),
        (SecurityGroupRule("icmp", -1, -1, EVERYWHERE), "ip protocol icmp accept"),
        (SecurityGroupRule("icmp", 8, -1, EVERYWHERE), "icmp type 8 accept"),
        (SecurityGroupRule("icmp", 3, 4, EVERYWHERE), "icmp type 3 icmp code 4 accept"),
        (SecurityGroupRule("47", None, None, EVERYWHERE), "ip protocol 47 accept"),
    ],
)
def test_a_permission_in_the_words_of_nft(rule: SecurityGroupRule, said: str) -> None:
    assert rules_of(rule)["in_sg_1"] == (said,)
    assert rules_of(egress=(rule,))["out_sg_1"] == (said.replace("saddr", "daddr"),)


def test_a_group_as_peer_is_its_members_addresses_and_prefixes() -> None:
    rules = rules_of(SecurityGroupRule("tcp", 22, 22, group_id="sg-1"))["in_sg_1"]
    assert rules == (
        "ip saddr @members_sg_1 tcp dport 22 accept",
        "ip saddr & 255.255.255.240 @blocks_sg_1 tcp dport 22 accept",
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (SecurityGroupRule(cidr=IPv6Network("::/0")), "accept"),
        (
            SecurityGroupRule("tcp", 22, 22, IPv6Network("2001:db8:7::/48")),
            "ip6 saddr 2001:db8:7::/48 tcp dport 22 accept",
        ),
        (
            SecurityGroupRule("udp", None, None, IPv6Network("2001:db8::7/128")),
            "ip6 saddr 2001:db8::7 meta l4proto udp accept",
        ),
        (SecurityGroupRule("icmpv6", -1, -1, IPv6Network("::/0")), "meta l4proto icmpv6 accept"),
        (SecurityGroupRule("icmpv6", 128, -1, IPv6Network("::/0")), "icmpv6 type 128 accept"),
    ],
)
def test_a_permission_of_ipv6_is_in_the_table_of_ipv6_alone(rule: SecurityGroupRule, said: str) -> None:
    assert rules_of(rule, family=V6)["in_sg_1"] == (said,)
    assert rules_of(rule)["in_sg_1"] == ()


def test_a_permission_of_ipv4_is_not_in_the_table_of_ipv6() -> None:
    assert rules_of(SecurityGroupRule(cidr=EVERYWHERE), family=V6)["in_sg_1"] == ()
    assert rules_of(SecurityGroupRule("icmp", group_id="sg-1"), family=V6)["in_sg_1"] == ()


def test_a_group_s_members_of_ipv6() -> None:
    eni = replace(
        ENI, ipv6=(IPv6Address("2001:db8::5"),), ipv6_prefixes=(IPv6Network("2001:db8:0:0:1::/80"),)
    )
    group = SecurityGroup("sg-1", "one", "vpc-1", ingress=(SecurityGroupRule(group_id="sg-1"),))
    table = security_table({LINK.name: LINK}, {ENI.id: eni}, {"sg-1": group}, family=V6)
    assert table.family == "ip6"
    assert set(table.sets[members_set("sg-1")].elements) == {"2001:db8::5"}
    assert set(table.sets[blocks_set("sg-1")].elements) == {"2001:db8:0:0:1::"}
    assert table.chains["in_sg_1"].rules[1] == "ip6 saddr & ffff:ffff:ffff:ffff:ffff:: @blocks_sg_1 accept"


def test_a_permission_for_a_peer_that_the_fabric_does_not_carry_allows_nothing() -> None:
    assert rules_of(SecurityGroupRule("tcp", 22, 22))["in_sg_1"] == ()


def test_an_eni_asks_its_groups_then_counts_and_drops() -> None:
    assert rules_of()["in_e1"] == ("jump in_sg_1", "counter name in_e1 drop")


def test_members_are_all_addresses_and_prefixes_of_the_groups_enis() -> None:
    other = replace(ENI, id="eni-2", primary=IPv4Address("10.0.2.10"), secondary=(), prefixes=())
    stranger = replace(other, id="eni-3", groups=("sg-2",), primary=IPv4Address("10.0.3.10"))
    group = SecurityGroup("sg-1", "one", "vpc-1", ingress=(SecurityGroupRule(group_id="sg-1"),))
    enis = {eni.id: eni for eni in (ENI, other, stranger)}
    table = security_table({LINK.name: LINK}, enis, {"sg-1": group})
    assert set(table.sets[members_set("sg-1")].elements) == {
        "10.0.1.10",
        "10.0.1.11",
        "10.0.2.10",
    }
    assert set(table.sets[blocks_set("sg-1")].elements) == {"10.0.1.32"}


def test_a_group_that_is_not_there_allows_nothing() -> None:
    table = security_table({LINK.name: LINK}, {ENI.id: ENI}, {})
    assert table.chains["in_e1"].rules == ("counter name in_e1 drop",)


def test_without_a_filtered_eni_connections_are_not_tracked() -> None:
    assert security_table({LINK.name: LINK}, {ENI.id: replace(ENI, groups=())}, {}) == NO_GROUPS
    assert security_table({}, {ENI.id: ENI}, {}) == NO_GROUPS
