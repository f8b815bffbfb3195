"""EC2's operations, a family a file: small functions from typed parameters to the region and back to a response."""

from vpclab.aws.operations import (
    gateways,
    instances,
    ipv6,
    network_interfaces,
    networks,
    route_tables,
    security_groups,
    subnets,
    tags,
)
from vpclab.aws.service import Operation

OPERATIONS: dict[str, Operation] = {
    **gateways.OPERATIONS,
    **instances.OPERATIONS,
    **ipv6.OPERATIONS,
    **network_interfaces.OPERATIONS,
    **networks.OPERATIONS,
    **route_tables.OPERATIONS,
    **security_groups.OPERATIONS,
    **subnets.OPERATIONS,
    **tags.OPERATIONS,
}

__all__ = ["OPERATIONS"]
