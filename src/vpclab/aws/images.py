"""The machine images that the region has: one set for every release, named by what it is.

An image's id follows from what it is, so that SSM's public parameters, DescribeImages and RunInstances agree without a register.
All boot the lab's one machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from vpclab.region.imds import IMAGE
from vpclab.region.values import Tags

KUBERNETES = tuple(f"1.{minor}" for minor in range(23, 36))
"""Versions that EKS had optimised images for, newest last."""
LAST_AL2 = 32
"""The minor version of the last release with an Amazon Linux 2 image (EKS user guide)."""
FIRST_AL2023 = 23
AMAZON = "137112412989"
"""The account that owns Amazon Linux's images."""
EKS_AMAZON = "602401143452"
"""The account that owns EKS's images."""


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image."""

    name: str
    description: str
    architecture: str
    owner: str
    parameter: str
    """SSM's public parameter that has its id."""
    release: str = ""
    tags: Tags = field(default_factory=dict, hash=False)

    @property
    def id(self) -> str:
        """Its id; the x86-64 image of Amazon Linux 2 is the one that instances say they have."""
        if self.parameter == STUDYS_PARAMETER:
            return IMAGE
        return f"ami-0{hashlib.sha256(self.name.encode()).hexdigest()[:16]}"


STUDYS_PARAMETER = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"


def images() -> Iterator[Image]:
    """All of them."""
    for arch in ("x86_64", "arm64"):
        for kind in ("gp2", "kernel-5.10-gp2"):
            yield Image(
                f"amzn2-ami-{'' if kind == 'gp2' else 'kernel-5.10-'}hvm-2.0.20251110.0-{arch}-gp2",
                f"Amazon Linux 2 AMI 2.0.20251110.0 {arch} HVM gp2",
                arch,
                AMAZON,
                f"/aws/service/ami-amazon-linux-latest/amzn2-ami-"
                f"{'hvm' if kind == 'gp2' else 'kernel-5.10-hvm'}-{arch}-gp2",
            )
        for kernel in ("default", "6.1"):
            yield Image(
                f"al2023-ami-2023.9.20251110.0-kernel-{kernel}-{arch}",
                f"Amazon Linux 2023 AMI 2023.9.20251110.0 {arch} HVM kernel-{kernel}",
                arch,
                AMAZON,
                f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-{kernel}-{arch}",
            )
    for version in KUBERNETES:
        yield from _of_eks(version)


def _of_eks(version: str) -> Iterator[Image]:
    release = f"{version}.0-20251112"
    base = f"/aws/service/eks/optimized-ami/{version}"
    for arch, words in (("x86_64", "amazon-linux-2"), ("arm64", "amazon-linux-2-arm64")):
        if int(version.partition(".")[2]) <= LAST_AL2:
            yield Image(
                f"amazon-eks-{'' if arch == 'x86_64' else 'arm64-'}node-{version}-v20251112",
                f"EKS Kubernetes Worker AMI with AmazonLinux2 image, (k8s: {version}.0)",
                arch,
                EKS_AMAZON,
                f"{base}/{words}/recommended/image_id",
                release,
            )
        yield Image(
            f"amazon-eks-node-al2023-{arch}-standard-{version}-v20251112",
            f"EKS-optimized Kubernetes node based on Amazon Linux 2023, (k8s: {version}.0)",
            arch,
            EKS_AMAZON,
            f"{base}/amazon-linux-2023/{arch}/standard/recommended/image_id",
            release,
        )
