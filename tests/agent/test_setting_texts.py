"""Each kind of value takes what it should, and says of anything else what is wrong with it."""

from collections.abc import Callable
from typing import Any

import pytest

from vpccni.agent.setting_texts import (
    at_least,
    boolean,
    cidr,
    integer,
    listening_address,
    mark,
    mtu_from,
    one_of,
    plugin_log,
    probability,
    tag_problem,
    texts,
    veth_prefix,
)
from vpccni.linux.layout import RulesLayout


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (boolean, "T", True),
        (boolean, "0", False),
        (integer, "+10", 10),
        (at_least(0), "0", 0),
        (probability, "0.5", 0.5),
        (mtu_from(576), "9001", 9001),
        (listening_address, "[::1]:80", "[::1]:80"),
        (mark, "0x80", 128),
        (veth_prefix, "pod", "pod"),
        (plugin_log, "", "stderr"),
        (one_of(RulesLayout), "COMPACT", RulesLayout.COMPACT),
        (texts, "", {}),
        (texts, '{"a": "b"}', {"a": "b"}),
    ],
)
def test_what_is_taken(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "problem"),
    [
        (boolean, "yes", "is not a boolean"),
        (integer, "1_0", "is not a whole number"),
        (integer, "٣", "is not a whole number"),
        (at_least(1), "-1", "is below 1"),
        (probability, "nan", "is not between"),
        (probability, "often", "is not a number"),
        (mtu_from(1280), "1279", "is not between 1280 and 9001"),
        (listening_address, "host:99999", "is neither"),
        (mark, "0", "is not between"),
        (mark, "x", "is not a number"),
        (veth_prefix, "longer", "is not 1 to 4"),
        (veth_prefix, "eth", "of other interfaces"),
        (plugin_log, "stdout", "would mix"),
        (cidr, "10.0.0.0", "is not a CIDR"),
        (cidr, "2000::/64", "is not an IPv4 CIDR"),
        (one_of(RulesLayout), "other", "is not one of compatible, compact"),
        (texts, "[", "is not a JSON object"),
    ],
)
def test_what_is_not_says_why(read: Callable[[str], Any], text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(text)


def test_tags_that_ec2_would_refuse() -> None:
    assert tag_problem("team", "net") is None
    assert "AWS's own" in str(tag_problem("aws:x", ""))
    assert "reserved" in str(tag_problem("k8s.amazonaws.com/x", ""))
