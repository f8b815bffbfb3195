"""The types of resources that a template may have, a family a file."""

from collections.abc import Mapping

from vpclab.cloudformation.resource_type import ResourceType
from vpclab.cloudformation.types import (
    eks,
    eks_access,
    iam,
    inert,
    instances,
    interfaces,
    networks,
    routes,
    security_groups,
)

TYPES: Mapping[str, ResourceType] = {
    one.name: one
    for family in (networks, routes, security_groups, interfaces, instances, eks, eks_access, iam, inert)
    for one in family.TYPES
}

__all__ = ["TYPES"]
