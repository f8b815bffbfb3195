"""The controller's annotation, as it is written and as it may be broken."""

import contextlib
import json
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.kube.branch import KEY, Branch, BranchError, asks_for_branch, branch_of
from vpccni.kube.port import PodView

WRITTEN = {
    "eniId": "eni-0b1",
    "ifAddress": "0A:00:00:00:0b:07",
    "privateIp": "10.0.3.7",
    "ipv6Addr": "",
    "vlanId": 7,
    "subnetCidr": "10.0.3.0/24",
    "subnetV6Cidr": "",
    "associationID": "trunk-assoc-1",
}
FOUND = Branch("eni-0b1", "0a:00:00:00:0b:07", IPv4Address("10.0.3.7"), 7, IPv4Network("10.0.3.0/24"))


def pod(annotation: str) -> PodView:
    return PodView(annotations={KEY: annotation})


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in WRITTEN.items() if name != key}


def test_it_is_read_as_the_controller_writes_it() -> None:
    found = branch_of(pod(json.dumps([WRITTEN, {"vlanId": 9}])))
    assert found == FOUND
    assert found.gateway == IPv4Address("10.0.3.1")


def test_the_key_of_the_originals_reader_is_read_too() -> None:
    assert branch_of(pod(json.dumps([{**without("vlanId"), "vlanID": 7}]))) == FOUND


def test_without_the_annotation_there_is_none_yet() -> None:
    assert branch_of(PodView()) is None
    assert branch_of(pod("")) is None


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ("no JSON", "no list of ENIs: no JSON"),
        ("[]", "no list of ENIs"),
        ("{}", "no list of ENIs"),
        ("[7]", "no list of ENIs"),
        (json.dumps([without("vlanId")]), "no VLAN in vlanId: None"),
        (json.dumps([{**WRITTEN, "vlanId": 0}]), "no VLAN in vlanId: 0"),
        (json.dumps([{**WRITTEN, "vlanId": "7"}]), "no VLAN in vlanId: '7'"),
        (json.dumps([{**WRITTEN, "vlanId": 4095}]), "no VLAN in vlanId: 4095"),
        (json.dumps([without("ifAddress")]), "no MAC in ifAddress"),
        (json.dumps([{**WRITTEN, "ifAddress": "0a:00"}]), "no MAC in ifAddress: '0a:00'"),
        (json.dumps([without("privateIp")]), "no IPv4 address and subnet"),
        (json.dumps([{**WRITTEN, "privateIp": "fd00::7"}]), "no IPv4 address and subnet"),
        (json.dumps([without("subnetCidr")]), "no IPv4 address and subnet"),
        (json.dumps([{**WRITTEN, "subnetCidr": "10.0.3.7/32"}]), "a subnet without a router"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(annotation: str, says: str) -> None:
    with pytest.raises(BranchError, match=says):
        branch_of(pod(annotation))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_no_annotation_makes_the_reader_fail_otherwise(noise: object) -> None:
    with contextlib.suppress(BranchError):
        branch_of(pod(json.dumps(noise)))


def test_the_resource_in_the_limits_tells_which_pods_are_meant() -> None:
    assert asks_for_branch(PodView(limits=frozenset({"cpu", KEY})))
    assert not asks_for_branch(PodView(limits=frozenset({"cpu", "vpc.amazonaws.com/PrivateIPv4Address"})))
    assert not asks_for_branch(pod(json.dumps([WRITTEN])))
