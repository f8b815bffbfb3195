"""A node's kubelet: its configuration and command line, as EKS's AMI gives them where the lab has the same thing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from vpccni.ipam.limits import known_limits
from vpccni.ipam.values import BlockKind
from vpclab.kubernetes.containerd import SOCKET
from vpclab.region.imds import zone_id

ROOT = Path("/var/lib/kubelet")
FILES = Path("/etc/kubernetes")
CLUSTER_DOMAIN = "cluster.local"
MOST_PODS_UNKNOWN_TYPE = 110
"""Kubelet's own default."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What EC2 and EKS know of a node; its kubelet and the cloud's loop tell the API server."""

    name: str
    """The Kubernetes node's: EC2's private DNS name."""
    instance_id: str
    instance_type: str
    region: str
    zone: str
    internal: IPv4Address
    external: IPv4Address | None
    node_group: str
    image_id: str = ""
    capacity_type: str = "ON_DEMAND"

    @property
    def provider_id(self) -> str:
        """`Node.spec.providerID`."""
        return f"aws:///{self.zone}/{self.instance_id}"

    @property
    def own_labels(self) -> dict[str, str]:
        """Those that the kubelet registers with: a managed node group's."""
        return {
            "eks.amazonaws.com/nodegroup": self.node_group,
            "eks.amazonaws.com/capacityType": self.capacity_type,
            **({"eks.amazonaws.com/nodegroup-image": self.image_id} if self.image_id else {}),
        }

    @property
    def cloud_labels(self) -> dict[str, str]:
        """Those that the cloud gives it, old names beside the new ones as on EKS."""
        return {
            "node.kubernetes.io/instance-type": self.instance_type,
            "beta.kubernetes.io/instance-type": self.instance_type,
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": self.zone,
            "failure-domain.beta.kubernetes.io/region": self.region,
            "failure-domain.beta.kubernetes.io/zone": self.zone,
            "topology.k8s.aws/zone-id": zone_id(self.zone),
        }

    @property
    def addresses(self) -> list[dict[str, str]]:
        """`Node.status.addresses`, in EKS's order."""
        found = [{"type": "InternalIP", "address": str(self.internal)}]
        if self.external is not None:
            found.append({"type": "ExternalIP", "address": str(self.external)})
        names = (("InternalDNS", self.name), ("Hostname", self.name))
        return [*found, *({"type": kind, "address": name} for kind, name in names)]


def max_pods(instance_type: str, add_on: Mapping[str, str]) -> int:
    """What the kubelet is told, by the add-on's environment: the agent's and the planner's own function."""
    limits = known_limits(instance_type)
    if limits is None:
        return MOST_PODS_UNKNOWN_TYPE

    def on(name: str) -> bool:
        return add_on.get(name, "").lower() in {"1", "t", "true"}

    prefixes = on("ENABLE_PREFIX_DELEGATION") and limits.supports_prefixes
    kind = BlockKind.PREFIX if prefixes else BlockKind.SECONDARY_IP
    return limits.max_pods(kind, custom_networking=on("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"))


def configuration(most_pods: int, dns: IPv4Address, provider_id: str) -> dict[str, Any]:
    """KubeletConfiguration.

    `KubeletInUserNamespace` lets it live without what a container may not: lower OOM scores, set sysctls of the machine,
    read /dev/kmsg. Nothing is evicted for a disk that is the machine's own.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "featureGates": {"KubeletInUserNamespace": True},
        "address": "0.0.0.0",  # noqa: S104 -- of the node's own namespace
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": str(FILES / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(FILES / "kubelet.crt"),
        "tlsPrivateKeyFile": str(FILES / "kubelet.key"),
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [str(dns)],
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        "maxPods": most_pods,
        "providerID": provider_id,
        "resolvConf": "/etc/resolv.conf",
        "serializeImagePulls": False,
        "failSwapOn": False,
        "hairpinMode": "hairpin-veth",
        "localStorageCapacityIsolation": False,
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "kubeAPIQPS": 50,
        "kubeAPIBurst": 100,
        "volumeStatsAggPeriod": "-1s",
    }


def command(kubelet: str, facts: NodeFacts) -> tuple[str, ...]:
    """The command line; files are those that `configuration` and the node's boot write below `FILES`."""
    labels = ",".join(f"{key}={value}" for key, value in facts.own_labels.items())
    return (
        kubelet,
        f"--config={FILES / 'kubelet.json'}",
        f"--kubeconfig={FILES / 'kubelet.conf'}",
        f"--root-dir={ROOT}",
        f"--hostname-override={facts.name}",
        f"--node-ip={facts.internal}",
        f"--node-labels={labels}",
        "--cloud-provider=external",
        "--v=2",
    )
