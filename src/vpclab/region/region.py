"""One region of one account: the façade over its tables and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from types import MappingProxyType
from typing import Any

from vpccni.ipam.limits import known_limits
from vpclab.region.capacity import Capacity, LimitsOf
from vpclab.region.control_planes import ControlPlanes
from vpclab.region.describe import Describe
from vpclab.region.draws import Draws
from vpclab.region.elastic import ElasticAddresses
from vpclab.region.eni_addresses import EniAddresses
from vpclab.region.enis import Interfaces
from vpclab.region.gate import Fault, Gate
from vpclab.region.instances import Instances
from vpclab.region.ipv6 import Ipv6
from vpclab.region.load_balancers import LoadBalancers
from vpclab.region.nat_gateways import NatGateways
from vpclab.region.networking import NetworkTables
from vpclab.region.networks import Networks
from vpclab.region.peering import Peerings
from vpclab.region.reservations import Reservations
from vpclab.region.route_tables import RouteTables
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
from vpclab.region.security_groups import SecurityGroups
from vpclab.region.state import RegionState
from vpclab.region.tables import Tables
from vpclab.region.tagging import Tagging
from vpclab.region.values import (
    ApiError,
    Change,
    Delays,
    Instance,
    InternetGateway,
    NetworkInterface,
    SecurityGroup,
    Subnet,
    Vpc,
)
from vpclab.region.vpc_changes import VpcChanges
from vpclab.region.vpn import Vpns

DEFAULT_DELAYS = Delays()


class Region:
    """A VPC world. Time is given by `advance`, in seconds since the epoch; choices are drawn from the seed.

    The operations are those of networks.py, security_groups.py, enis.py, eni_addresses.py, instances.py and tagging.py,
    with EC2's names; each raises ApiError with EC2's code and then has changed nothing. `gate` (faults, throttling,
    latency) concerns calls on the wire only.
    """

    def __init__(  # noqa: PLR0915 — one line for each operation
        self,
        name: str = "ap-northeast-2",
        account: str = "111122223333",
        *,
        seed: int = 0,
        delays: Delays = DEFAULT_DELAYS,
        limits: LimitsOf = known_limits,
        now: float = 0.0,
        throttle: bool = True,
        state: RegionState | None = None,
    ) -> None:
        """`state`: of a region that was, instead of a new one; then only `limits` counts of the others."""
        if state is None:
            tables = Tables(name, account, Draws(seed), delays, now)
            gate = Gate(Draws(seed, "gate"), account, throttle=throttle)
            state = RegionState(tables, NetworkTables(tables), gate)
        self.state = state
        tables, net = state.tables, state.net
        self.name = tables.name
        self.account = tables.account
        self._tables = tables
        self.gate = state.gate
        routes = RouteTables(tables, net)
        networks = Networks(tables, routes)
        elastic = ElasticAddresses(tables)
        nats = NatGateways(tables, net, routes, elastic)
        peerings = Peerings(tables, net)
        vpns = Vpns(tables, net)
        balancers = LoadBalancers(tables, net, elastic)
        groups = SecurityGroups(tables)
        capacity = Capacity(tables, limits)
        interfaces = Interfaces(tables, groups, capacity)
        addresses = EniAddresses(tables, interfaces, capacity)
        instances = Instances(tables, interfaces, capacity)
        tagging = Tagging(tables)
        reservations = Reservations(tables)
        changes = VpcChanges(tables, net, reservations, routes)
        ipv6 = Ipv6(tables, net, routes, interfaces, capacity)

        self.describe = Describe(tables, interfaces.of_instance)
        self.limits = capacity.of
        self.zones = networks.zones
        self.vpcs: Mapping[str, Vpc] = MappingProxyType(tables.vpcs)
        self.subnets: Mapping[str, Subnet] = MappingProxyType(tables.subnets)
        self.internet_gateways: Mapping[str, InternetGateway] = MappingProxyType(tables.gateways)
        self.groups: Mapping[str, SecurityGroup] = MappingProxyType(tables.groups)
        self.instances: Mapping[str, Instance] = MappingProxyType(tables.instances)
        self.enis: Mapping[str, NetworkInterface] = MappingProxyType(tables.enis)

        self.route_tables: Mapping[str, RouteTable] = MappingProxyType(net.route_tables)
        self.elastic_addresses: Mapping[str, ElasticAddress] = MappingProxyType(net.elastic_addresses)
        self.egress_only_gateways: Mapping[str, EgressOnlyGateway] = MappingProxyType(
            net.egress_only_gateways
        )
        self.nat_gateways: Mapping[str, NatGateway] = MappingProxyType(net.nat_gateways)
        self.peerings: Mapping[str, Peering] = MappingProxyType(net.peerings)
        self.vpn_gateways: Mapping[str, VpnGateway] = MappingProxyType(net.vpn_gateways)
        self.customer_gateways: Mapping[str, CustomerGateway] = MappingProxyType(net.customer_gateways)
        self.vpn_connections: Mapping[str, VpnConnection] = MappingProxyType(net.vpn_connections)
        self.load_balancers: Mapping[str, LoadBalancer] = MappingProxyType(net.load_balancers)

        self.control_planes: Mapping[str, tuple[str, ...]] = MappingProxyType(net.control_planes)

        self.create_vpc = networks.create_vpc
        self.associate_vpc_cidr = networks.associate_vpc_cidr
        self.create_subnet = networks.create_subnet
        self.create_internet_gateway = networks.create_internet_gateway
        self.attach_internet_gateway = networks.attach_internet_gateway
        self.detach_internet_gateway = networks.detach_internet_gateway
        self.delete_internet_gateway = networks.delete_internet_gateway
        self.internet_gateway_of = networks.internet_gateway_of
        self.vpc = networks.vpc
        self.subnet = networks.subnet
        self.free_addresses = networks.free_addresses
        self.free_prefixes = networks.free_prefixes

        self.create_route_table = routes.create
        self.delete_route_table = routes.delete
        self.route_table = routes.get
        self.route_table_of = routes.of_subnet
        self.create_route = routes.create_route
        self.replace_route = routes.replace_route
        self.delete_route = routes.delete_route
        self.associate_route_table = routes.associate
        self.replace_route_table_association = routes.replace_association
        self.disassociate_route_table = routes.disassociate
        self.propagate_vpn_routes = routes.propagate

        self.allocate_address = elastic.allocate
        self.associate_address = elastic.associate
        self.disassociate_address = elastic.disassociate
        self.release_address = elastic.release
        self.create_nat_gateway = nats.create
        self.delete_nat_gateway = nats.delete
        self.create_peering = peerings.create
        self.accept_peering = peerings.accept
        self.reject_peering = peerings.reject
        self.delete_peering = peerings.delete
        self.create_vpn_gateway = vpns.create_gateway
        self.attach_vpn_gateway = vpns.attach
        self.detach_vpn_gateway = vpns.detach
        self.create_customer_gateway = vpns.create_customer_gateway
        self.create_vpn_connection = vpns.connect
        self.create_vpn_connection_route = vpns.create_route
        self.delete_vpn_connection = vpns.delete
        self.create_load_balancer = balancers.create
        self.set_listeners = balancers.set_listeners
        self.delete_load_balancer = balancers.delete
        self.connect_control_plane = ControlPlanes(tables, net, groups).connect
        self.disassociate_vpc_cidr = changes.disassociate_cidr
        self.delete_vpc = changes.delete_vpc
        self.delete_subnet = changes.delete_subnet
        self.create_subnet_cidr_reservation = reservations.create
        self.delete_subnet_cidr_reservation = reservations.delete
        self.subnet_cidr_reservations = reservations.of

        self.create_security_group = groups.create
        self.delete_security_group = groups.delete
        self.authorize_ingress = groups.authorize_ingress
        self.authorize_egress = groups.authorize_egress
        self.revoke_ingress = groups.revoke_ingress
        self.revoke_egress = groups.revoke_egress
        self.security_group = groups.get
        self.security_group_rule = groups.rule
        self.modify_security_group_rules = groups.modify_rules
        self.describe_security_group_rules = groups.describe_rules

        self.create_network_interface = interfaces.create
        self.attach_network_interface = interfaces.attach
        self.detach_network_interface = interfaces.detach
        self.delete_network_interface = interfaces.delete
        self.modify_network_interface = interfaces.modify
        self.eni = interfaces.get
        self.enis_of = interfaces.of_instance

        self.assign_private_ip_addresses = addresses.assign
        self.unassign_private_ip_addresses = addresses.unassign

        self.associate_vpc_ipv6 = ipv6.associate_vpc
        self.disassociate_vpc_ipv6 = ipv6.disassociate_vpc
        self.associate_subnet_ipv6 = ipv6.associate_subnet
        self.disassociate_subnet_ipv6 = ipv6.disassociate_subnet
        self.check_subnet_ipv6 = ipv6.check_subnet
        self.modify_subnet = ipv6.modify_subnet
        self.assign_ipv6_addresses = ipv6.assign
        self.unassign_ipv6_addresses = ipv6.unassign
        self.create_egress_only_gateway = ipv6.create_egress_only
        self.delete_egress_only_gateway = ipv6.delete_egress_only

        self.run_instance = instances.run
        self.stop_instance = instances.stop
        self.start_instance = instances.start
        self.reboot_instance = instances.reboot
        self.terminate_instance = instances.terminate
        self.modify_metadata_options = instances.modify_metadata
        self.instance = instances.get
        self.primary_eni = instances.primary_eni

        self.note = tables.note
        self.create_tags = tagging.create
        self.delete_tags = tagging.delete
        self.all_tags = tagging.all

    @property
    def now(self) -> float:
        """The time that was given last."""
        return self._tables.now

    @property
    def delays(self) -> Delays:
        """Seconds that AWS takes; may be replaced at any time, for what begins after that."""
        return self._tables.delays

    @delays.setter
    def delays(self, delays: Delays) -> None:
        self._tables.delays = delays

    def advance(self, now: float) -> None:
        """It is `now`; what was due until then happens, each step at its own time. Time never goes back."""
        while (due := self._tables.schedule.pop_due(now)) is not None:
            at, step = due
            self._tables.now = max(self._tables.now, at)
            step()
        self._tables.now = max(self._tables.now, now)

    def next_due(self) -> float | None:
        """When `advance` will change something; None if nothing is under way."""
        return self._tables.schedule.next_due()

    def means(self, step: str, does: Callable[..., None]) -> None:
        """Say what a step is that others plan; to be said anew for a region that was kept."""
        self._tables.schedule.means(step, does)

    def later(self, seconds: float, step: str, *arguments: Any) -> None:
        """Have a step happen when so many seconds have passed; at once if that is none. Arguments are plain values."""
        self._tables.after(seconds, step, *arguments)

    @property
    def has_changes(self) -> bool:
        """Whether `drain_changes` would give any."""
        return bool(self._tables.changes)

    def drain_changes(self) -> tuple[Change, ...]:
        """What is different since the last call, each resource once; read the region again for what it is now."""
        changes = tuple(self._tables.changes)
        self._tables.changes.clear()
        return changes

    def fault(
        self,
        action: str,
        code: str,
        message: str = "Injected by the lab.",
        *,
        status: int = 400,
        count: int | None = 1,
        rate: float | None = None,
    ) -> Fault:
        """Make calls of an action ("*": any) fail: the next `count`, or with a `rate` each with that probability."""
        fault = Fault(
            action, ApiError(code, message, status), count=None if rate is not None else count, rate=rate
        )
        self.gate.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """No injected fault any more."""
        self.gate.faults.clear()

    def enis_in(self, subnet_id: str) -> tuple[NetworkInterface, ...]:
        """A subnet's ENIs, in creation order; () if it is unknown."""
        return tuple(self.enis[key] for key in self._tables.enis_by_subnet.get(subnet_id, ()))

    def eni_with(self, subnet_id: str, address: IPv4Address | IPv6Address) -> NetworkInterface | None:
        """The ENI that an address of a subnet is on, by itself or within a prefix."""
        return self._tables.holder(subnet_id, address)

    def eni_at(self, address: IPv4Address | IPv6Address) -> NetworkInterface | None:
        """The ENI that has this address, public or private, by itself or within a prefix."""
        if isinstance(address, IPv4Address):
            eni = self.enis.get(self._tables.enis_by_public_ip.get(address, ""))
            if eni is not None:
                return eni
        of_subnets = (
            self._tables.holder(one.id, address)
            for one in self.subnets.values()
            if address in one.cidr or (one.ipv6_cidr is not None and address in one.ipv6_cidr)
        )
        return next((found for found in of_subnets if found is not None), None)

    def instance_at(self, address: IPv4Address | IPv6Address) -> Instance | None:
        """The instance that has this address: as an ENI's primary, private or public; or any IPv6 one, its prefixes' too."""
        if isinstance(address, IPv4Address):
            eni = self.enis.get(self._tables.enis_by_public_ip.get(address, ""))
        else:
            places = (s.id for s in self.subnets.values() if s.ipv6_cidr and address in s.ipv6_cidr)
            eni = next((self._tables.holder(place, address) for place in places), None)
        for subnet in self.subnets.values():
            if eni is None and isinstance(address, IPv4Address) and address in subnet.cidr:
                held = self._tables.holder(subnet.id, address)
                eni = held if held is not None and held.primary == address else None
        if eni is None or eni.attachment is None:
            return None
        return self.instances[eni.attachment.instance_id]

    def instance_named(self, name: str) -> Instance | None:
        """The instance that is not terminated and has this Name tag."""
        alive = (one for one in self.instances.values() if self._tables.enis_by_instance[one.id])
        return next((one for one in alive if one.name == name), None)

    def metadata_enis(self, instance_id: str, now: float) -> tuple[NetworkInterface, ...]:
        """The instance's ENIs as IMDS knows them at this time."""
        return self._tables.metadata.enis(instance_id, now)

    def metadata_macs(self, instance_id: str, now: float) -> tuple[str, ...]:
        """The MACs that IMDS lists at this time; those of ENIs that are gone may linger."""
        return self._tables.metadata.macs(instance_id, now)
