"""What one VPC of the fabric should look like: a function of what the region says and of which machines are here.

`Outlook` remembers by ENI what it worked out: the region's values never change in place, so an ENI that is the same object
needs no second look. What it gives is compared part by part with what was done before, again by identity first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Protocol

from vpclab.fabric.devices import ENI, IGW_DEVICE, NOWHERE, PEERING, VPN, device, number
from vpclab.fabric.eni import Link, device_name
from vpclab.fabric.ipv6 import Ipv6State, Networks6
from vpclab.fabric.nft_table import Table
from vpclab.fabric.security_groups import (
    NO_GROUPS,
    NO_GROUPS6,
    V4,
    V6,
    Family,
    Members,
    members_of,
    security_table,
)
from vpclab.region.routing import (
    LOCAL,
    CustomerGateway,
    ElasticAddress,
    LoadBalancer,
    NatState,
    Networking,
    RouteTable,
    routes_of,
    table_of,
)
from vpclab.region.values import AttachmentStatus, NetworkInterface, SecurityGroup, Subnet

ANYWHERE = IPv4Network("0.0.0.0/0")
ANYWHERE6 = IPv6Network("::/0")
Networks = frozenset[IPv4Network]


class RegionView(Networking, Protocol):
    """What the fabric reads of a region; everything by id."""

    @property
    def subnets(self) -> Mapping[str, Subnet]:
        """All subnets."""

    @property
    def groups(self) -> Mapping[str, SecurityGroup]:
        """All security groups."""

    @property
    def route_tables(self) -> Mapping[str, RouteTable]:
        """All route tables."""

    @property
    def elastic_addresses(self) -> Mapping[str, ElasticAddress]:
        """All Elastic IP addresses."""

    @property
    def customer_gateways(self) -> Mapping[str, CustomerGateway]:
        """All customer gateways."""

    @property
    def load_balancers(self) -> Mapping[str, LoadBalancer]:
        """All network load balancers."""

    @property
    def control_planes(self) -> Mapping[str, tuple[str, ...]]:
        """Clusters' control planes: by cluster, the ids of their ENIs."""


@dataclass(frozen=True, slots=True)
class FabricState:
    """Everything below a VPC's start that comes and goes."""

    cidrs: frozenset[IPv4Network] = frozenset()
    gateways: frozenset[IPv4Address] = frozenset()
    links: Mapping[str, Link] = field(default_factory=dict)
    """By the router's device."""
    held: Mapping[str, Networks] = field(default_factory=dict)
    """Addresses and prefixes by the router's device of the ENI that holds them; no two have the same."""
    tables: Mapping[int, Mapping[IPv4Network, str]] = field(default_factory=dict)
    """The routes of subnets' route tables: by the table's number, destination -> device."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """Load balancers' nodes that answers must come back through: mark (and table) -> device."""
    public: Mapping[IPv4Address, IPv4Address] = field(default_factory=dict)
    """Private -> public address, one to one."""
    security: Table = NO_GROUPS
    ipv6: Ipv6State = field(default_factory=Ipv6State)


@dataclass(frozen=True, slots=True)
class _Part:
    """What was worked out for one ENI; `link` is None if it is on nothing that is here."""

    eni: NetworkInterface
    networks: Networks
    networks6: Networks6
    link: Link | None


class Outlook:
    """One VPC, looked at again and again."""

    def __init__(self, vpc_id: str) -> None:
        self.vpc_id = vpc_id
        self._parts: dict[str, _Part] = {}
        self._members: dict[tuple[str, Family], tuple[list[_Part], Members]] = {}
        self._security: dict[Family, tuple[tuple[object, ...], Table]] = {
            V4: ((), NO_GROUPS),
            V6: ((), NO_GROUPS6),
        }

    def wanted(self, region: RegionView, machines: Collection[str]) -> FabricState:
        """The state to be in, with places for these machines (instances, NAT gateways, balancers' ENIs; by id).

        An ENI counts while its attachment's status is ATTACHED; a public address is used only if its subnet routes to the
        internet gateway.
        """
        subnets = {id_: subnet for id_, subnet in region.subnets.items() if subnet.vpc_id == self.vpc_id}
        routing = {id_: table_of(region.route_tables, self.vpc_id, id_) for id_ in subnets}
        numbers = {id_: number(table.id) if table else 0 for id_, table in routing.items()}
        parts = self._look(region, numbers, machines)
        links = {part.link.name: part.link for part in parts.values() if part.link is not None}
        marks = {number(name): name for name in self._balancers(region) if name in links}
        tables = {
            number(table.id): routes_to_devices(region, table, links)
            for table in region.route_tables.values()
            if table.vpc_id == self.vpc_id
        }
        return FabricState(
            cidrs=frozenset(region.vpcs[self.vpc_id].cidrs) if self.vpc_id in region.vpcs else frozenset(),
            gateways=frozenset(subnet.gateway for subnet in subnets.values()),
            links=links,
            held={part.link.name: part.networks for part in parts.values() if part.link is not None},
            tables=tables | {mark: {ANYWHERE: name} for mark, name in marks.items()},
            marks=marks,
            public=self._public(region, subnets, parts),
            security=self._filters(region, links, V4),
            ipv6=self._ipv6(region, subnets, parts, routing),
        )

    def _ipv6(
        self,
        region: RegionView,
        subnets: Mapping[str, Subnet],
        parts: Mapping[str, _Part],
        routing: Mapping[str, RouteTable | None],
    ) -> Ipv6State:
        cidrs = frozenset(region.vpcs[self.vpc_id].ipv6_cidrs) if self.vpc_id in region.vpcs else frozenset()
        if not cidrs:
            return Ipv6State()
        holding = [(part.link, part) for part in parts.values() if part.link is not None and part.networks6]
        links = {link.name: link for link, _ in holding}
        ways: dict[str, set[IPv6Network]] = {"igw": set(), "eigw": set()}
        for id_, table in routing.items():
            block = subnets[id_].ipv6_cidr
            if table is not None and block is not None:
                for route in routes_of(region, table):
                    if route.destination == ANYWHERE6 and route.active:
                        ways.setdefault(route.target.partition("-")[0], set()).add(block)
        return Ipv6State(
            cidrs=cidrs,
            held={link.name: part.networks6 for link, part in holding},
            tables={
                number(table.id): ipv6_routes_to_devices(region, table, links)
                for table in region.route_tables.values()
                if table.vpc_id == self.vpc_id
            },
            links=links,
            open=frozenset(ways["igw"]),
            egress_only=frozenset(ways["eigw"]),
            security=self._filters(region, links, V6),
        )

    def _look(
        self, region: RegionView, numbers: Mapping[str, int], machines: Collection[str]
    ) -> dict[str, _Part]:
        """Every ENI of the VPC's; those of other VPCs are remembered too, as members of groups."""
        services = dict(_services(region))
        old, self._parts = self._parts, {}
        mine: dict[str, _Part] = {}
        for eni in region.enis.values():
            link = None
            if eni.vpc_id == self.vpc_id and eni.subnet_id in numbers:
                owner, at = _owner(eni, services)
                if owner in machines:
                    link = Link.of(eni, owner, at, numbers[eni.subnet_id])
            part = old.get(eni.id)
            if part is None or part.eni is not eni or part.link != link:
                part = _Part(eni, _networks(part, eni), _networks6(part, eni), link)
            self._parts[eni.id] = part
            if link is not None:
                mine[eni.id] = part
        return mine

    def _public(
        self, region: RegionView, subnets: Mapping[str, Subnet], parts: Mapping[str, _Part]
    ) -> dict[IPv4Address, IPv4Address]:
        found = {
            part.eni.primary: part.eni.public_ip
            for part in parts.values()
            if part.eni.public_ip is not None and subnets[part.eni.subnet_id].public
        }
        for elastic in region.elastic_addresses.values():
            holder = parts.get(elastic.eni_id)
            if holder and elastic.private_ip and subnets[holder.eni.subnet_id].public:
                found[elastic.private_ip] = elastic.public_ip
        return found

    def _balancers(self, region: RegionView) -> Iterator[str]:
        for balancer in region.load_balancers.values():
            if balancer.vpc_id == self.vpc_id and balancer.preserve_client_ip:
                yield from (device(ENI, eni_id) for eni_id in balancer.enis)

    def _filters(self, region: RegionView, links: Mapping[str, Link], family: Family) -> Table:
        filtered = {name: region.enis[link.eni_id].groups for name, link in links.items()}
        used = [region.groups.get(group) for ids in filtered.values() for group in ids]
        peers = {
            rule.group_id: self._group(rule.group_id, family)
            for group in {id(one): one for one in used}.values()
            if group is not None
            for rule in (*group.ingress, *group.egress)
            if rule.group_id is not None
        }
        # Groups and sets by identity: equal ones that are not the same are merely looked at again.
        key = (tuple(filtered.items()), *map(_Same, used), *map(_Same, peers.values()))
        if self._security[family][0] != key:
            table = security_table(links, region.enis, region.groups, peers.__getitem__, family)
            self._security[family] = (key, table)
        return self._security[family][1]

    def _group(self, group_id: str, family: Family) -> Members:
        parts = [part for part in self._parts.values() if group_id in part.eni.groups]
        had = self._members.get((group_id, family))
        if (
            had is None
            or len(had[0]) != len(parts)
            or any(a is not b for a, b in zip(*(had[0], parts), strict=True))
        ):
            networks = (one for part in parts for one in (part.networks if family is V4 else part.networks6))
            had = (parts, members_of(networks, family))
            self._members[group_id, family] = had
        return had[1]


def _networks(before: _Part | None, eni: NetworkInterface) -> Networks:
    """What it holds: the same object as before, if that has not changed."""
    if before is not None and (before.eni.primary, before.eni.secondary, before.eni.prefixes) == (
        eni.primary,
        eni.secondary,
        eni.prefixes,
    ):
        return before.networks
    return frozenset(eni.networks)


def _networks6(before: _Part | None, eni: NetworkInterface) -> Networks6:
    """The same of IPv6."""
    if before is not None and (before.eni.ipv6, before.eni.ipv6_prefixes) == (eni.ipv6, eni.ipv6_prefixes):
        return before.networks6
    return frozenset(eni.ipv6_networks)


class _Same:
    """Equal to one of the very same object alone (and keeps it, so that no other one comes to its place)."""

    __slots__ = ("what",)

    def __init__(self, what: object) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.what is other.what

    def __hash__(self) -> int:
        return id(self.what)


def wanted(region: RegionView, vpc_id: str, machines: Collection[str]) -> FabricState:
    """One look at a VPC, with nothing remembered."""
    return Outlook(vpc_id).wanted(region, machines)


def routes_to_devices(
    region: RegionView, table: RouteTable, links: Mapping[str, Link]
) -> dict[IPv4Network, str]:
    """A route table's routes by the router's devices; a black hole, or what is not here, leads nowhere.

    Local ones are the router's main table, which comes first.
    """
    found: dict[IPv4Network, str] = {}
    for route in routes_of(region, table):
        if route.target == LOCAL or not isinstance(route.destination, IPv4Network):
            continue
        to = _device_of(region, route.target) if route.active else NOWHERE
        found[route.destination] = to if to[0] != ENI or to in links else NOWHERE
        if route.active and route.target.startswith("vgw-"):
            found.update(_behind(region, route.target, route.destination))
    return found


def ipv6_routes_to_devices(
    region: RegionView, table: RouteTable, links: Mapping[str, Link]
) -> dict[IPv6Network, str]:
    """The same of IPv6, which VPNs do not carry here."""
    found: dict[IPv6Network, str] = {}
    for route in routes_of(region, table):
        if route.target == LOCAL or not isinstance(route.destination, IPv6Network):
            continue
        to = _device_of(region, route.target) if route.active else NOWHERE
        found[route.destination] = to if to[0] != ENI or to in links else NOWHERE
    return found


def _device_of(region: RegionView, target: str) -> str:
    match target.partition("-")[0]:
        case "igw" | "eigw":
            return IGW_DEVICE
        case "nat":
            return device(ENI, region.nat_gateways[target].eni_id)
        case "pcx":
            return device(PEERING, target)
        case "eni":
            return device(ENI, target)
        case _:  # a VPN's gateway, whose connections say more
            return NOWHERE


def _behind(region: RegionView, gateway: str, destination: IPv4Network) -> Iterator[tuple[IPv4Network, str]]:
    """What of a destination the gateway's connections have routes to."""
    for connection in region.vpn_connections.values():
        if connection.vpn_gateway_id == gateway:
            for own in connection.routes:
                if own.subnet_of(destination):
                    yield own, device(VPN, connection.id)
                elif destination.subnet_of(own):
                    yield destination, device(VPN, connection.id)


def _services(region: RegionView) -> Iterator[tuple[str, tuple[str, str]]]:
    """ENIs that AWS has its own machines behind -> the machine's key, and the device's name there."""
    for nat in region.nat_gateways.values():
        if nat.state is NatState.AVAILABLE:
            yield nat.eni_id, (nat.id, "eth0")
    for balancer in region.load_balancers.values():
        yield from ((eni_id, (eni_id, "eth0")) for eni_id in balancer.enis)
    for cluster, enis in region.control_planes.items():
        yield from ((eni_id, (cluster, f"eth{index}")) for index, eni_id in enumerate(enis))


def _owner(eni: NetworkInterface, services: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """Whose device an ENI is, and its name there; nobody's is ''."""
    attachment = eni.attachment
    if attachment is None:
        return services.get(eni.id, ("", "eth0"))
    attached = attachment.status is AttachmentStatus.ATTACHED
    return (attachment.instance_id if attached else ""), device_name(attachment)
