"""EC2's operations, a family a file: small functions from typed parameters to the region and back to a response."""

from vpclab.aws.operations import (
    gateways,
    instance_attributes,
    instances,
    interface_attributes,
    ipv6,
    key_pairs,
    launch_templates,
    metadata_options,
    network_interfaces,
    networks,
    route_tables,
    security_groups,
    subnets,
    surroundings,
    tags,
    vpc_defaults,
)
from vpclab.aws.service import Operation

OPERATIONS: dict[str, Operation] = {
    **gateways.OPERATIONS,
    **instances.OPERATIONS,
    **instance_attributes.OPERATIONS,
    **interface_attributes.OPERATIONS,
    **key_pairs.OPERATIONS,
    **launch_templates.OPERATIONS,
    **metadata_options.OPERATIONS,
    **surroundings.OPERATIONS,
    **vpc_defaults.OPERATIONS,
    **ipv6.OPERATIONS,
    **network_interfaces.OPERATIONS,
    **networks.OPERATIONS,
    **route_tables.OPERATIONS,
    **security_groups.OPERATIONS,
    **subnets.OPERATIONS,
    **tags.OPERATIONS,
}

__all__ = ["OPERATIONS"]
