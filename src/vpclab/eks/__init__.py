"""EKS of the region, pure: clusters, managed node groups that launch and end instances, add-ons, access.

    eks = Eks(region, delays=EksDelays(), ready=…, attended=False)
    eks.create_cluster(name, role_arn, subnet_ids, creator=arn, version="1.29"); eks.cluster(name)
    eks.create_nodegroup(cluster, name, node_role, subnet_ids, scaling=Scaling(1, 5, 3), instance_types=("t3.medium",))
    eks.create_addon(cluster, "vpc-cni", configuration='{"env": {"WARM_IP_TARGET": "2"}}')
    eks.update_nodegroup_config(…), update_addon(…) -> Update; eks.update(cluster, id)
    eks.look()                                # after any change of the region: groups launch, replace and end their nodes

Who attends (the lab): `eks.leaving` are instances to drain, then `eks.drained(id, problem)`; `eks.rollouts` are add-on changes to
carry out, then `eks.rolled_out(rollout, issue)`. Changes are told as the region's (Resource.EKS), and so wake its followers.
A real API server of a cluster is told by `eks.endpoints[cluster] = (url, certificate authority)`.
"""

from vpclab.eks.addons import Rollout
from vpclab.eks.configuration import environment_of, read_configuration
from vpclab.eks.eks import Eks
from vpclab.eks.values import (
    AccessEntry,
    Addon,
    Cluster,
    EksDelays,
    Issue,
    Nodegroup,
    PodIdentity,
    Scaling,
    Status,
    Update,
)

__all__ = [
    "AccessEntry",
    "Addon",
    "Cluster",
    "Eks",
    "EksDelays",
    "Issue",
    "Nodegroup",
    "PodIdentity",
    "Rollout",
    "Scaling",
    "Status",
    "Update",
    "environment_of",
    "read_configuration",
]
