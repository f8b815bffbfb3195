"""Rules are settled: added before removed, each once, a stranger's never."""

from ipaddress import IPv4Network

import pytest
from tests.linux.namespaces import IPV4_EVENTS, rules, run

from vpccni.linux.rtnl import Netlink
from vpccni.linux.rules import Rule, add_missing_rule
from vpccni.linux.wanted import remove_rules, settle_rules

pytestmark = pytest.mark.kernel
A, B, C = (Rule(1535, 254, destination=IPv4Network(f"172.{number}.0.0/24")) for number in (16, 17, 18))


def of_1535(rule: Rule) -> bool:
    return rule.priority == 1535


def test_what_is_missing_is_added_then_the_stale_is_removed(host: Netlink) -> None:
    assert settle_rules(host, [A, B], of_1535) == [f"added rule {A}", f"added rule {B}"]
    assert settle_rules(host, [B, C], of_1535) == [f"added rule {C}", f"removed rule {A}"]
    assert rules() == [
        "1535: from all to 172.17.0.0/24 lookup main",
        "1535: from all to 172.18.0.0/24 lookup main",
    ]


def test_what_is_right_is_not_touched(host: Netlink) -> None:
    settle_rules(host, [A, B], of_1535)
    with Netlink(groups=IPV4_EVENTS) as events:
        assert settle_rules(host, [B, A, A], of_1535) == []
        assert not events.events(0.01)


def test_one_that_is_there_twice_is_there_once(host: Netlink) -> None:
    settle_rules(host, [A], of_1535)
    host.run([add_missing_rule(A), add_missing_rule(A)])
    assert settle_rules(host, [A], of_1535) == [f"removed rule {A}"] * 2
    assert len(rules()) == 1


def test_strangers_stay_in_other_priorities_and_in_ours_with_more_selectors(host: Netlink) -> None:
    run("ip", "rule", "add", "prio", "1534", "to", "172.16.0.0/24", "lookup", "main")
    run("ip", "rule", "add", "prio", "1535", "to", "172.19.0.0/24", "iif", "lo", "lookup", "main")
    run("ip", "rule", "add", "prio", "1535", "to", "172.19.0.0/24", "tos", "0x10", "lookup", "main")
    strangers = rules()
    settle_rules(host, [A], of_1535)
    assert settle_rules(host, [], of_1535) == [f"removed rule {A}"]
    assert rules() == strangers


def test_a_rule_that_the_kernel_would_take_a_strangers_for_is_left_and_said(host: Netlink) -> None:
    run("ip", "rule", "add", "prio", "1535", "to", "172.16.0.0/24", "iif", "lo", "lookup", "main")
    assert settle_rules(host, [A], of_1535) == [
        f"added rule {A}"
    ]  # although the kernel would say that it is there
    before = rules()
    [said] = settle_rules(host, [], of_1535)
    assert said == f"left rule {A}: the kernel would remove a stranger's narrower rule before it"
    assert rules() == before


def test_removing_takes_as_many_as_it_was_given(host: Netlink) -> None:
    settle_rules(host, [A, B], of_1535)
    assert remove_rules(host, [A, C]) == [f"removed rule {A}"]
    assert remove_rules(host, []) == []
    assert rules() == ["1535: from all to 172.17.0.0/24 lookup main"]
