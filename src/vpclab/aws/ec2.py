"""EC2."""

from __future__ import annotations

from vpclab.aws.operations import OPERATIONS
from vpclab.aws.service import Service

SERVICE = Service("ec2", OPERATIONS)
