"""The formulas of spec 6.7 on the vectors of spec 9.3 and 9.10."""

import pytest

from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets, eni_is_extra, shortage, surplus
from vpccni.ipam.values import BlockKind

IP, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX


@pytest.mark.parametrize(
    ("slots", "warm_eni", "warm_ip", "total", "assigned", "max_pods", "low"),
    [
        (14, 1, 0, 0, 0, 500, True),
        (14, 0, 0, 0, 0, 500, True),
        (14, 0, 3, 0, 0, 500, True),
        (3, 1, 1, 3, 0, 500, False),
        (3, 1, 0, 3, 1, 500, True),
        (3, 0, 0, 3, 1, 500, False),
        (3, 1, 0, 3, 3, 500, True),
        (3, 0, 0, 3, 3, 500, True),
        (3, 0, 5, 3, 3, 3, False),
    ],
)
def test_pool_too_low(
    slots: int, warm_eni: int, warm_ip: int, total: int, assigned: int, max_pods: int, *, low: bool
) -> None:
    targets, limits = WarmTargets(warm_eni, warm_ip), NodeLimits(4, slots, max_pods)
    assert (shortage(targets, limits, Holdings(total, assigned), IP) > 0) is low


@pytest.mark.parametrize(
    ("warm_prefix", "prefixes", "assigned", "max_pods", "low"),
    [
        (1, 0, 0, 500, True),
        (0, 0, 0, 500, True),
        (1, 1, 0, 500, False),
        (1, 1, 1, 500, True),
        (0, 1, 1, 500, False),
        (1, 1, 3, 500, True),
        (0, 1, 3, 500, False),
        (1, 1, 3, 4, False),
    ],
)
def test_prefix_pool_too_low(
    warm_prefix: int, prefixes: int, assigned: int, max_pods: int, *, low: bool
) -> None:
    held = Holdings(16 * prefixes, assigned, 0, prefixes, prefixes - (1 if assigned else 0))
    limits = NodeLimits(4, 16, max_pods)
    assert (shortage(WarmTargets(warm_prefix=warm_prefix), limits, held, PREFIX) > 0) is low


@pytest.mark.parametrize(("total", "short", "over"), [(0, 5, 0), (2, 3, 0), (5, 0, 0), (7, 0, 2)])
def test_warm_ip_target_of_five(total: int, short: int, over: int) -> None:
    targets, limits = WarmTargets(warm_ip=5), NodeLimits(4, 14, 500)
    assert shortage(targets, limits, Holdings(total, 0), IP) == short
    assert surplus(targets, Holdings(total, 0), IP) == over


@pytest.mark.parametrize(("prefixes", "short", "over"), [(0, 1, 0), (2, 0, 1), (1, 0, 0)])
def test_warm_ip_target_of_five_in_prefixes(prefixes: int, short: int, over: int) -> None:
    targets, limits = WarmTargets(warm_ip=5), NodeLimits(4, 14, 500)
    held = Holdings(16 * prefixes, 0, 0, prefixes, prefixes)
    assert shortage(targets, limits, held, PREFIX) == short
    assert surplus(targets, held, PREFIX) == over


@pytest.mark.parametrize(
    ("warm_ip", "minimum", "assigned", "want"),
    [
        (1, 1, 0, 1),
        (1, 1, 5, 6),
        (2, 5, 0, 5),
        (2, 5, 5, 7),
        (5, 10, 0, 10),
        (5, 10, 7, 12),
        (5, 10, 15, 20),
        (5, 10, 45, 50),
    ],
)
def test_the_documented_steady_states_by_ip(warm_ip: int, minimum: int, assigned: int, want: int) -> None:
    """From `assigned` addresses on, the formula asks for as many as the documents show held (spec 9.10)."""
    targets, limits = WarmTargets(warm_ip=warm_ip, minimum_ip=minimum), NodeLimits(15, 49, 737)
    assert assigned + shortage(targets, limits, Holdings(assigned, assigned), IP) == want
    assert shortage(targets, limits, Holdings(want, assigned), IP) == 0
    assert surplus(targets, Holdings(want, assigned), IP) == 0


@pytest.mark.parametrize(
    ("targets", "assigned", "prefixes"),
    [
        (WarmTargets(warm_prefix=1), 5, 2),
        (WarmTargets(warm_prefix=1), 17, 3),
        (WarmTargets(warm_ip=1, minimum_ip=1), 5, 1),
        (WarmTargets(warm_ip=1, minimum_ip=1), 17, 2),
        (WarmTargets(warm_ip=1, minimum_ip=1), 58, 4),
        (WarmTargets(warm_ip=7, minimum_ip=20), 5, 2),
        (WarmTargets(warm_ip=7, minimum_ip=20), 17, 2),
        (WarmTargets(warm_ip=7, minimum_ip=20), 58, 5),
        (WarmTargets(warm_ip=5, minimum_ip=10), 15, 2),
        (WarmTargets(warm_ip=5, minimum_ip=10), 45, 4),
    ],
)
def test_the_documented_steady_states_by_prefix(targets: WarmTargets, assigned: int, prefixes: int) -> None:
    limits, count, used = NodeLimits(3, 3, 110), -(-assigned // 16), -(-assigned // 16)
    while (
        more := shortage(targets, limits, Holdings(16 * count, assigned, 0, count, count - used), PREFIX)
    ) > 0:
        count += more
    assert count == prefixes


def test_cooling_addresses_are_not_available() -> None:
    limits = NodeLimits(3, 5, 17)
    assert shortage(WarmTargets(warm_ip=2), limits, Holdings(5, 2, cooling=0), IP) == 0
    assert shortage(WarmTargets(warm_ip=2), limits, Holdings(5, 2, cooling=2), IP) == 1


def test_a_whole_eni_is_extra_only_when_one_more_than_wanted_is_free() -> None:
    limits = NodeLimits(3, 5, 17)
    assert not eni_is_extra(WarmTargets(), limits, Holdings(10, 1), IP)
    assert eni_is_extra(WarmTargets(), limits, Holdings(10, 0), IP)
    assert eni_is_extra(WarmTargets(warm_ip=1), limits, Holdings(10, 9), IP)
