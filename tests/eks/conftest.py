"""The study's cluster, in a region without a lab."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from vpclab.eks import Eks, EksDelays, Scaling
from vpclab.eks.values import Nodegroup
from vpclab.region import ApiError, Delays, Instance, Region, study_region
from vpclab.region.study import Study

CLUSTER, GROUP = "myeks", "ng1"
ROLE = "arn:aws:iam::111122223333:role/NodeInstanceRole"
ADMIN = "arn:aws:iam::111122223333:user/admin"
AT_ONCE = Delays(attach=(0, 0), detach=(0, 0))


@dataclass
class World:
    """A region with the study's cluster and node group."""

    region: Region
    study: Study
    eks: Eks
    unready: set[str] = field(default_factory=set)

    @property
    def group(self) -> Nodegroup:
        return self.eks.nodegroup(CLUSTER, GROUP)

    @property
    def nodes(self) -> list[Instance]:
        return self.eks.nodes_of((CLUSTER, GROUP))

    @property
    def zones(self) -> dict[str, int]:
        return dict(Counter(one.zone[-1] for one in self.nodes))


def make_world(
    *, attended: bool = False, delays: EksDelays | None = None, instances: Delays = AT_ONCE, bits: int = 24
) -> World:
    region, study = study_region(Region(delays=instances), bits)
    unready: set[str] = set()
    eks = Eks(region, ready=lambda one: one not in unready, attended=attended)
    subnets = [subnet.id for subnet in study.public]
    eks.create_cluster(CLUSTER, ROLE, subnets, creator=ADMIN, version="1.29")
    if delays is not None:
        eks.delays = delays
    eks.create_nodegroup(CLUSTER, GROUP, ROLE, subnets, scaling=Scaling(1, 6, 3))
    return World(region, study, eks, unready)


@pytest.fixture
def world() -> World:
    return make_world()


@contextmanager
def refused(code: str, words: str = "") -> Iterator[None]:
    """EKS says no, so."""
    with pytest.raises(ApiError) as caught:
        yield
    assert caught.value.code == code, str(caught.value)
    assert words in caught.value.message
