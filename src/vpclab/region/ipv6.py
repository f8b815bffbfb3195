"""IPv6 in a VPC: its Amazon-provided block, subnets' parts of it, ENIs' addresses and prefixes, egress-only gateways."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

from vpclab.region.capacity import Capacity
from vpclab.region.enis import Interfaces
from vpclab.region.errors import contradiction, invalid, not_found
from vpclab.region.ipv6_claims import Claimed6, Wanted6, check6, claim6
from vpclab.region.ipv6_space import SUBNET_LENGTH
from vpclab.region.networking import NetworkTables
from vpclab.region.route_tables import RouteTables
from vpclab.region.routing import EgressOnlyGateway
from vpclab.region.security_groups import ALL_IPV6, ALL_TRAFFIC
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, NetworkInterface, Resource, Subnet, Tags, Vpc, frozen

AMAZON_POOL = IPv6Network("2001:db8::/36")
"""What the region's VPCs get their /56 of; RFC 3849 keeps it off the real internet."""
VPC_LENGTH = 56
MOST_BLOCKS = 5
"""IPv6 CIDR blocks of a VPC (AWS's default quota)."""


class Ipv6:
    """Operations on it."""

    def __init__(
        self,
        tables: Tables,
        net: NetworkTables,
        routes: RouteTables,
        interfaces: Interfaces,
        capacity: Capacity,
    ) -> None:
        self._tables = tables
        self._net = net
        self._routes = routes
        self._interfaces = interfaces
        self._capacity = capacity

    def associate_vpc(self, vpc_id: str) -> Vpc:
        """A /56 of Amazon's for a VPC. Its security groups that let all out let IPv6 out too (VPC user guide).

        Raises ApiError: InvalidVpcID.NotFound, CidrLimitExceeded.
        """
        vpc = self._vpc(vpc_id)
        if len(vpc.ipv6_cidrs) >= MOST_BLOCKS:
            raise ApiError(
                "CidrLimitExceeded",
                f"This network '{vpc_id}' has met its maximum number of allowed CIDRs: {MOST_BLOCKS}",
            )
        self._tables.ipv6_blocks_given += 1
        given = self._tables.ipv6_blocks_given
        block = IPv6Network((int(AMAZON_POOL.network_address) + (given << 128 - VPC_LENGTH), VPC_LENGTH))
        made = self._tables.put_vpc(replace(vpc, ipv6_cidrs=(*vpc.ipv6_cidrs, block)))
        for group in tuple(self._tables.groups.values()):
            if group.vpc_id == vpc_id and group.egress == (ALL_TRAFFIC,):
                self._tables.put_group(replace(group, egress=(ALL_TRAFFIC, ALL_IPV6)))
        self._routes.make_public(vpc_id)
        return made

    def disassociate_vpc(self, vpc_id: str, cidr: IPv6Network) -> Vpc:
        """Take a block away. Raises ApiError: InvalidVpcID.NotFound, InvalidVpcCidrBlockAssociationID.NotFound, InvalidCidrBlock.InUse."""
        vpc = self._vpc(vpc_id)
        if cidr not in vpc.ipv6_cidrs:
            raise ApiError(
                "InvalidVpcCidrBlockAssociationID.NotFound", f"The VPC '{vpc_id}' has no CIDR block {cidr}"
            )
        if any(
            one.ipv6_cidr is not None and one.ipv6_cidr.subnet_of(cidr)
            for one in self._tables.subnets.values()
        ):
            raise ApiError("InvalidCidrBlock.InUse", f"The CIDR block {cidr} is in use by a subnet.")
        rest = tuple(one for one in vpc.ipv6_cidrs if one != cidr)
        return self._tables.put_vpc(replace(vpc, ipv6_cidrs=rest))

    def check_subnet(self, vpc_id: str, cidr: IPv6Network) -> None:
        """Whether a subnet may have this block.

        Raises ApiError: InvalidVpcID.NotFound, InvalidSubnet.Range (no /64 of the VPC's), InvalidSubnet.Conflict.
        """
        vpc = self._vpc(vpc_id)
        if cidr.prefixlen != SUBNET_LENGTH or not any(cidr.subnet_of(whole) for whole in vpc.ipv6_cidrs):
            raise ApiError("InvalidSubnet.Range", f"The IPv6 CIDR '{cidr}' is invalid.")
        if any(one.ipv6_cidr == cidr for one in self._tables.subnets.values()):
            raise ApiError("InvalidSubnet.Conflict", f"The IPv6 CIDR '{cidr}' conflicts with another subnet")

    def associate_subnet(self, subnet_id: str, cidr: IPv6Network) -> Subnet:
        """A /64 of the VPC's block for a subnet.

        Raises ApiError: InvalidSubnetID.NotFound, InvalidSubnet.Range, InvalidSubnet.Conflict, InvalidParameterValue (it has one).
        """
        subnet = self._subnet(subnet_id)
        if subnet.ipv6_cidr is not None:
            raise invalid(f"The subnet '{subnet_id}' already has the IPv6 CIDR block {subnet.ipv6_cidr}.")
        self.check_subnet(subnet.vpc_id, cidr)
        return self._tables.put_subnet(replace(subnet, ipv6_cidr=cidr))

    def disassociate_subnet(self, subnet_id: str) -> Subnet:
        """Take it away. Raises ApiError: InvalidSubnetID.NotFound, InvalidCidrBlock.InUse (addresses, or given on creation)."""
        subnet = self._subnet(subnet_id)
        if subnet.ipv6_cidr is None:
            raise ApiError(
                "InvalidSubnetCidrBlockAssociationID.NotFound",
                f"The subnet '{subnet_id}' has no IPv6 CIDR block",
            )
        if subnet.ipv6_on_creation:
            raise ApiError(
                "InvalidCidrBlock.InUse",
                f"The subnet IPv6 CIDR block {subnet.ipv6_cidr} may not be disassociated, because its subnet has "
                "assign-ipv6-address-on-creation set to true.",
            )
        if not self._tables.ipv6_spaces[subnet_id].empty:
            raise ApiError(
                "InvalidCidrBlock.InUse", f"The subnet IPv6 CIDR block {subnet.ipv6_cidr} is in use."
            )
        return self._tables.put_subnet(replace(subnet, ipv6_cidr=None))

    def modify_subnet(
        self,
        subnet_id: str,
        *,
        ipv6_on_creation: bool | None = None,
        map_public_ip_on_launch: bool | None = None,
    ) -> Subnet:
        """ModifySubnetAttribute. Raises ApiError: InvalidSubnetID.NotFound, InvalidParameterValue (it has no IPv6)."""
        subnet = self._subnet(subnet_id)
        if ipv6_on_creation is not None:
            if ipv6_on_creation and subnet.ipv6_cidr is None:
                raise invalid(
                    "Invalid value 'true' for assign-ipv6-address-on-creation. Cannot set "
                    f"assign-ipv6-address-on-creation to true unless the subnet ({subnet_id}) has an IPv6 CIDR block "
                    "associated with it."
                )
            subnet = replace(subnet, ipv6_on_creation=ipv6_on_creation)
        if map_public_ip_on_launch is not None:
            subnet = replace(subnet, map_public_ip_on_launch=map_public_ip_on_launch)
        return self._tables.put_subnet(subnet)

    def assign(self, eni_id: str, wanted: Wanted6) -> Claimed6:
        """Put addresses or prefixes on an ENI; what is returned is only what is new on it.

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidParameterValue (no IPv6, outside of the subnet, over the
        type's limit), InvalidIPAddress.InUse, InsufficientCidrBlocks, InvalidParameterCombination.
        """
        wanted.check()
        if not wanted.slots:
            raise contradiction(
                "One of Ipv6AddressCount, Ipv6Addresses, Ipv6PrefixCount and Ipv6Prefixes must be given"
            )
        eni = self._interfaces.named(eni_id)
        if eni.attachment is not None:
            instance = self._tables.instances[eni.attachment.instance_id]
            used = len(eni.ipv6_networks) + wanted.slots
            self._capacity.check_ipv6_slots(instance, used, prefixes=wanted.uses_prefixes)
        space = self._tables.ipv6_spaces.get(eni.subnet_id)
        check6(space, self._tables.subnets[eni.subnet_id], wanted)
        claimed = claim6(space, wanted)
        self._tables.put_eni(
            replace(
                eni, ipv6=eni.ipv6 + claimed.addresses, ipv6_prefixes=eni.ipv6_prefixes + claimed.prefixes
            )
        )
        return claimed

    def unassign(
        self, eni_id: str, *, addresses: tuple[IPv6Address, ...] = (), prefixes: tuple[IPv6Network, ...] = ()
    ) -> NetworkInterface:
        """Give addresses and prefixes back to the subnet.

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidParameterValue if one is not on the ENI.
        """
        eni = self._interfaces.get(eni_id)
        if not addresses and not prefixes:
            raise contradiction("Ipv6Addresses or Ipv6Prefixes must be given")
        strange = [
            str(what)
            for what in (*addresses, *prefixes)
            if what not in eni.ipv6 and what not in eni.ipv6_prefixes
        ]
        if strange:
            raise invalid(f"Some of [{', '.join(strange)}] addresses are not assigned to interface {eni_id}")
        gone = (*map(IPv6Network, dict.fromkeys(addresses)), *dict.fromkeys(prefixes))
        self._tables.ipv6_spaces[eni.subnet_id].release(gone)
        return self._tables.put_eni(
            replace(
                eni,
                ipv6=tuple(address for address in eni.ipv6 if address not in addresses),
                ipv6_prefixes=tuple(prefix for prefix in eni.ipv6_prefixes if prefix not in prefixes),
            )
        )

    def create_egress_only(self, vpc_id: str, *, tags: Tags = NO_TAGS) -> EgressOnlyGateway:
        """An egress-only internet gateway of a VPC. Raises ApiError: InvalidVpcID.NotFound."""
        self._vpc(vpc_id)
        made = EgressOnlyGateway(self._tables.new_id("eigw"), vpc_id, frozen(tags))
        self._net.egress_only_gateways[made.id] = made
        self._tables.note(Resource.EGRESS_ONLY_GATEWAY, made.id)
        return made

    def delete_egress_only(self, gateway_id: str) -> None:
        """Remove; routes to it are black holes. Raises ApiError: InvalidEgressOnlyInternetGatewayId.NotFound."""
        if gateway_id not in self._net.egress_only_gateways:
            raise not_found(gateway_id, "eigw")
        del self._net.egress_only_gateways[gateway_id]
        self._tables.note(Resource.EGRESS_ONLY_GATEWAY, gateway_id)

    def _vpc(self, vpc_id: str) -> Vpc:
        if vpc_id not in self._tables.vpcs:
            raise not_found(vpc_id, "vpc")
        return self._tables.vpcs[vpc_id]

    def _subnet(self, subnet_id: str) -> Subnet:
        if subnet_id not in self._tables.subnets:
            raise not_found(subnet_id, "subnet")
        return self._tables.subnets[subnet_id]
