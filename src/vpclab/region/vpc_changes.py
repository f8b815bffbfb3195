"""What leaves at run time: a VPC, a secondary CIDR block of one, a subnet."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

from vpclab.region.errors import not_found
from vpclab.region.networking import NetworkTables
from vpclab.region.reservations import Reservations
from vpclab.region.route_tables import RouteTables
from vpclab.region.routing import PeeringState
from vpclab.region.tables import Tables
from vpclab.region.values import ApiError, Subnet, Vpc


class VpcChanges:
    """Operations on them."""

    def __init__(
        self, tables: Tables, net: NetworkTables, reservations: Reservations, routes: RouteTables
    ) -> None:
        self._tables = tables
        self._net = net
        self._routes = routes
        self._reservations = reservations

    def disassociate_cidr(self, vpc_id: str, cidr: IPv4Network) -> Vpc:
        """Take a secondary CIDR block away.

        Raises ApiError: InvalidVpcID.NotFound, InvalidVpcCidrBlockAssociationID.NotFound, OperationNotPermitted (the primary),
        InvalidCidrBlock.InUse (a subnet lies in it).
        """
        vpc = self._vpc(vpc_id)
        if cidr not in vpc.cidrs:
            raise ApiError(
                "InvalidVpcCidrBlockAssociationID.NotFound", f"The VPC '{vpc_id}' has no CIDR block {cidr}"
            )
        if cidr == vpc.cidrs[0]:
            raise ApiError(
                "OperationNotPermitted",
                f"The primary IPv4 CIDR block {cidr} of the VPC '{vpc_id}' may not be disassociated.",
            )
        if any(one.vpc_id == vpc_id and one.cidr.subnet_of(cidr) for one in self._tables.subnets.values()):
            raise ApiError("InvalidCidrBlock.InUse", f"The CIDR block {cidr} is in use by a subnet.")
        return self._tables.put_vpc(replace(vpc, cidrs=tuple(one for one in vpc.cidrs if one != cidr)))

    def delete_subnet(self, subnet_id: str) -> Subnet:
        """Remove an empty one. Raises ApiError: InvalidSubnetID.NotFound, DependencyViolation (ENIs are in it)."""
        subnet = self._tables.subnets.get(subnet_id)
        if subnet is None:
            raise not_found(subnet_id, "subnet")
        if self._tables.enis_by_subnet[subnet_id]:
            raise ApiError(
                "DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
            )
        self._reservations.forget(subnet_id)
        self._tables.drop_subnet(subnet_id)
        self._routes.forget_subnet(subnet_id)
        return subnet

    def delete_vpc(self, vpc_id: str) -> None:
        """Remove an empty one; its default security group and main route table go with it.

        Raises ApiError: InvalidVpcID.NotFound, DependencyViolation (subnets, gateways, groups, route tables, peerings).
        """
        self._vpc(vpc_id)
        tables, net = self._tables, self._net
        used = {
            *(one.vpc_id for one in tables.subnets.values()),
            *(one.vpc_id for one in tables.gateways.values()),
            *(one.vpc_id for one in tables.groups.values() if one.name != "default"),
            *(one.vpc_id for one in net.route_tables.values() if not one.main),
            *(one.vpc_id for one in net.egress_only_gateways.values()),
            *(one.vpc_id for one in net.vpn_gateways.values()),
        }
        peered = any(
            vpc_id in (one.requester, one.accepter)
            and one.state in (PeeringState.ACTIVE, PeeringState.PENDING)
            for one in net.peerings.values()
        )
        if peered or vpc_id in used:
            raise ApiError(
                "DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted."
            )
        for group in [one.id for one in tables.groups.values() if one.vpc_id == vpc_id]:
            tables.drop_group(group)
        self._routes.forget_vpc(vpc_id)
        tables.drop_vpc(vpc_id)

    def _vpc(self, vpc_id: str) -> Vpc:
        if vpc_id not in self._tables.vpcs:
            raise not_found(vpc_id, "vpc")
        return self._tables.vpcs[vpc_id]
