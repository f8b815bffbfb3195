"""Subnets by their tags: the rows of the original's own tests (spec 9.5)."""

from ipaddress import IPv4Network

import pytest

from vpccni.ipam.subnets import CLUSTER, ROLE, choose, excluded, primary_only, usable
from vpccni.ipam.values import SubnetId, SubnetOffer

OWN, OTHER = {CLUSTER + "ours": "owned"}, {CLUSTER + "theirs": "shared"}


@pytest.mark.parametrize(
    ("primary", "tags", "expected"),
    [
        (True, {ROLE: "0"}, False),
        (True, {ROLE: "1"}, True),
        (True, {ROLE: ""}, True),
        (True, {}, True),
        (True, {"Name": "a"}, True),
        (False, {}, False),
        (False, {"Name": "a"}, False),
        (False, {ROLE: "0"}, False),
        (False, {ROLE: "1"}, True),
        (False, {ROLE: "true"}, True),
        (False, {ROLE: "1", **OTHER}, False),
        (False, {ROLE: "1", **OWN, **OTHER}, True),
        (False, OWN, False),
        (True, {ROLE: "1", **OWN}, True),
        (True, {ROLE: "1", CLUSTER + "ours": ""}, True),
        (True, OTHER, True),
    ],
)
def test_which_subnets_take_new_enis(*, primary: bool, tags: dict[str, str], expected: bool) -> None:
    assert usable(tags, primary=primary, cluster="ours") is expected


def test_without_a_clusters_name_its_tags_say_nothing() -> None:
    assert usable({ROLE: "1", **OTHER}, primary=False, cluster="")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({ROLE: "0"}, True),
        ({ROLE: "1"}, False),
        ({}, False),
        ({ROLE: "1", **OTHER}, True),
        ({ROLE: "1", **OWN}, False),
        (OTHER, False),
        ({ROLE: "0", **OWN}, True),
    ],
)
def test_which_subnets_give_pods_nothing(tags: dict[str, str], *, expected: bool) -> None:
    assert excluded(tags, cluster="ours") is expected


def test_the_emptiest_subnet_is_tried_first() -> None:
    def offer(name: str, free: int) -> SubnetOffer:
        return SubnetOffer(SubnetId(name), IPv4Network("10.0.0.0/24"), free)

    described = [
        (offer("primary", 5), {}),
        (offer("tagged", 90), {ROLE: "1"}),
        (offer("shut", 200), {ROLE: "0"}),
        (offer("other", 100), {}),
        (offer("twin", 90), {ROLE: "1"}),
    ]
    offers, out = choose(described, primary=SubnetId("primary"), cluster="")
    assert [o.id for o in offers] == ["tagged", "twin", "primary"]
    assert out == {"shut"}
    assert choose([], primary=SubnetId("primary"), cluster="") == ((), frozenset())


@pytest.mark.parametrize(
    ("tags", "offered"),
    [({}, True), ({ROLE: "1"}, True), ({ROLE: "0"}, False), ({ROLE: "0", **OWN}, False), (OTHER, True)],
)
def test_without_discovery_the_nodes_own_subnet_takes_enis_unless_it_is_shut(
    tags: dict[str, str], *, offered: bool
) -> None:
    offer = SubnetOffer(SubnetId("primary"), IPv4Network("10.0.0.0/24"), 5)
    assert primary_only((offer, tags)) == ((offer,) if offered else ())
