import pytest

from vpccni.ipam.limits import Hypervisor, from_row, known_limits, known_types, to_row
from vpccni.ipam.values import BlockKind


@pytest.mark.parametrize(
    ("name", "enis", "ipv4", "pods"),
    [
        ("t3.nano", 2, 2, 4), ("t3.small", 3, 4, 11), ("t3.medium", 3, 6, 17), ("t3.large", 3, 12, 35),
        ("t3.xlarge", 4, 15, 58), ("c1.medium", 2, 6, 12), ("t2.medium", 3, 6, 17), ("m4.4xlarge", 8, 30, 234),
        ("m5.large", 3, 10, 29), ("m5.xlarge", 4, 15, 58), ("m5.4xlarge", 8, 30, 234), ("m5.24xlarge", 15, 50, 737),
        ("m5.metal", 15, 50, 737), ("c5n.18xlarge", 15, 50, 737), ("p3dn.24xlarge", 15, 50, 737),
        ("p4d.24xlarge", 15, 50, 737), ("p5.48xlarge", 2, 50, 100), ("trn1.32xlarge", 5, 50, 247),
        ("inf1.24xlarge", 11, 30, 321),
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


def test_trunks() -> None:
    yes, no = known_limits("m8g.12xlarge"), known_limits("i3.2xlarge")
    assert yes is not None
    assert no is not None
    assert (yes.trunk, no.trunk) == (True, False)


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
