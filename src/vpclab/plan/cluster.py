"""What a plan asks a cluster's API for: nodes, pods and the aws-node DaemonSet, by KUBECONFIG."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from vpccni.kube.access import AccessError, find_access
from vpccni.kube.client import HttpCluster
from vpccni.kube.port import KubeError
from vpclab.plan.scenario import ScenarioError

Objects = list[dict[str, Any]]


def cluster_objects() -> tuple[Objects, Objects, Objects]:
    """Nodes, pods, DaemonSets named aws-node. Raises ScenarioError."""
    try:
        access = find_access(os.environ)
        if access is None:
            raise ScenarioError("no cluster is configured: set KUBECONFIG")
        return asyncio.run(_ask(HttpCluster(access, reporter="vpc-cni-plan")))
    except (AccessError, KubeError) as error:
        raise ScenarioError(f"the cluster could not be asked: {error}") from None


async def _ask(cluster: HttpCluster) -> tuple[Objects, Objects, Objects]:
    try:
        return (
            await cluster.listed("/api/v1/nodes"),
            await cluster.listed("/api/v1/pods"),
            await cluster.listed("/apis/apps/v1/daemonsets", field="metadata.name=aws-node"),
        )
    finally:
        await cluster.close()
