"""How many pods the node may run, host-network pods included (spec 6.6 step 12)."""

from __future__ import annotations

from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.values import BlockKind
from vpccni.kube.port import NodeView

UNKNOWN = 110
"""Kubernetes' recommendation, where neither the node nor the instance type tells."""


def max_pods(
    node: NodeView | None, limits: InstanceLimits | None, kind: BlockKind, *, custom_networking: bool
) -> int:
    """What kubelet told the API server; else what the type's addresses allow; else 110."""
    if node is not None and node.max_pods is not None:
        return node.max_pods
    if limits is not None:
        return limits.max_pods(kind, custom_networking=custom_networking)
    return UNKNOWN
