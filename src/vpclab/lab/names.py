"""What the lab calls its machines: node1, node2, …, bastion, or as their Name tag or id says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping

from vpclab.region.study import BASTION_NAME
from vpclab.region.values import Instance, InstanceState

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
    wanted = _wanted(instance)
    return wanted if wanted not in taken else instance.id


def also_called(instances: Mapping[str, Instance], names: Mapping[str, str]) -> dict[str, str]:
    """Names that lead to an instance although it is called otherwise, with its id.

    A machine keeps the name it booted with. One that came while another still had its name, as when CloudFormation replaces an
    instance, is called by its id; its Name tag leads to it as soon as the other one ends. `names` are by instance id.
    """
    living = {key: one for key, one in instances.items() if not _ends(one)}
    held = {name for instance_id, name in names.items() if instance_id in living}
    found: dict[str, str] = {}
    for instance_id, instance in living.items():
        if names.get(instance_id) == instance_id and cluster_of(instance) is None:
            wanted = _wanted(instance)
            if wanted not in held:
                found.setdefault(wanted, instance_id)
    return found


def _wanted(instance: Instance) -> str:
    """By its Name tag, where that can be a host's name."""
    wanted = "bastion" if instance.name == BASTION_NAME else instance.name
    return wanted if _HOST.match(wanted) else instance.id


def _ends(instance: Instance) -> bool:
    return instance.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED)
