"""The add-ons that a cluster has from the start, as objects: kube-proxy and CoreDNS. The VPC CNI is `vpclab.images.aws_node`."""

from __future__ import annotations

from typing import Any

from vpclab.images import LabImages
from vpclab.kubernetes.control_plane import DNS_SERVICE
from vpclab.kubernetes.objects import manifest

AWS_NODE = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node"
PAUSE, KUBE_PROXY, COREDNS = "eks/pause", "eks/kube-proxy", "eks/coredns"
"""Images by their repositories."""


def kube_proxy(images: LabImages, endpoint: str) -> list[dict[str, Any]]:
    """kube-proxy's objects; it finds the API server by the cluster's name, before any service is there."""
    return manifest("kube-proxy", image=images.name(KUBE_PROXY), endpoint=endpoint)


def coredns(images: LabImages) -> list[dict[str, Any]]:
    """CoreDNS's objects."""
    return manifest("coredns", image=images.name(COREDNS), dns=DNS_SERVICE)
