"""The compact layout's numbers and rules: unique, kept, and never another's bits."""

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.linux.namespaces import wiring

from vpccni.ipam.values import MAIN_TABLE
from vpccni.linux.compact import is_shared
from vpccni.linux.layout import (
    MASKS,
    PODS_TABLE,
    TO_PODS,
    RulesLayout,
    mask_beside,
    number_of,
    numbered,
    pod_route,
    pod_rules,
    shared_rules,
)
from vpccni.linux.rules import Rule

TABLES = st.sets(st.one_of(st.integers(2, 16), st.integers(10_000, 13_000)), max_size=40)


@given(TABLES, TABLES, st.sampled_from(MASKS))
def test_every_eni_has_a_number_of_its_own_and_keeps_it(first: set[int], second: set[int], mask: int) -> None:
    before = numbered(first, {}, mask)
    after = numbered(second, before, mask)
    assert after.keys() == second
    assert len({*after.values()}) == len(after)
    assert all(after[table] == before[table] for table in first & second)
    rules = shared_rules(after, mask)
    assert all(is_shared(rule) for rule in rules)
    assert {rule.table: number_of(rule) for rule in rules if rule != TO_PODS} == after
    assert all(rule.mark is None or not rule.mark & ~mask for rule in rules)


@given(st.integers(1, 0xFFFFFFFF))
def test_the_bits_are_apart_from_the_connection_mark_if_any_are(mark: int) -> None:
    mask = mask_beside(mark)
    assert not mask & mark or all(each & mark for each in MASKS)
    assert mask_beside(0x80) == 0x7F


def test_more_enis_than_any_instance_has_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 63 ENIs"):
        numbered(range(10_000, 10_064), {}, 0x3F00)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(512, MAIN_TABLE),
        Rule(513, PODS_TABLE),
        Rule(512, PODS_TABLE, destination=IPv4Network("10.0.0.5/32")),
        Rule(1536, 2, mark=0x80, mask=0x80),
        Rule(1536, 2, mark=0x1, mask=0x1),
        Rule(1536, 2, mark=0, mask=0x7F),
        Rule(1536, 2, mark=0x80, mask=0x7F),
        Rule(1536, MAIN_TABLE, mark=0x1, mask=0x7F),
        Rule(1536, 2, source=IPv4Network("10.0.0.5/32"), mark=0x1, mask=0x7F),
        Rule(1535, 2, mark=0x1, mask=0x7F),
    ],
    ids=str,
)
def test_a_strangers_rule_is_not_taken_for_ours(rule: Rule) -> None:
    assert not is_shared(rule)


def test_the_compatible_layout_is_the_originals() -> None:
    pod, primary = wiring(5, table=2), wiring(6)
    assert list(map(str, pod_rules(RulesLayout.COMPATIBLE, pod))) == [
        "512: to 10.0.0.5/32 lookup 254",
        "1536: from 10.0.0.5/32 lookup 2",
    ]
    assert len(pod_rules(RulesLayout.COMPATIBLE, primary)) == 1
    assert pod_rules(RulesLayout.COMPACT, pod) == ()
    assert str(pod_route(RulesLayout.COMPATIBLE, pod, 7)) == "10.0.0.5/32 dev 7 table 254"
    assert str(pod_route(RulesLayout.COMPACT, pod, 7)) == "10.0.0.5/32 dev 7 table 20512"
