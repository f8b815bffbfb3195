"""EC2's operations, a family a file: small functions from typed parameters to the region and back to a response."""

from vpclab.aws.operations import instances, network_interfaces, networks, security_groups, subnets, tags
from vpclab.aws.operations.arguments import Operation

OPERATIONS: dict[str, Operation] = {
    **instances.OPERATIONS,
    **network_interfaces.OPERATIONS,
    **networks.OPERATIONS,
    **security_groups.OPERATIONS,
    **subnets.OPERATIONS,
    **tags.OPERATIONS,
}

__all__ = ["OPERATIONS", "Operation"]
