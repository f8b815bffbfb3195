"""VPCs, subnets and internet gateways: what exists before any instance does."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

from vpclab.region.errors import invalid, not_found
from vpclab.region.route_tables import RouteTables
from vpclab.region.tables import Tables
from vpclab.region.values import (
    NO_TAGS,
    ApiError,
    InternetGateway,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Tags,
    Vpc,
    frozen,
)

SMALLEST, LARGEST = 28, 16
"""Prefix lengths of VPCs and subnets (aws-emulation 4.2)."""
MOST_CIDRS = 5
"""IPv4 CIDR blocks of a VPC (AWS's default quota)."""
ZONE_LETTERS = "abcd"


class Networks:
    """Operations on them."""

    def __init__(self, tables: Tables, routes: RouteTables) -> None:
        self._tables = tables
        self._routes = routes

    @property
    def zones(self) -> tuple[str, ...]:
        """The region's availability zones."""
        return tuple(self._tables.name + letter for letter in ZONE_LETTERS)

    def create_vpc(self, cidr: IPv4Network, *, tags: Tags = NO_TAGS) -> Vpc:
        """A VPC with its default security group. Raises ApiError: InvalidVpc.Range."""
        if not LARGEST <= cidr.prefixlen <= SMALLEST:
            raise ApiError("InvalidVpc.Range", f"The CIDR '{cidr}' is invalid.")
        vpc = self._tables.put_vpc(Vpc(self._tables.new_id("vpc"), (cidr,), frozen(tags)))
        self._routes.create_main(vpc.id)
        group = self._tables.new_id("sg")
        self._tables.put_group(
            SecurityGroup(
                group,
                "default",
                vpc.id,
                "default VPC security group",
                ingress=(SecurityGroupRule(group_id=group),),
                egress=(SecurityGroupRule(cidr=IPv4Network("0.0.0.0/0")),),
            )
        )
        return vpc

    def associate_vpc_cidr(self, vpc_id: str, cidr: IPv4Network) -> Vpc:
        """A secondary CIDR block. Raises ApiError: InvalidVpcID.NotFound, InvalidVpc.Range, CidrLimitExceeded."""
        vpc = self.vpc(vpc_id)
        if not LARGEST <= cidr.prefixlen <= SMALLEST or any(cidr.overlaps(own) for own in vpc.cidrs):
            raise ApiError("InvalidVpc.Range", f"The CIDR '{cidr}' is invalid.")
        if len(vpc.cidrs) >= MOST_CIDRS:
            raise ApiError(
                "CidrLimitExceeded",
                f"This network '{vpc_id}' has met its maximum number of allowed CIDRs: {MOST_CIDRS}",
            )
        return self._tables.put_vpc(replace(vpc, cidrs=(*vpc.cidrs, cidr)))

    def create_subnet(
        self,
        vpc_id: str,
        zone: str,
        cidr: IPv4Network,
        *,
        public: bool = False,
        map_public_ip_on_launch: bool = False,
        tags: Tags = NO_TAGS,
    ) -> Subnet:
        """A zone's slice of a VPC; `public` puts it into the VPC's table with a default route to the internet gateway.

        Raises ApiError: InvalidVpcID.NotFound, InvalidSubnet.Range, InvalidSubnet.Conflict.
        """
        vpc = self.vpc(vpc_id)
        if zone not in self.zones:
            raise invalid(
                f"Value ({zone}) for parameter availabilityZone is invalid. Use one of {', '.join(self.zones)}."
            )
        if not LARGEST <= cidr.prefixlen <= SMALLEST or not any(cidr.subnet_of(whole) for whole in vpc.cidrs):
            raise ApiError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")
        if any(
            cidr.overlaps(other.cidr) for other in self._tables.subnets.values() if other.vpc_id == vpc_id
        ):
            raise ApiError("InvalidSubnet.Conflict", f"The CIDR '{cidr}' conflicts with another subnet")
        made = self._tables.put_subnet(
            Subnet(
                self._tables.new_id("subnet"),
                vpc_id,
                zone,
                cidr,
                map_public_ip_on_launch=map_public_ip_on_launch,
                tags=frozen(tags),
            )
        )
        if public:
            self._routes.make_public(vpc_id, made.id)
        self._routes.refresh()
        return self.subnet(made.id)

    def create_internet_gateway(self, vpc_id: str = "", *, tags: Tags = NO_TAGS) -> InternetGateway:
        """A gateway, attached if a VPC is given. Raises ApiError: InvalidVpcID.NotFound, Resource.AlreadyAssociated."""
        if not vpc_id:
            return self._tables.put_gateway(InternetGateway(self._tables.new_id("igw"), "", frozen(tags)))
        self._check_free(vpc_id)
        made = self._tables.put_gateway(InternetGateway(self._tables.new_id("igw"), vpc_id, frozen(tags)))
        self._routes.make_public(vpc_id)
        return made

    def attach_internet_gateway(self, gateway_id: str, vpc_id: str) -> InternetGateway:
        """Raises ApiError: InvalidInternetGatewayID.NotFound, InvalidVpcID.NotFound, Resource.AlreadyAssociated."""
        gateway = self._gateway(gateway_id)
        if gateway.vpc_id:
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"resource {gateway_id} is already attached to network {gateway.vpc_id}",
            )
        self._check_free(vpc_id)
        gateway = self._tables.put_gateway(replace(gateway, vpc_id=vpc_id))
        self._routes.refresh()
        return gateway

    def detach_internet_gateway(self, gateway_id: str, vpc_id: str) -> InternetGateway:
        """Take it off its VPC; routes to it are black holes.

        Raises ApiError: InvalidInternetGatewayID.NotFound, Gateway.NotAttached, DependencyViolation (public addresses).
        """
        gateway = self._gateway(gateway_id)
        if not vpc_id or gateway.vpc_id != vpc_id:
            raise ApiError(
                "Gateway.NotAttached", f"resource {gateway_id} is not attached to network {vpc_id}"
            )
        if any(eni.vpc_id == vpc_id and eni.public_ip is not None for eni in self._tables.enis.values()):
            raise ApiError(
                "DependencyViolation",
                f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before"
                " detaching the gateway.",
            )
        gateway = self._tables.put_gateway(replace(gateway, vpc_id=""))
        self._routes.refresh()
        return gateway

    def delete_internet_gateway(self, gateway_id: str) -> None:
        """Raises ApiError: InvalidInternetGatewayID.NotFound, DependencyViolation (attached)."""
        if self._gateway(gateway_id).vpc_id:
            raise ApiError(
                "DependencyViolation",
                f"The internetGateway '{gateway_id}' has dependencies and cannot be deleted.",
            )
        self._tables.drop_gateway(gateway_id)

    def _gateway(self, gateway_id: str) -> InternetGateway:
        try:
            return self._tables.gateways[gateway_id]
        except KeyError:
            raise not_found(gateway_id, "igw") from None

    def _check_free(self, vpc_id: str) -> None:
        self.vpc(vpc_id)
        present = self.internet_gateway_of(vpc_id)
        if present is not None:
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"resource {vpc_id} is already attached to network gateway {present.id}",
            )

    def internet_gateway_of(self, vpc_id: str) -> InternetGateway | None:
        """The VPC's gateway, if it has one."""
        return next((gateway for gateway in self._tables.gateways.values() if gateway.vpc_id == vpc_id), None)

    def vpc(self, vpc_id: str) -> Vpc:
        """By id. Raises ApiError: InvalidVpcID.NotFound."""
        try:
            return self._tables.vpcs[vpc_id]
        except KeyError:
            raise not_found(vpc_id, "vpc") from None

    def subnet(self, subnet_id: str) -> Subnet:
        """By id. Raises ApiError: InvalidSubnetID.NotFound."""
        try:
            return self._tables.subnets[subnet_id]
        except KeyError:
            raise not_found(subnet_id, "subnet") from None

    def free_addresses(self, subnet_id: str) -> int:
        """AvailableIpAddressCount. Raises ApiError: InvalidSubnetID.NotFound."""
        return self._tables.spaces[self.subnet(subnet_id).id].free

    def free_prefixes(self, subnet_id: str) -> int:
        """Free aligned /28s, which EC2 does not tell. Raises ApiError: InvalidSubnetID.NotFound."""
        return self._tables.spaces[self.subnet(subnet_id).id].free_prefixes
