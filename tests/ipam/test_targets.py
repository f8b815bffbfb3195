from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.ipam.targets import Holdings, NodeLimits, WarmTargets, eni_is_extra, shortage, surplus
from vpccni.ipam.values import IPV4_KINDS, BlockKind

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX
ROOMY = NodeLimits(max_enis=4, slots_per_eni=14, max_pods=500)


def prefixes(blocks: int, assigned: int = 0, empty: int | None = None) -> Holdings:
    return Holdings(16 * blocks, assigned, 0, blocks, blocks - -(-assigned // 16) if empty is None else empty)


def singles(total: int, assigned: int = 0, cooling: int = 0) -> Holdings:
    return Holdings(total, assigned, cooling, total, total - assigned - cooling)


@pytest.mark.parametrize(
    ("targets", "held", "kind", "short", "over"),
    [  # spec 9.3, TestGetWarmIPTargetState and TestDecreaseIPPool
        (WarmTargets(warm_ip=5), singles(0), SIP, 5, 0),
        (WarmTargets(warm_ip=5), singles(2), SIP, 3, 0),
        (WarmTargets(warm_ip=5), singles(5), SIP, 0, 0),
        (WarmTargets(warm_ip=5), prefixes(0), PD, 1, 0),
        (WarmTargets(warm_ip=5), prefixes(2), PD, 0, 1),
        (WarmTargets(warm_ip=5), prefixes(1), PD, 0, 0),
        (WarmTargets(warm_ip=1), singles(4, assigned=2), SIP, 0, 1),
        (WarmTargets(warm_ip=1), singles(3, assigned=2), SIP, 0, 0),
        (WarmTargets(minimum_ip=10), singles(4, assigned=4), SIP, 6, 0),
        (WarmTargets(minimum_ip=10), singles(10, assigned=10), SIP, 0, 0),
        (WarmTargets(warm_ip=3), singles(0), SIP, 3, 0),
    ],
)
def test_ip_targets(targets: WarmTargets, held: Holdings, kind: BlockKind, short: int, over: int) -> None:
    assert (shortage(targets, ROOMY, held, kind), surplus(targets, ROOMY, held, kind)) == (short, over)


@pytest.mark.parametrize(
    ("slots", "warm_eni", "warm_ip", "held", "max_pods", "low"),
    [  # spec 9.3, nodeIPPoolTooLow
        (14, 1, 0, singles(0), 500, True),
        (14, 0, 0, singles(0), 500, True),
        (14, 0, 3, singles(0), 500, True),
        (3, 1, 1, singles(3), 500, False),
        (3, 1, 0, singles(3, assigned=1), 500, True),
        (3, 0, 0, singles(3, assigned=1), 500, False),
        (3, 1, 0, singles(3, assigned=3), 500, True),
        (3, 0, 0, singles(3, assigned=3), 500, True),
        (3, 0, 5, singles(3, assigned=3), 3, False),
        # WARM_ENI 2 of 10 addresses each
        (10, 2, 0, singles(0), 500, True),
        (10, 2, 0, singles(10), 500, True),
        (10, 2, 0, singles(20), 500, False),
    ],
)
def test_too_low_for_secondary_addresses(
    slots: int, warm_eni: int, warm_ip: int, held: Holdings, max_pods: int, low: bool
) -> None:
    limits = NodeLimits(4, slots, max_pods)
    targets = WarmTargets(warm_eni=warm_eni, warm_ip=warm_ip)
    assert (shortage(targets, limits, held, SIP) > 0) is low


@pytest.mark.parametrize(
    ("warm_prefix", "held", "max_pods", "missing"),
    [  # spec 9.3, nodePrefixPoolTooLow
        (1, prefixes(0), 500, 1),
        (0, prefixes(0), 500, 1),
        (1, prefixes(1), 500, 0),
        (1, prefixes(1, assigned=1), 500, 1),
        (0, prefixes(1, assigned=1), 500, 0),
        (1, prefixes(1, assigned=3), 500, 1),
        (0, prefixes(1, assigned=3), 500, 0),
        (1, prefixes(1, assigned=3), 4, 0),
        (0, prefixes(1, assigned=16), 500, 1),
        (2, prefixes(0), 500, 2),
        (2, prefixes(2, assigned=1), 500, 1),
    ],
)
def test_too_low_for_prefixes(warm_prefix: int, held: Holdings, max_pods: int, missing: int) -> None:
    limits = NodeLimits(4, 16, max_pods)
    assert shortage(WarmTargets(warm_prefix=warm_prefix), limits, held, PD) == missing


def test_cooling_addresses_are_not_available() -> None:
    assert shortage(WarmTargets(warm_ip=2), ROOMY, singles(5, assigned=2, cooling=2), SIP) == 1
    assert surplus(WarmTargets(warm_ip=1), ROOMY, singles(5, assigned=2, cooling=2), SIP) == 0
    one_cools = Holdings(16, 0, 16, 1, 0)
    assert shortage(WarmTargets(warm_prefix=0), ROOMY, one_cools, PD) == 1


def test_pods_that_wait_have_theirs_already() -> None:
    def missing(targets: WarmTargets, waiting: int, kind: BlockKind) -> int:
        held = Holdings(0, 0, waiting=waiting)
        return shortage(targets, ROOMY, held, kind)

    assert missing(WarmTargets(warm_ip=2), 10, SIP) == 12
    assert missing(WarmTargets(minimum_ip=1), 10, SIP) == 10
    assert missing(WarmTargets(warm_prefix=0), 33, PD) == 3
    assert missing(WarmTargets(warm_eni=0), 33, SIP) == 14


def test_the_last_prefix_is_not_given_back_to_be_taken_again() -> None:
    assert surplus(WarmTargets(warm_prefix=0), ROOMY, prefixes(1), PD) == 0
    assert surplus(WarmTargets(warm_prefix=0), ROOMY, prefixes(3), PD) == 2
    assert surplus(WarmTargets(warm_prefix=1), ROOMY, prefixes(3, assigned=1), PD) == 1


@given(
    targets=st.builds(
        WarmTargets,
        warm_eni=st.integers(0, 3), warm_ip=st.integers(0, 40), minimum_ip=st.integers(0, 40),
        warm_prefix=st.integers(0, 3),
    ),
    kind=st.sampled_from(IPV4_KINDS),
    uses=st.lists(st.tuples(st.integers(0, 16), st.integers(0, 16)), max_size=12),
    max_pods=st.integers(0, 100),
)  # fmt: skip
def test_giving_the_surplus_back_makes_no_shortage(
    targets: WarmTargets, kind: BlockKind, uses: list[tuple[int, int]], max_pods: int
) -> None:
    size = kind.addresses
    used = [(min(a, size), min(c, size - min(a, size))) for a, c in uses]
    held = Holdings(
        size * len(used),
        sum(a for a, _ in used),
        sum(c for _, c in used),
        len(used),
        sum(not a and not c for a, c in used),
    )
    limits = NodeLimits(3, 5, max_pods)
    over = surplus(targets, limits, held, kind)
    assert 0 <= over <= held.empty_blocks
    if over:
        assert shortage(targets, limits, held.with_blocks(-over, kind), kind) == 0
        assert shortage(targets, limits, held, kind) == 0


def test_a_whole_eni_is_extra_only_beyond_one_more_than_the_target() -> None:
    limits = NodeLimits(4, 10, 500)
    warm = WarmTargets(warm_eni=1)
    assert eni_is_extra(warm, limits, singles(20), singles(10), SIP)
    assert not eni_is_extra(warm, limits, singles(20, assigned=1), singles(10, assigned=1), SIP)
    assert not eni_is_extra(warm, limits, singles(15), singles(10), SIP), "that ENI holds but 5"
    by_ip = WarmTargets(warm_ip=3, minimum_ip=1)  # spec 9.2, TestWarmENIInteractions: 5 held, 2 assigned
    assert not eni_is_extra(by_ip, limits, singles(5, assigned=2), singles(4, assigned=2), SIP)
    assert not eni_is_extra(
        WarmTargets(warm_ip=1, minimum_ip=5), limits, singles(5, assigned=2), singles(4, assigned=2), SIP
    )
    assert eni_is_extra(
        WarmTargets(warm_ip=2, minimum_ip=4), limits, singles(5, assigned=2), singles(4, assigned=2), SIP
    )
    assert eni_is_extra(WarmTargets(warm_prefix=1), limits, prefixes(2), prefixes(1), PD)
    assert not eni_is_extra(WarmTargets(warm_prefix=2), limits, prefixes(2), prefixes(1), PD)
