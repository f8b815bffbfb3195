"""EC2."""

from __future__ import annotations

from vpclab.aws.operations import OPERATIONS
from vpclab.aws.operations.key_pairs import KeyPairs
from vpclab.aws.operations.launch_templates import Templates
from vpclab.aws.service import Cloud, Service


def _begin(cloud: Cloud) -> None:
    cloud.keep(KeyPairs())
    cloud.keep(Templates())


SERVICE = Service("ec2", OPERATIONS, _begin)
