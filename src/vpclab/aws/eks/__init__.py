"""EKS on the wire: its REST-JSON operations over `vpclab.eks`, a family a file."""

from __future__ import annotations

from vpclab.aws.eks import access, addons, clusters, identities, nodegroups, updates
from vpclab.aws.service import Cloud, Operation, Service
from vpclab.eks import Eks

OPERATIONS: dict[str, Operation] = {
    **access.OPERATIONS,
    **addons.OPERATIONS,
    **clusters.OPERATIONS,
    **identities.OPERATIONS,
    **nodegroups.OPERATIONS,
    **updates.OPERATIONS,
}


def _begin(cloud: Cloud) -> None:
    cloud.keep(Eks(cloud.region))


SERVICE = Service("eks", OPERATIONS, _begin)

__all__ = ["OPERATIONS", "SERVICE"]
