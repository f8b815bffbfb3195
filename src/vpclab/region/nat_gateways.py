"""NAT gateways: the way out for subnets without a public address of their own."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from vpclab.region.claims import Wanted, claim_new
from vpclab.region.elastic import ElasticAddresses
from vpclab.region.errors import not_found
from vpclab.region.networking import NetworkTables
from vpclab.region.route_tables import RouteTables
from vpclab.region.routing import NatGateway, NatState
from vpclab.region.tables import Tables
from vpclab.region.values import (
    NO_TAGS,
    ApiError,
    EniStatus,
    NetworkInterface,
    Resource,
    Subnet,
    Tags,
    frozen,
)


def requester_managed(
    tables: Tables, subnet: Subnet, kind: str, description: str, private_ip: IPv4Address | None = None
) -> NetworkInterface:
    """An ENI that AWS makes for a service of its own: no groups, no source check, not to be touched by users.

    Raises ApiError: as creating an ENI does for addresses.
    """
    primary, _ = claim_new(tables.spaces[subnet.id], private_ip, Wanted())
    return tables.put_eni(
        NetworkInterface(
            id=tables.new_id("eni"),
            mac=tables.new_mac(),
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.id,
            zone=subnet.zone,
            primary=primary,
            status=EniStatus.IN_USE,
            source_dest_check=False,
            description=description,
            interface_type=kind,
        )
    )


AVAILABLE = "nat-gateway-available"


class NatGateways:
    """Operations on them."""

    def __init__(
        self, tables: Tables, net: NetworkTables, routes: RouteTables, elastic: ElasticAddresses
    ) -> None:
        self._tables = tables
        self._net = net
        self._routes = routes
        self._elastic = elastic
        tables.schedule.means(AVAILABLE, self._available)

    def create(
        self,
        subnet_id: str,
        allocation_id: str,
        *,
        private_ip: IPv4Address | None = None,
        tags: Tags = NO_TAGS,
    ) -> NatGateway:
        """A public NAT gateway: pending, and after a drawn delay available. It works while its subnet is a public one.

        Raises ApiError: InvalidSubnetID.NotFound, InvalidAllocationID.NotFound, Resource.AlreadyAssociated, and as creating
        an ENI does.
        """
        if subnet_id not in self._tables.subnets:
            raise not_found(subnet_id, "subnet")
        elastic = self._elastic.get(allocation_id)
        if elastic.association:
            raise ApiError(
                "Resource.AlreadyAssociated",
                f"Elastic IP address [{allocation_id}] is already associated",
            )
        subnet = self._tables.subnets[subnet_id]
        nat_id = self._tables.new_id("nat")
        eni = requester_managed(
            self._tables, subnet, "nat_gateway", f"Interface for NAT Gateway {nat_id}", private_ip
        )
        self._elastic.associate(allocation_id, eni.id)
        nat = self._put(
            NatGateway(
                nat_id,
                subnet.vpc_id,
                subnet_id,
                eni.id,
                allocation_id,
                eni.primary,
                elastic.public_ip,
                self._tables.now,
                tags=frozen(tags),
            )
        )
        delay = self._tables.delay(self._tables.delays.nat_gateway)
        self._tables.after(delay, AVAILABLE, nat.id)
        return self.get(nat.id)

    def get(self, nat_id: str) -> NatGateway:
        """By id. Raises ApiError: NatGatewayNotFound."""
        try:
            return self._net.nat_gateways[nat_id]
        except KeyError:
            raise not_found(nat_id, "nat") from None

    def delete(self, nat_id: str) -> NatGateway:
        """End it; its Elastic IP address is free again, routes to it are black holes. Raises ApiError: NatGatewayNotFound."""
        nat = self.get(nat_id)
        if nat.state is NatState.DELETED:
            return nat
        self._tables.drop_eni(self._tables.enis[nat.eni_id])
        return self._put(replace(nat, state=NatState.DELETED))

    def _available(self, nat_id: str) -> None:
        nat = self._net.nat_gateways[nat_id]
        if nat.state is NatState.PENDING:
            self._put(replace(nat, state=NatState.AVAILABLE))

    def _put(self, nat: NatGateway) -> NatGateway:
        self._net.nat_gateways[nat.id] = nat
        self._tables.note(Resource.NAT_GATEWAY, nat.id)
        self._routes.refresh()
        return nat
