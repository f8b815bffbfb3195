"""What leads out of a subnet, as values: route tables, gateways, peerings; and which of a table's routes hold now.

A target is named by its id, whose prefix tells what it is: igw-, eigw-, nat-, pcx-, vgw-, eni-.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Protocol

from vpclab.region.values import AttachmentStatus, InternetGateway, NetworkInterface, Tags, Vpc

ANYWHERE = IPv4Network("0.0.0.0/0")
LOCAL = "local"
"""The target of the routes to the VPC's own CIDR blocks; every table has them, and they win (VPC guide, route priority)."""


class Origin(enum.Enum):
    """`Origin` of a route as DescribeRouteTables has it."""

    TABLE = "CreateRouteTable"
    CREATED = "CreateRoute"
    PROPAGATED = "EnableVgwRoutePropagation"


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `active` is False for a black hole: the target is gone or cannot be used."""

    destination: IPv4Network | IPv6Network
    target: str
    origin: Origin = Origin.CREATED
    active: bool = True


@dataclass(frozen=True, slots=True)
class RouteTable:
    """A VPC's route table; `main` serves the subnets that are associated with no other."""

    id: str
    vpc_id: str
    association: str = ""
    """The id of the main table's association with its VPC; nothing for others."""
    routes: tuple[Route, ...] = ()
    """Those made by hand; for all of them see `routes_of`."""
    subnets: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Explicit associations: subnet id -> association id."""
    propagating: tuple[str, ...] = ()
    """Virtual private gateways whose routes show here."""
    tags: Tags = field(default_factory=dict, hash=False)

    @property
    def main(self) -> bool:
        """Whether it is its VPC's main table."""
        return bool(self.association)


@dataclass(frozen=True, slots=True)
class EgressOnlyGateway:
    """An egress-only internet gateway: IPv6 connections out of a VPC, none into it."""

    id: str
    vpc_id: str
    tags: Tags = field(default_factory=dict, hash=False)


class NatState(enum.Enum):
    """`State` of DescribeNatGateways."""

    PENDING = "pending"
    AVAILABLE = "available"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class NatGateway:
    """A public NAT gateway: an ENI without instance, with an Elastic IP address."""

    id: str
    vpc_id: str
    subnet_id: str
    eni_id: str
    allocation_id: str
    private_ip: IPv4Address
    public_ip: IPv4Address
    created_at: float
    state: NatState = NatState.PENDING
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ElasticAddress:
    """A public address of the account's own; while it is associated, of one private address of one ENI."""

    id: str
    public_ip: IPv4Address
    association: str = ""
    eni_id: str = ""
    private_ip: IPv4Address | None = None
    tags: Tags = field(default_factory=dict, hash=False)


class PeeringState(enum.Enum):
    """`Status.Code` of DescribeVpcPeeringConnections."""

    PENDING = "pending-acceptance"
    ACTIVE = "active"
    REJECTED = "rejected"
    DELETED = "deleted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Peering:
    """A connection of two VPCs of this account and region; it carries what one of the two routes to the other."""

    id: str
    requester: str
    accepter: str
    state: PeeringState = PeeringState.PENDING
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VpnGateway:
    """A virtual private gateway: the VPC's end of its VPN connections; `vpc_id` is empty while it is detached."""

    id: str
    vpc_id: str = ""
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class CustomerGateway:
    """The other end: a site with a public address of its own."""

    id: str
    public_ip: IPv4Address
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class VpnConnection:
    """A link between the two, with static routes to what is behind the customer's end."""

    id: str
    customer_gateway_id: str
    vpn_gateway_id: str
    routes: tuple[IPv4Network, ...] = ()
    tags: Tags = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a network load balancer and where it leads: private addresses and ports of instances."""

    protocol: str
    port: int
    targets: tuple[tuple[IPv4Address, int], ...]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A network load balancer with one node (an ENI) a subnet."""

    id: str
    name: str
    vpc_id: str
    enis: tuple[str, ...]
    listeners: tuple[Listener, ...] = ()
    preserve_client_ip: bool = True
    """Targets see the client's address; otherwise the node's own private one."""


class Networking(Protocol):
    """What decides which routes hold; everything by id."""

    @property
    def vpcs(self) -> Mapping[str, Vpc]:
        """All VPCs."""

    @property
    def internet_gateways(self) -> Mapping[str, InternetGateway]:
        """All internet gateways."""

    @property
    def egress_only_gateways(self) -> Mapping[str, EgressOnlyGateway]:
        """All egress-only internet gateways."""

    @property
    def enis(self) -> Mapping[str, NetworkInterface]:
        """All ENIs."""

    @property
    def nat_gateways(self) -> Mapping[str, NatGateway]:
        """All NAT gateways."""

    @property
    def peerings(self) -> Mapping[str, Peering]:
        """All peering connections."""

    @property
    def vpn_gateways(self) -> Mapping[str, VpnGateway]:
        """All virtual private gateways."""

    @property
    def vpn_connections(self) -> Mapping[str, VpnConnection]:
        """All VPN connections."""


def routes_of(net: Networking, table: RouteTable) -> tuple[Route, ...]:
    """All routes of a table, one a destination: local ones, those made by hand, then propagated ones.

    A propagated route to something inside the VPC does not hold: local wins there whatever is longer (VPC guide).
    """
    vpc = net.vpcs[table.vpc_id]
    cidrs = vpc.cidrs
    found: dict[IPv4Network | IPv6Network, Route] = {
        cidr: Route(cidr, LOCAL, Origin.TABLE) for cidr in vpc.all_cidrs
    }
    for route in table.routes:
        found[route.destination] = Route(
            route.destination, route.target, active=_usable(net, table.vpc_id, route.target)
        )
    for destination, gateway in _propagated(net, table):
        if not any(destination.subnet_of(cidr) for cidr in cidrs):
            found.setdefault(destination, Route(destination, gateway, Origin.PROPAGATED))
    return tuple(found.values())


def table_of(tables: Mapping[str, RouteTable], vpc_id: str, subnet_id: str) -> RouteTable | None:
    """The table that a subnet's packets leave by: its own, or its VPC's main one."""
    main: RouteTable | None = None
    for table in tables.values():
        if subnet_id in table.subnets:
            return table
        if table.vpc_id == vpc_id and table.main:
            main = table
    return main


def leads_to_internet(net: Networking, table: RouteTable | None) -> bool:
    """Whether the table makes its subnets public ones: an active default IPv4 route to an internet gateway."""
    return table is not None and any(
        route.active and route.target.startswith("igw-") and route.destination == ANYWHERE
        for route in routes_of(net, table)
    )


def _propagated(net: Networking, table: RouteTable) -> Iterator[tuple[IPv4Network, str]]:
    for connection in net.vpn_connections.values():
        gateway = net.vpn_gateways.get(connection.vpn_gateway_id)
        if gateway is not None and gateway.id in table.propagating and gateway.vpc_id == table.vpc_id:
            yield from ((destination, gateway.id) for destination in connection.routes)


def _usable(net: Networking, vpc_id: str, target: str) -> bool:
    match target.partition("-")[0]:
        case "igw":
            gateway = net.internet_gateways.get(target)
            return gateway is not None and gateway.vpc_id == vpc_id
        case "eigw":
            egress_only = net.egress_only_gateways.get(target)
            return egress_only is not None and egress_only.vpc_id == vpc_id
        case "nat":
            nat = net.nat_gateways.get(target)
            return nat is not None and nat.state is NatState.AVAILABLE
        case "pcx":
            peering = net.peerings.get(target)
            return peering is not None and peering.state is PeeringState.ACTIVE
        case "vgw":
            vgw = net.vpn_gateways.get(target)
            return vgw is not None and vgw.vpc_id == vpc_id
        case _:
            attachment = net.enis[target].attachment if target in net.enis else None
            return attachment is not None and attachment.status is AttachmentStatus.ATTACHED
