"""The tables of what leads out of subnets; those of `Tables` that decide with them are seen through here."""

from __future__ import annotations

from collections.abc import Mapping

from vpclab.region.routing import (
    CustomerGateway,
    EgressOnlyGateway,
    ElasticAddress,
    LoadBalancer,
    NatGateway,
    Peering,
    RouteTable,
    VpnConnection,
    VpnGateway,
)
from vpclab.region.tables import Tables
from vpclab.region.values import InternetGateway, NetworkInterface, Resource, Vpc


class NetworkTables:
    """By id. Values are replaced, never changed; whoever does that notes it in `Tables`."""

    def __init__(self, tables: Tables) -> None:
        self.vpcs: Mapping[str, Vpc] = tables.vpcs
        self.internet_gateways: Mapping[str, InternetGateway] = tables.gateways
        self.egress_only_gateways: dict[str, EgressOnlyGateway] = {}
        self.enis: Mapping[str, NetworkInterface] = tables.enis
        self.route_tables: dict[str, RouteTable] = {}
        self.nat_gateways: dict[str, NatGateway] = {}
        self.elastic_addresses: dict[str, ElasticAddress] = tables.elastic
        self.peerings: dict[str, Peering] = {}
        self.vpn_gateways: dict[str, VpnGateway] = {}
        self.customer_gateways: dict[str, CustomerGateway] = {}
        self.vpn_connections: dict[str, VpnConnection] = {}
        self.load_balancers: dict[str, LoadBalancer] = {}
        self.control_planes: dict[str, tuple[str, ...]] = {}
        tables.further[Resource.ROUTE_TABLE] = self.route_tables
        tables.further[Resource.EGRESS_ONLY_GATEWAY] = self.egress_only_gateways
        tables.further[Resource.NAT_GATEWAY] = self.nat_gateways
        tables.further[Resource.PEERING] = self.peerings

    def vpcs_of(self, kind: str, target: str) -> tuple[str, ...] | None:
        """The VPCs in which something may be a route's target; None: there is no such thing."""
        if kind == "pcx":
            peering = self.peerings.get(target)
            return None if peering is None else (peering.requester, peering.accepter)
        found: InternetGateway | EgressOnlyGateway | NatGateway | VpnGateway | NetworkInterface | None
        match kind:
            case "igw":
                found = self.internet_gateways.get(target)
            case "eigw":
                found = self.egress_only_gateways.get(target)
            case "nat":
                found = self.nat_gateways.get(target)
            case "vgw":
                found = self.vpn_gateways.get(target)
            case _:
                found = self.enis.get(target)
        return None if found is None else (found.vpc_id,)
