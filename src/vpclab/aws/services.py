"""The services that the endpoint speaks."""

from __future__ import annotations

from vpclab.aws import autoscaling, cloudformation, ec2, eks, iam, ssm, sts
from vpclab.aws.service import Cloud, Service
from vpclab.region.region import Region

SERVICES: tuple[Service, ...] = (
    autoscaling.SERVICE,
    cloudformation.SERVICE,
    ec2.SERVICE,
    eks.SERVICE,
    iam.SERVICE,
    ssm.SERVICE,
    sts.SERVICE,
)
HOSTS = ("ec2", "sts", "eks", "cloudformation", "iam", "ssm", "autoscaling", "logs")
"""First labels of host names that lead to the endpoint; a service that is not there answers so there."""


def cloud_of(region: Region) -> Cloud:
    """The region with all services."""
    return Cloud(region, SERVICES)


def host_names(region: str) -> tuple[str, ...]:
    """The names in /etc/hosts that are the endpoint's."""
    regional = (f"{one}.{region}.amazonaws.com" for one in HOSTS)
    return (*regional, "sts.amazonaws.com", "iam.amazonaws.com", "ec2.amazonaws.com", f"eks.{region}.api.aws")
