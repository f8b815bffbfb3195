"""Network load balancers, as far as packets see them: addresses, listeners, targets. No health checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vpclab.region.elastic import ElasticAddresses
from vpclab.region.errors import invalid, not_found
from vpclab.region.nat_gateways import requester_managed
from vpclab.region.networking import NetworkTables
from vpclab.region.routing import Listener, LoadBalancer
from vpclab.region.tables import Tables
from vpclab.region.values import ApiError, Resource


class LoadBalancers:
    """Operations on them."""

    def __init__(self, tables: Tables, net: NetworkTables, elastic: ElasticAddresses) -> None:
        self._tables = tables
        self._net = net
        self._elastic = elastic

    def create(
        self,
        name: str,
        subnet_ids: Sequence[str],
        listeners: Sequence[Listener] = (),
        *,
        internet_facing: bool = True,
        preserve_client_ip: bool = True,
    ) -> LoadBalancer:
        """One node a subnet, with a public address each if it faces the internet.

        Raises ApiError: InvalidSubnetID.NotFound, InvalidParameterValue (no subnet, or of several VPCs), and as creating an
        ENI and an address do.
        """
        for subnet_id in subnet_ids:
            if subnet_id not in self._tables.subnets:
                raise not_found(subnet_id, "subnet")
        subnets = [self._tables.subnets[subnet_id] for subnet_id in subnet_ids]
        vpcs = {subnet.vpc_id for subnet in subnets}
        if len(vpcs) != 1:
            raise invalid(f"The subnets of load balancer '{name}' must belong to one VPC")
        balancer_id = self._tables.new_id("nlb")
        enis = [
            requester_managed(
                self._tables, subnet, "network_load_balancer", f"ELB net/{name}/{balancer_id[4:]}"
            )
            for subnet in subnets
        ]
        if internet_facing:
            for eni in enis:
                self._elastic.associate(self._elastic.allocate().id, eni.id)
        return self._put(
            LoadBalancer(
                balancer_id,
                name,
                vpcs.pop(),
                tuple(eni.id for eni in enis),
                _checked(listeners),
                preserve_client_ip,
            )
        )

    def get(self, balancer_id: str) -> LoadBalancer:
        """By id. Raises ApiError: LoadBalancerNotFound."""
        try:
            return self._net.load_balancers[balancer_id]
        except KeyError:
            raise ApiError("LoadBalancerNotFound", f"Load balancer '{balancer_id}' not found") from None

    def set_listeners(self, balancer_id: str, listeners: Sequence[Listener]) -> LoadBalancer:
        """Replace listeners and targets. Raises ApiError: LoadBalancerNotFound, InvalidParameterValue."""
        return self._put(replace(self.get(balancer_id), listeners=_checked(listeners)))

    def delete(self, balancer_id: str) -> None:
        """Remove it with its addresses. Raises ApiError: LoadBalancerNotFound."""
        balancer = self.get(balancer_id)
        for eni_id in balancer.enis:
            held = [one for one in self._tables.elastic.values() if one.eni_id == eni_id]
            self._tables.drop_eni(self._tables.enis[eni_id])
            for one in held:
                self._elastic.release(one.id)
        del self._net.load_balancers[balancer_id]
        self._tables.note(Resource.LOAD_BALANCER, balancer_id)

    def _put(self, balancer: LoadBalancer) -> LoadBalancer:
        self._net.load_balancers[balancer.id] = balancer
        self._tables.note(Resource.LOAD_BALANCER, balancer.id)
        return balancer


def _checked(listeners: Sequence[Listener]) -> tuple[Listener, ...]:
    for listener in listeners:
        if listener.protocol not in ("tcp", "udp"):
            raise invalid(f"A listener's protocol is tcp or udp, not {listener.protocol}")
    if len({(listener.protocol, listener.port) for listener in listeners}) != len(listeners):
        raise invalid("Two listeners have the same protocol and port")
    return tuple(listeners)
