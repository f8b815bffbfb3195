"""What the lab calls its machines: node1, node2, …, bastion, or as their Name tag or id says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection

from vpclab.region.study import BASTION_NAME
from vpclab.region.values import Instance

OF_CLUSTER = "kubernetes.io/cluster/"
"""Prefix of the tag that says that an instance is a node of a cluster ("owned" or "shared")."""
NODE_GROUP_TAG = "eks:nodegroup-name"
CLUSTER_TAG = "eks:cluster-name"
_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?\Z")


def cluster_of(instance: Instance) -> str | None:
    """The cluster that an instance is a node of, as its tags or its user data say; None: it is no node."""
    if CLUSTER_TAG in instance.tags:
        return instance.tags[CLUSTER_TAG]
    for key in instance.tags:
        if key.startswith(OF_CLUSTER):
            return key.removeprefix(OF_CLUSTER)
    # the EKS images' own way to say it, for nodes that belong to no managed group
    found = re.search(r"/etc/eks/bootstrap\.sh\s+['\"]?([\w-]+)", instance.user_data)
    return found[1] if found else None


def name_for(instance: Instance, taken: Collection[str]) -> str:
    """A name that nobody has: a node gets the lowest number that is free."""
    if cluster_of(instance) is not None:
        return next(name for n in itertools.count(1) if (name := f"node{n}") not in taken)
    wanted = "bastion" if instance.name == BASTION_NAME else instance.name
    return wanted if _HOST.match(wanted) and wanted not in taken else instance.id
