"""The add-ons that EKS offers, and which versions of each fit which Kubernetes.

AWS publishes no list but DescribeAddonVersions itself, and that changes by the week. This one is a picture of it, written from memory, with
fewer builds of each than AWS keeps, and no add-ons of the marketplace. So a count over it depends on the version asked for, as AWS's does,
and is smaller; a single build, or a range of Kubernetes versions, may differ from AWS's. Compared with the EKS user guide's tables of the latest
version by Kubernetes version (states of 2025) were vpc-cni v1.20.1-eksbuild.3 and v1.19.2-eksbuild.5, and coredns v1.12.3-eksbuild.1,
v1.11.4-eksbuild.22, v1.11.4-eksbuild.2 and v1.10.1-eksbuild.38: these are as they stand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vpclab.eks.versions import VERSIONS, minor_of

AMD64, ARM64 = "amd64", "arm64"


@dataclass(frozen=True, slots=True)
class AddonVersion:
    """A version of an add-on: Kubernetes 1.`first` to 1.`last`."""

    version: str
    first: int
    last: int

    def fits(self, kubernetes: str) -> bool:
        """Whether it runs on that version of Kubernetes."""
        return self.first <= minor_of(kubernetes) <= self.last

    @property
    def clusters(self) -> tuple[str, ...]:
        """The versions of Kubernetes that it runs on, newest first."""
        return tuple(version for version in VERSIONS if self.fits(version))


@dataclass(frozen=True, slots=True)
class OfferedAddon:
    """An add-on as it is offered."""

    name: str
    type: str
    namespace: str
    versions: tuple[AddonVersion, ...]
    """Newest first."""
    defaults: Mapping[int, str]
    """Minor version of Kubernetes -> what a cluster of it gets if nobody says."""
    service_account: str = ""
    """That may have a role."""
    policies: tuple[str, ...] = ()
    """AWS's policies that such a role needs."""
    computes: tuple[str, ...] = ("ec2",)
    builtin: bool = False
    """Whether a cluster has it from the start."""

    def default(self, kubernetes: str) -> str | None:
        """What a cluster of this version gets; None if nothing fits."""
        given = self.defaults.get(minor_of(kubernetes))
        return given or next((one.version for one in self.versions if one.fits(kubernetes)), None)

    def version(self, wanted: str) -> AddonVersion | None:
        """One version by name."""
        return next((one for one in self.versions if one.version == wanted), None)


def _versions(*rows: tuple[str, int, int]) -> tuple[AddonVersion, ...]:
    return tuple(AddonVersion(*row) for row in rows)


def _of_kubernetes(builds: Mapping[int, tuple[str, ...]]) -> tuple[AddonVersion, ...]:
    """kube-proxy's way: a version belongs to its own minor version of Kubernetes and serves the two after it."""
    return tuple(
        AddonVersion(f"v1.{minor}.{build}", minor, minor + 2)
        for minor in sorted(builds, reverse=True)
        for build in builds[minor]
    )


_POLICY = "arn:aws:iam::aws:policy/"
_KUBE_PROXY = {
    34: ("1-eksbuild.2", "0-eksbuild.4"),
    33: ("5-eksbuild.2", "3-eksbuild.10", "0-eksbuild.2"),
    32: ("9-eksbuild.2", "6-eksbuild.12", "0-eksbuild.2"),
    31: ("13-eksbuild.2", "10-eksbuild.12", "3-eksbuild.2", "2-eksbuild.3", "1-eksbuild.2", "0-eksbuild.2"),
    30: ("14-eksbuild.8", "9-eksbuild.3", "7-eksbuild.2", "6-eksbuild.3", "3-eksbuild.2", "0-eksbuild.3"),
    29: (
        "15-eksbuild.12", "13-eksbuild.3", "11-eksbuild.2", "10-eksbuild.3", "9-eksbuild.1", "7-eksbuild.9",
        "7-eksbuild.2", "3-eksbuild.5", "3-eksbuild.2", "1-eksbuild.2", "0-eksbuild.3", "0-eksbuild.2", "0-eksbuild.1",
    ),
    28: ("15-eksbuild.12", "13-eksbuild.3", "8-eksbuild.2", "6-eksbuild.2", "4-eksbuild.1", "2-eksbuild.2", "1-eksbuild.1"),
}  # fmt: skip

OFFERED: Mapping[str, OfferedAddon] = {
    one.name: one
    for one in (
        OfferedAddon(
            "vpc-cni",
            "networking",
            "kube-system",
            _versions(
                ("v1.20.4-eksbuild.2", 28, 34), ("v1.20.3-eksbuild.1", 28, 34), ("v1.20.2-eksbuild.1", 28, 34),
                ("v1.20.1-eksbuild.3", 28, 34), ("v1.20.0-eksbuild.1", 28, 33), ("v1.19.6-eksbuild.7", 28, 33),
                ("v1.19.5-eksbuild.3", 28, 33), ("v1.19.3-eksbuild.1", 28, 32), ("v1.19.2-eksbuild.5", 28, 32),
                ("v1.19.0-eksbuild.1", 28, 31), ("v1.18.6-eksbuild.1", 28, 31), ("v1.18.5-eksbuild.1", 28, 31),
                ("v1.18.3-eksbuild.3", 28, 31), ("v1.18.2-eksbuild.1", 28, 30), ("v1.18.1-eksbuild.3", 28, 30),
                ("v1.18.0-eksbuild.1", 28, 30), ("v1.17.1-eksbuild.1", 28, 29), ("v1.16.4-eksbuild.2", 28, 29),
                ("v1.16.3-eksbuild.2", 28, 29), ("v1.16.2-eksbuild.1", 28, 29), ("v1.16.0-eksbuild.1", 28, 29),
                ("v1.15.5-eksbuild.1", 28, 29), ("v1.15.4-eksbuild.1", 28, 28), ("v1.15.1-eksbuild.1", 28, 28),
                ("v1.14.1-eksbuild.1", 28, 28),
            ),
            {
                28: "v1.14.1-eksbuild.1", 29: "v1.16.0-eksbuild.1", 30: "v1.18.1-eksbuild.3", 31: "v1.18.3-eksbuild.3",
                32: "v1.19.2-eksbuild.5", 33: "v1.19.5-eksbuild.3", 34: "v1.20.1-eksbuild.3",
            },
            service_account="aws-node",
            policies=(f"{_POLICY}AmazonEKS_CNI_Policy",),
            builtin=True,
        ),
        OfferedAddon(
            "kube-proxy",
            "networking",
            "kube-system",
            _of_kubernetes(_KUBE_PROXY),
            {
                28: "v1.28.1-eksbuild.1", 29: "v1.29.0-eksbuild.1", 30: "v1.30.0-eksbuild.3", 31: "v1.31.0-eksbuild.2",
                32: "v1.32.0-eksbuild.2", 33: "v1.33.0-eksbuild.2", 34: "v1.34.0-eksbuild.4",
            },
            builtin=True,
        ),
        OfferedAddon(
            "coredns",
            "networking",
            "kube-system",
            _versions(
                ("v1.12.4-eksbuild.1", 33, 34), ("v1.12.3-eksbuild.1", 33, 34), ("v1.12.2-eksbuild.4", 33, 34),
                ("v1.12.1-eksbuild.2", 33, 34), ("v1.11.4-eksbuild.24", 29, 32), ("v1.11.4-eksbuild.22", 29, 32),
                ("v1.11.4-eksbuild.14", 29, 32), ("v1.11.4-eksbuild.2", 29, 32), ("v1.11.3-eksbuild.2", 28, 31), ("v1.11.3-eksbuild.1", 28, 31),
                ("v1.11.1-eksbuild.11", 28, 30), ("v1.11.1-eksbuild.9", 28, 30), ("v1.11.1-eksbuild.8", 28, 30),
                ("v1.11.1-eksbuild.6", 29, 29), ("v1.11.1-eksbuild.4", 29, 29), ("v1.10.1-eksbuild.38", 28, 28),
                ("v1.10.1-eksbuild.11", 28, 28), ("v1.10.1-eksbuild.7", 28, 28), ("v1.10.1-eksbuild.2", 28, 28),
            ),
            {
                28: "v1.10.1-eksbuild.2", 29: "v1.11.1-eksbuild.4", 30: "v1.11.1-eksbuild.8", 31: "v1.11.3-eksbuild.1",
                32: "v1.11.4-eksbuild.2", 33: "v1.12.1-eksbuild.2", 34: "v1.12.3-eksbuild.1",
            },
            computes=("ec2", "fargate"),
            builtin=True,
        ),
        OfferedAddon(
            "aws-ebs-csi-driver",
            "storage",
            "kube-system",
            _versions(
                ("v1.51.0-eksbuild.1", 29, 34), ("v1.50.1-eksbuild.1", 29, 34), ("v1.48.0-eksbuild.2", 28, 34),
                ("v1.45.0-eksbuild.2", 28, 33), ("v1.41.0-eksbuild.1", 28, 33), ("v1.38.1-eksbuild.2", 28, 32),
                ("v1.37.0-eksbuild.2", 28, 32), ("v1.35.0-eksbuild.1", 28, 31), ("v1.33.0-eksbuild.1", 28, 31),
                ("v1.31.0-eksbuild.1", 28, 30), ("v1.30.0-eksbuild.1", 28, 30), ("v1.28.0-eksbuild.1", 28, 29),
                ("v1.26.1-eksbuild.1", 28, 29), ("v1.24.1-eksbuild.1", 28, 28),
            ),
            {},
            service_account="ebs-csi-controller-sa",
            policies=(f"{_POLICY}service-role/AmazonEBSCSIDriverPolicy",),
        ),
        OfferedAddon(
            "aws-efs-csi-driver",
            "storage",
            "kube-system",
            _versions(
                ("v2.1.12-eksbuild.1", 28, 34), ("v2.1.9-eksbuild.1", 28, 33), ("v2.1.4-eksbuild.1", 28, 32),
                ("v2.0.9-eksbuild.1", 28, 31), ("v2.0.2-eksbuild.1", 28, 30), ("v1.7.4-eksbuild.1", 28, 29),
                ("v1.7.1-eksbuild.1", 28, 28),
            ),
            {},
            service_account="efs-csi-controller-sa",
            policies=(f"{_POLICY}service-role/AmazonEFSCSIDriverPolicy",),
        ),
        OfferedAddon(
            "aws-mountpoint-s3-csi-driver",
            "storage",
            "kube-system",
            _versions(
                ("v2.1.0-eksbuild.1", 28, 34), ("v1.15.0-eksbuild.1", 28, 33), ("v1.11.0-eksbuild.1", 28, 32),
                ("v1.8.0-eksbuild.1", 28, 31), ("v1.4.0-eksbuild.1", 28, 30), ("v1.0.0-eksbuild.1", 28, 29),
            ),
            {},
            service_account="s3-csi-driver-sa",
            policies=(f"{_POLICY}AmazonS3FullAccess",),
        ),
        OfferedAddon(
            "snapshot-controller",
            "storage",
            "kube-system",
            _versions(
                ("v8.3.0-eksbuild.1", 28, 34), ("v8.2.0-eksbuild.1", 28, 33), ("v8.0.0-eksbuild.1", 28, 31),
                ("v7.0.1-eksbuild.1", 28, 30), ("v6.3.2-eksbuild.1", 28, 29),
            ),
            {},
        ),
        OfferedAddon(
            "eks-pod-identity-agent",
            "security",
            "kube-system",
            _versions(
                ("v1.3.9-eksbuild.3", 28, 34), ("v1.3.8-eksbuild.2", 28, 33), ("v1.3.4-eksbuild.1", 28, 32),
                ("v1.3.2-eksbuild.2", 28, 31), ("v1.3.0-eksbuild.1", 28, 31), ("v1.2.0-eksbuild.1", 28, 30),
                ("v1.1.0-eksbuild.1", 28, 29), ("v1.0.0-eksbuild.1", 28, 29),
            ),
            {},
        ),
        OfferedAddon(
            "adot",
            "observability",
            "opentelemetry-operator-system",
            _versions(
                ("v0.117.0-eksbuild.1", 29, 34), ("v0.109.0-eksbuild.2", 28, 31), ("v0.102.1-eksbuild.2", 28, 30),
                ("v0.94.1-eksbuild.1", 28, 29), ("v0.92.1-eksbuild.1", 28, 29), ("v0.88.0-eksbuild.2", 28, 28),
            ),
            {},
            service_account="adot-col-prom-metrics",
            policies=(f"{_POLICY}AmazonPrometheusRemoteWriteAccess",),
        ),
        OfferedAddon(
            "amazon-cloudwatch-observability",
            "observability",
            "amazon-cloudwatch",
            _versions(
                ("v4.4.0-eksbuild.1", 28, 34), ("v3.7.0-eksbuild.1", 28, 33), ("v2.6.0-eksbuild.1", 28, 32),
                ("v1.9.0-eksbuild.1", 28, 31), ("v1.5.1-eksbuild.1", 28, 30), ("v1.2.1-eksbuild.1", 28, 29),
            ),
            {},
            service_account="cloudwatch-agent",
            policies=(f"{_POLICY}CloudWatchAgentServerPolicy", f"{_POLICY}AWSXrayWriteOnlyAccess"),
        ),
        OfferedAddon(
            "aws-guardduty-agent",
            "security",
            "amazon-guardduty",
            _versions(
                ("v1.10.0-eksbuild.2", 28, 34), ("v1.8.1-eksbuild.2", 28, 32), ("v1.7.1-eksbuild.2", 28, 31),
                ("v1.6.1-eksbuild.1", 28, 30), ("v1.5.0-eksbuild.1", 28, 29), ("v1.4.1-eksbuild.2", 28, 29),
            ),
            {},
        ),
        OfferedAddon(
            "metrics-server",
            "observability",
            "kube-system",
            _versions(("v0.8.0-eksbuild.2", 29, 34), ("v0.7.2-eksbuild.4", 29, 33), ("v0.7.2-eksbuild.1", 29, 32)),
            {},
        ),
        OfferedAddon(
            "kube-state-metrics",
            "observability",
            "kube-state-metrics",
            _versions(("v2.17.0-eksbuild.1", 29, 34), ("v2.15.0-eksbuild.4", 29, 33)),
            {},
        ),
        OfferedAddon(
            "prometheus-node-exporter",
            "observability",
            "prometheus-node-exporter",
            _versions(("v1.9.1-eksbuild.4", 29, 34), ("v1.9.0-eksbuild.1", 29, 33)),
            {},
        ),
        OfferedAddon(
            "cert-manager",
            "security",
            "cert-manager",
            _versions(("v1.19.1-eksbuild.1", 29, 34), ("v1.17.2-eksbuild.1", 29, 33)),
            {},
        ),
        OfferedAddon(
            "external-dns",
            "networking",
            "external-dns",
            _versions(("v0.19.0-eksbuild.2", 29, 34), ("v0.17.0-eksbuild.1", 29, 33)),
            {},
        ),
        OfferedAddon(
            "eks-node-monitoring-agent",
            "observability",
            "kube-system",
            _versions(("v1.4.1-eksbuild.1", 28, 34), ("v1.2.0-eksbuild.1", 28, 33), ("v1.0.1-eksbuild.2", 28, 32)),
            {},
        ),
        OfferedAddon(
            "amazon-sagemaker-hyperpod-taskgovernance",
            "machine-learning",
            "kueue-system",
            _versions(("v1.3.0-eksbuild.1", 30, 34), ("v1.0.0-eksbuild.4", 30, 32)),
            {},
        ),
    )
}  # fmt: skip


def offered(kubernetes: str | None = None, name: str | None = None) -> Iterator[OfferedAddon]:
    """Add-ons that have a version for that Kubernetes (any, if not given), by that name if given."""
    for one in OFFERED.values():
        if name in (None, one.name) and (
            kubernetes is None or any(version.fits(kubernetes) for version in one.versions)
        ):
            yield one
