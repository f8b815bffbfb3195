"""The world of every path: the study's VPC with a NAT gateway, a peered VPC, a site behind a VPN, a load balancer.

The study's nodes and bastion fit in as they are (`launch_node`, `launch_bastion`); nodes for private subnets by
`launch_private_node`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.region import Region
from vpclab.region.routing import Listener, LoadBalancer, NatGateway, Peering, VpnConnection
from vpclab.region.study import ANYWHERE, CLUSTER, NODE_GROUP, NODE_TYPE, VPC_CIDR, Study, build
from vpclab.region.values import Instance, SecurityGroupRule, Subnet, Vpc

PEER_CIDR = IPv4Network("10.20.0.0/16")
PEER_SUBNET = IPv4Network("10.20.1.0/24")
PEER_PRIVATE_SUBNET = IPv4Network("10.20.2.0/24")
FAR_CIDR = IPv4Network("10.30.0.0/16")
FAR_SUBNET = IPv4Network("10.30.1.0/24")
"""Of a third VPC, peered with the second one only: what shows that peering is not transitive."""
SITE = IPv4Network("10.50.0.0/16")
SITE_GATEWAY = IPv4Address("198.51.100.200")
PLAIN_TYPE = "t3.small"


@dataclass(frozen=True, slots=True)
class Paths:
    """What `paths_region` made."""

    study: Study
    open_group: str
    """In the study's VPC: lets everything in and out."""
    nat_gateway: NatGateway
    """In the first public subnet; the private subnets' default route."""
    peer_vpc: Vpc
    peer_subnet: Subnet
    peer_private: Subnet
    peer_group: str
    peering: Peering
    far_vpc: Vpc
    far_subnet: Subnet
    far_group: str
    vpn: VpnConnection
    site: IPv4Network
    balancer: LoadBalancer
    """Faces the internet, keeps the client's address, has no listeners yet: see `Region.set_listeners`."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Instances without an agent, each with everything allowed; by what they are to the study's nodes."""

    neighbour: Instance
    """In the same VPC, with a public address."""
    private: Instance
    """In a private subnet of the same VPC: out by the NAT gateway."""
    peer: Instance
    """In the peered VPC, with a public address."""
    far: Instance
    """Beyond the peered VPC."""

    def by_name(self) -> dict[str, Instance]:
        """The four, by name."""
        return {
            "neighbour": self.neighbour,
            "private": self.private,
            "peer": self.peer,
            "far": self.far,
        }


def paths_region(region: Region | None = None, public_bits: int = 24) -> tuple[Region, Paths]:
    """A region (a new one if none is given) with every way that a packet can go; no instances yet.

    `public_bits` is the public subnets' prefix length, as for `study_region`.
    """
    region = Region() if region is None else region
    return region, paths_around(region, build(region, public_bits))


def paths_around(region: Region, study: Study) -> Paths:
    """The same around a study's VPC that is there; its private subnets may have a route table of their own already."""
    group = _open_group(region, study.vpc.id)
    nat = region.create_nat_gateway(
        study.public[0].id, region.allocate_address().id, tags={"Name": f"{CLUSTER}-NAT"}
    )
    private = region.route_table_of(study.private[0].id)
    if private.main:
        private = region.create_route_table(study.vpc.id, tags={"Name": f"{CLUSTER}-PrivateRouteTable"})
        for subnet in study.private:
            region.associate_route_table(private.id, subnet.id)
    region.create_route(private.id, ANYWHERE, nat.id)
    zone = region.zones[0]
    peer = region.create_vpc(PEER_CIDR, tags={"Name": "peer"})
    region.create_internet_gateway(peer.id)
    peer_subnet = region.create_subnet(peer.id, zone, PEER_SUBNET, public=True, map_public_ip_on_launch=True)
    peer_private = region.create_subnet(peer.id, zone, PEER_PRIVATE_SUBNET)
    far = region.create_vpc(FAR_CIDR, tags={"Name": "far"})
    far_subnet = region.create_subnet(far.id, zone, FAR_SUBNET)
    peering = _peered(region, study.vpc, peer)
    _peered(region, peer, far)
    # Routes that a person might make in the hope that a peering is transitive: it is not.
    between = region.create_route_table(far.id)
    region.associate_route_table(between.id, far_subnet.id)
    beyond = next(p for p in region.peerings.values() if p.accepter == far.id)
    region.create_route(between.id, VPC_CIDR, beyond.id)
    region.create_route(between.id, PEER_CIDR, beyond.id)
    for table in {region.route_table_of(subnet.id).id for subnet in (*study.public, *study.private)}:
        region.create_route(table, FAR_CIDR, peering.id)
    vpn = _site(region, study)
    balancer = region.create_load_balancer("nlb", [subnet.id for subnet in study.public[:1]])
    return Paths(
        study,
        group,
        nat,
        peer,
        peer_subnet,
        peer_private,
        _open_group(region, peer.id),
        peering,
        far,
        far_subnet,
        _open_group(region, far.id),
        vpn,
        SITE,
        balancer,
    )


def launch_plain(region: Region, paths: Paths) -> Plain:
    """The instances that paths lead to and from, without agents."""

    def launch(name: str, subnet: Subnet, group: str) -> Instance:
        return region.run_instance(PLAIN_TYPE, subnet.id, groups=(group,), name=name)

    return Plain(
        neighbour=launch("neighbour", paths.study.public[1], paths.open_group),
        private=launch("private", paths.study.private[0], paths.open_group),
        peer=launch("peer", paths.peer_subnet, paths.peer_group),
        far=launch("far", paths.far_subnet, paths.far_group),
    )


def launch_private_node(region: Region, paths: Paths, index: int, instance_type: str = NODE_TYPE) -> Instance:
    """A node of the study's group in a private subnet, zone by zone in turn."""
    subnets = paths.study.private
    return region.run_instance(
        instance_type,
        subnets[index % len(subnets)].id,
        groups=(paths.study.node_group,),
        name=f"{CLUSTER}-{NODE_GROUP}-PrivateNode",
        tags={f"kubernetes.io/cluster/{CLUSTER}": "owned", "eks:cluster-name": CLUSTER},
    )


def node_port(
    region: Region, paths: Paths, port: int, node_port: int, nodes: Sequence[IPv4Address]
) -> IPv4Address:
    """Have the load balancer pass a TCP and UDP port on to these nodes' port; -> its public address.

    Raises ApiError: InvalidParameterValue.
    """
    targets = tuple((address, node_port) for address in nodes)
    others = [one for one in region.load_balancers[paths.balancer.id].listeners if one.port != port]
    listeners = (Listener(protocol, port, targets) for protocol in ("tcp", "udp"))
    region.set_listeners(paths.balancer.id, (*others, *listeners))
    public = region.eni(paths.balancer.enis[0]).public_ip
    assert public is not None  # noqa: S101 - it faces the internet
    return public


def _open_group(region: Region, vpc_id: str) -> str:
    group = region.create_security_group(vpc_id, "open", "everything")
    region.authorize_ingress(group.id, (SecurityGroupRule(cidr=ANYWHERE),))
    return group.id


def _peered(region: Region, one: Vpc, other: Vpc) -> Peering:
    """A peering with routes in every table of both that has a subnet, and in the main ones."""
    peering = region.accept_peering(region.create_peering(one.id, other.id).id)
    for table in tuple(region.route_tables.values()):
        for mine, its in ((one, other), (other, one)):
            if table.vpc_id == mine.id:
                region.create_route(table.id, its.cidrs[0], peering.id)
    return peering


def _site(region: Region, study: Study) -> VpnConnection:
    gateway = region.attach_vpn_gateway(region.create_vpn_gateway().id, study.vpc.id)
    customer = region.create_customer_gateway(SITE_GATEWAY, tags={"Name": "onprem"})
    made = region.create_vpn_connection(customer.id, gateway.id)
    for table in {region.route_table_of(subnet.id).id for subnet in (*study.public, *study.private)}:
        region.propagate_vpn_routes(table, gateway.id)
    return region.create_vpn_connection_route(made.id, SITE)
