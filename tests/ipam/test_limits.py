from typing import Any

import pytest

from vpccni.ipam.limits import (
    Hypervisor,
    from_describe,
    from_row,
    known_limits,
    known_types,
    may_have_trunk,
    to_row,
)
from vpccni.ipam.values import BlockKind


@pytest.mark.parametrize(
    ("name", "enis", "ipv4", "pods"),
    [
        ("t3.nano", 2, 2, 4), ("t3.small", 3, 4, 11), ("t3.medium", 3, 6, 17), ("t3.large", 3, 12, 35),
        ("t3.xlarge", 4, 15, 58), ("c1.medium", 2, 6, 12), ("t2.medium", 3, 6, 17), ("m4.4xlarge", 8, 30, 234),
        ("m5.large", 3, 10, 29), ("m5.xlarge", 4, 15, 58), ("m5.4xlarge", 8, 30, 234), ("m5.24xlarge", 15, 50, 737),
        ("m5.metal", 15, 50, 737), ("c5n.18xlarge", 15, 50, 737), ("p3dn.24xlarge", 15, 50, 737),
        ("p4d.24xlarge", 15, 50, 737), ("p5.48xlarge", 2, 50, 100), ("trn1.32xlarge", 5, 50, 247),
        ("inf1.24xlarge", 11, 30, 321), ("u-12tb1.metal", 5, 30, 147), ("a1.2xlarge", 4, 15, 58), ("a1.4xlarge", 8, 30, 234),
    ],
)  # fmt: skip
def test_limits_and_pods_of_types(name: str, enis: int, ipv4: int, pods: int) -> None:
    limits = known_limits(name)
    assert limits is not None
    assert (limits.max_enis, limits.ipv4_per_eni, limits.max_pods()) == (enis, ipv4, pods)


def test_a_type_nobody_knows_is_not_guessed() -> None:
    assert known_limits("large") is None
    assert known_limits("t3.med") is None


def test_prefixes_need_nitro_or_metal_and_are_capped_as_eks_recommends() -> None:
    medium, xen, metal = known_limits("t3.medium"), known_limits("c3.large"), known_limits("m5.metal")
    assert medium is not None
    assert xen is not None
    assert metal is not None
    assert (medium.supports_prefixes, xen.supports_prefixes, metal.supports_prefixes) == (True, False, True)
    assert xen.hypervisor is Hypervisor.XEN
    assert medium.max_pods(BlockKind.PREFIX) == 110
    assert metal.max_pods(BlockKind.PREFIX) == 250
    assert medium.max_pods(custom_networking=True) == 12


@pytest.mark.parametrize(
    ("name", "hypervisor", "metal", "prefixes"),
    [
        ("t3.nano", Hypervisor.NITRO, False, True), ("a1.2xlarge", Hypervisor.NITRO, False, True),
        ("a1.metal", Hypervisor.UNKNOWN, True, True), ("m5.metal", Hypervisor.UNKNOWN, True, True),
        ("c1.medium", Hypervisor.XEN, False, False), ("c3.large", Hypervisor.XEN, False, False),
        ("t2.medium", Hypervisor.XEN, False, False), ("m4.4xlarge", Hypervisor.XEN, False, False),
        ("hs1.8xlarge", Hypervisor.UNKNOWN, False, False),
    ],
)  # fmt: skip
def test_hypervisors(name: str, hypervisor: Hypervisor, metal: bool, prefixes: bool) -> None:
    limits = known_limits(name)
    assert limits is not None
    assert (limits.hypervisor, limits.bare_metal, limits.supports_prefixes) == (hypervisor, metal, prefixes)


@pytest.mark.parametrize(
    ("name", "cards"), [("p4d.24xlarge", 4), ("p5.48xlarge", 32), ("trn1.32xlarge", 8), ("m5.large", 1)]
)
def test_network_cards(name: str, cards: int) -> None:
    limits = known_limits(name)
    assert limits is not None
    assert [card.index for card in limits.network_cards] == list(range(cards))


@pytest.mark.parametrize(
    ("name", "trunk"),
    [
        ("m8g.12xlarge", True), ("i3.2xlarge", False), ("t3.medium", False), ("m5.metal", True), ("i4i.large", False),
        ("u-6tb1.56xlarge", False), ("a type that nobody knows", True),
    ],
)  # fmt: skip
def test_trunks(name: str, trunk: bool) -> None:
    assert may_have_trunk(name) is trunk


@pytest.mark.parametrize(
    ("name", "raw", "pods"),
    [("t3.nano", 34, 34), ("t3.small", 146, 110), ("t3.medium", 242, 110), ("m5.24xlarge", 11762, 250)],
)
def test_prefix_mode_is_capped_where_eks_caps_it(name: str, raw: int, pods: int) -> None:
    limits = known_limits(name)
    assert limits is not None
    assert limits.max_enis * limits.slots_per_eni * BlockKind.PREFIX.addresses + 2 == raw
    assert limits.max_pods(BlockKind.PREFIX) == pods


def described(**network: Any) -> dict[str, Any]:
    return {"InstanceType": "new.large", "NetworkInfo": {"Ipv4AddressesPerInterface": 10, **network}}


def test_a_description_counts_the_default_card_alone() -> None:
    cards = [
        {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": 2},
        {"NetworkCardIndex": 1, "MaximumNetworkInterfaces": 7},
    ]
    limits = from_describe(
        described(MaximumNetworkInterfaces=9, NetworkCards=cards, DefaultNetworkCardIndex=1)
    )
    assert (limits.max_enis, limits.network_cards[0].index) == (7, 1)


def test_a_description_may_lack_what_old_types_lack() -> None:
    limits = from_describe(described(MaximumNetworkInterfaces=3))
    assert (limits.max_enis, limits.hypervisor, limits.bare_metal) == (3, Hypervisor.UNKNOWN, False)
    assert not limits.supports_prefixes
    assert not limits.trunk


def test_a_hypervisor_that_came_later_is_unknown_not_an_error() -> None:
    item = {**described(MaximumNetworkInterfaces=3), "Hypervisor": "photon"}
    assert from_describe(item).hypervisor is Hypervisor.UNKNOWN


def test_the_whole_table_reads_and_writes_back() -> None:
    names = known_types()
    assert len(names) > 1300
    assert len(set(names)) == len(names)
    for name in names[::50]:
        limits = known_limits(name)
        assert limits is not None
        assert from_row(to_row(limits)) == limits
        assert limits.max_enis >= 1
        assert limits.ipv4_per_eni >= 2
