"""The documented steady states (spec 9.10), reached by the decisions themselves against a model EC2."""

from __future__ import annotations

import pytest

from tests.ipam.model_ec2 import Node
from vpccni.ipam.targets import WarmTargets
from vpccni.ipam.values import BlockKind

SIP, PD = BlockKind.SECONDARY_IP, BlockKind.PREFIX
SMALL, LARGE = (3, 3), (15, 49)


@pytest.mark.parametrize(
    ("node", "kind", "targets", "pods", "expected", "per_eni"),
    [  # spec 9.10: (ENIs, blocks, unused addresses); (ENIs, slots) of t3.small and p3dn.24xlarge
        (SMALL, SIP, WarmTargets(1), 0, (1, 3, 3), [3]),
        (SMALL, SIP, WarmTargets(1), 5, (3, 9, 4), [3, 3, 3]),
        (SMALL, SIP, WarmTargets(1), 9, (3, 9, 0), [3, 3, 3]),
        (SMALL, SIP, WarmTargets(1, 1, 1), 0, (1, 1, 1), [1]),
        (SMALL, SIP, WarmTargets(1, 1, 1), 5, (2, 6, 1), [3, 3]),
        (SMALL, SIP, WarmTargets(1, 1, 1), 9, (3, 9, 0), [3, 3, 3]),
        (SMALL, SIP, WarmTargets(1, 2, 5), 0, (2, 5, 5), [2, 3]),
        (SMALL, SIP, WarmTargets(1, 2, 5), 5, (3, 7, 2), [3, 3, 1]),
        (SMALL, SIP, WarmTargets(1, 2, 5), 9, (3, 9, 0), [3, 3, 3]),
        (LARGE, SIP, WarmTargets(1), 0, (1, 49, 49), [49]),
        (LARGE, SIP, WarmTargets(1), 3, (2, 98, 95), [49, 49]),
        (LARGE, SIP, WarmTargets(1), 95, (3, 147, 52), [49, 49, 49]),
        (LARGE, SIP, WarmTargets(1, 5, 10), 0, (1, 10, 10), [10]),
        (LARGE, SIP, WarmTargets(1, 5, 10), 7, (1, 12, 5), [12]),
        (LARGE, SIP, WarmTargets(1, 5, 10), 15, (1, 20, 5), [20]),
        (LARGE, SIP, WarmTargets(1, 5, 10), 45, (2, 50, 5), [49, 1]),
        (SMALL, PD, WarmTargets(warm_prefix=1), 0, (1, 1, 16), [1]),
        (SMALL, PD, WarmTargets(warm_prefix=1), 5, (1, 2, 27), [2]),
        (SMALL, PD, WarmTargets(warm_prefix=1), 16, (1, 2, 16), [2]),
        (SMALL, PD, WarmTargets(warm_prefix=1), 17, (1, 3, 31), [3]),
        (SMALL, PD, WarmTargets(warm_prefix=1), 58, (2, 5, 22), [3, 2]),
        (SMALL, PD, WarmTargets(1, 1, 1), 0, (1, 1, 16), [1]),
        (SMALL, PD, WarmTargets(1, 1, 1), 5, (1, 1, 11), [1]),
        (SMALL, PD, WarmTargets(1, 1, 1), 17, (1, 2, 15), [2]),
        (SMALL, PD, WarmTargets(1, 1, 1), 58, (2, 4, 6), [3, 1]),
        (
            SMALL,
            PD,
            WarmTargets(1, 7, 20),
            0,
            (1, 2, 32),
            [2],
        ),  # documented as one prefix; 20 addresses need two
        (SMALL, PD, WarmTargets(1, 7, 20), 5, (1, 2, 27), [2]),
        (SMALL, PD, WarmTargets(1, 7, 20), 17, (1, 2, 15), [2]),
        (SMALL, PD, WarmTargets(1, 7, 20), 58, (2, 5, 22), [3, 2]),
        (LARGE, PD, WarmTargets(warm_prefix=1), 0, (1, 1, 16), [1]),
        (LARGE, PD, WarmTargets(warm_prefix=1), 95, (1, 7, 17), [7]),
        (LARGE, PD, WarmTargets(1, 5, 10), 0, (1, 1, 16), [1]),
        (LARGE, PD, WarmTargets(1, 5, 10), 7, (1, 1, 9), [1]),
        (LARGE, PD, WarmTargets(1, 5, 10), 15, (1, 2, 17), [2]),
        (LARGE, PD, WarmTargets(1, 5, 10), 45, (1, 4, 19), [4]),
    ],
)
def test_steady_states(
    node: tuple[int, int],
    kind: BlockKind,
    targets: WarmTargets,
    pods: int,
    expected: tuple[int, int, int],
    per_eni: list[int],
) -> None:
    it = Node(targets, enis=node[0], slots=node[1], kind=kind)
    it.settle()
    for number in range(pods):
        it.add(number)
    it.rest()
    assert it.shape == expected
    assert sorted(map(len, it.ec2.held.values())) == sorted(per_eni)
