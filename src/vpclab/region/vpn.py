"""Site-to-site VPN: a VPC's gateway, the customer's, and the link between them with static routes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.errors import invalid, not_found
from vpclab.region.networking import NetworkTables
from vpclab.region.routing import CustomerGateway, VpnConnection, VpnGateway
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Resource, Tags, frozen


class Vpns:
    """Operations on them. The link is up at once: the lab has no IKE."""

    def __init__(self, tables: Tables, net: NetworkTables) -> None:
        self._tables = tables
        self._net = net

    def create_gateway(self, *, tags: Tags = NO_TAGS) -> VpnGateway:
        """A virtual private gateway, detached."""
        return self._put_gateway(VpnGateway(self._tables.new_id("vgw"), tags=frozen(tags)))

    def gateway(self, gateway_id: str) -> VpnGateway:
        """By id. Raises ApiError: InvalidVpnGatewayID.NotFound."""
        try:
            return self._net.vpn_gateways[gateway_id]
        except KeyError:
            raise not_found(gateway_id, "vgw") from None

    def attach(self, gateway_id: str, vpc_id: str) -> VpnGateway:
        """Raises ApiError: InvalidVpnGatewayID.NotFound, InvalidVpcID.NotFound, InvalidParameterValue (one is taken)."""
        gateway = self.gateway(gateway_id)
        if vpc_id not in self._tables.vpcs:
            raise not_found(vpc_id, "vpc")
        if gateway.vpc_id or any(other.vpc_id == vpc_id for other in self._net.vpn_gateways.values()):
            raise invalid(f"The vpnGateway {gateway_id} or the vpc {vpc_id} is already attached")
        return self._put_gateway(replace(gateway, vpc_id=vpc_id))

    def detach(self, gateway_id: str) -> VpnGateway:
        """Raises ApiError: InvalidVpnGatewayID.NotFound, InvalidVpnGatewayAttachment.NotFound."""
        gateway = self.gateway(gateway_id)
        if not gateway.vpc_id:
            raise ApiError("InvalidVpnGatewayAttachment.NotFound", f"{gateway_id} is not attached")
        return self._put_gateway(replace(gateway, vpc_id=""))

    def create_customer_gateway(self, public_ip: IPv4Address, *, tags: Tags = NO_TAGS) -> CustomerGateway:
        """A site, by its public address."""
        made = CustomerGateway(self._tables.new_id("cgw"), public_ip, tags=frozen(tags))
        self._net.customer_gateways[made.id] = made
        self._tables.note(Resource.VPN, made.id)
        return made

    def connect(self, customer_gateway_id: str, gateway_id: str, *, tags: Tags = NO_TAGS) -> VpnConnection:
        """A link with no routes yet. Raises ApiError: InvalidCustomerGatewayID.NotFound, InvalidVpnGatewayID.NotFound."""
        if customer_gateway_id not in self._net.customer_gateways:
            raise not_found(customer_gateway_id, "cgw")
        self.gateway(gateway_id)
        return self._put(
            VpnConnection(self._tables.new_id("vpn"), customer_gateway_id, gateway_id, tags=frozen(tags))
        )

    def connection(self, connection_id: str) -> VpnConnection:
        """By id. Raises ApiError: InvalidVpnConnectionID.NotFound."""
        try:
            return self._net.vpn_connections[connection_id]
        except KeyError:
            raise not_found(connection_id, "vpn") from None

    def create_route(self, connection_id: str, destination: IPv4Network) -> VpnConnection:
        """Something that is behind the customer's end. Raises ApiError: InvalidVpnConnectionID.NotFound."""
        connection = self.connection(connection_id)
        if destination in connection.routes:
            return connection
        return self._put(replace(connection, routes=(*connection.routes, destination)))

    def delete(self, connection_id: str) -> None:
        """End the link. Raises ApiError: InvalidVpnConnectionID.NotFound."""
        self.connection(connection_id)
        del self._net.vpn_connections[connection_id]
        self._tables.note(Resource.VPN, connection_id)

    def _put_gateway(self, gateway: VpnGateway) -> VpnGateway:
        self._net.vpn_gateways[gateway.id] = gateway
        self._tables.note(Resource.VPN, gateway.id)
        return gateway

    def _put(self, connection: VpnConnection) -> VpnConnection:
        self._net.vpn_connections[connection.id] = connection
        self._tables.note(Resource.VPN, connection.id)
        return connection
