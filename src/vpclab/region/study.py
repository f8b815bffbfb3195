"""The study's world: one VPC, three zones, a bastion and a node group (walkthrough, "The infrastructure")."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.region import Region
from vpclab.region.values import Instance, InternetGateway, SecurityGroupRule, Subnet, Tags, Vpc

CLUSTER = "myeks"
NODE_GROUP = "ng1"
VPC_CIDR = IPv4Network("192.168.0.0/16")
PUBLIC_CIDRS = tuple(IPv4Network(f"192.168.{n}.0/24") for n in (1, 2, 3))
PRIVATE_CIDRS = tuple(IPv4Network(f"192.168.{n}.0/24") for n in (11, 12, 13))
ANYWHERE = IPv4Network("0.0.0.0/0")
BASTION_NAME = f"{CLUSTER}-bastion-EC2"
BASTION_ADDRESS = IPv4Address("192.168.1.100")
BASTION_TYPE = "t3.small"
NODE_NAME = f"{CLUSTER}-{NODE_GROUP}-Node"
NODE_TYPE = "t3.medium"
NODE_ROLE = f"{CLUSTER}-{NODE_GROUP}-NodeInstanceRole"
SSH = 22


@dataclass(frozen=True, slots=True)
class Study:
    """What `study_region` made; subnets by zone: a, b, c."""

    vpc: Vpc
    public: tuple[Subnet, ...]
    private: tuple[Subnet, ...]
    internet_gateway: InternetGateway
    bastion_group: str
    node_group: str


def public_cidrs(bits: int) -> tuple[IPv4Network, ...]:
    """The public subnets with this prefix length, 20 to 28: the study's own or smaller, or larger ones behind the private."""
    if bits >= PUBLIC_CIDRS[0].prefixlen:
        return tuple(next(cidr.subnets(new_prefix=bits)) for cidr in PUBLIC_CIDRS)
    return tuple(IPv4Network((f"192.168.{16 * n}.0", bits)) for n in (1, 2, 3))


def build(region: Region, public_bits: int = 24) -> Study:
    """Make the study's VPC in a region, without instances; `public_bits` is its public subnets' prefix length."""
    vpc = region.create_vpc(VPC_CIDR, tags={"Name": f"{CLUSTER}-VPC"})
    gateway = region.create_internet_gateway(vpc.id, tags={"Name": f"{CLUSTER}-IGW"})
    in_cluster = {f"kubernetes.io/cluster/{CLUSTER}": "shared"}
    public = tuple(
        region.create_subnet(
            vpc.id,
            zone,
            cidr,
            public=True,
            map_public_ip_on_launch=True,
            tags={"Name": f"{CLUSTER}-PublicSubnet{n}", "kubernetes.io/role/elb": "1", **in_cluster},
        )
        for n, (zone, cidr) in enumerate(zip(region.zones, public_cidrs(public_bits), strict=False), start=1)
    )
    private = tuple(
        region.create_subnet(
            vpc.id,
            zone,
            cidr,
            tags={
                "Name": f"{CLUSTER}-PrivateSubnet{n}",
                "kubernetes.io/role/internal-elb": "1",
                **in_cluster,
            },
        )
        for n, (zone, cidr) in enumerate(zip(region.zones, PRIVATE_CIDRS, strict=False), start=1)
    )
    bastion = region.create_security_group(vpc.id, f"{CLUSTER}-bastion-SG", "ssh and ping to the bastion")
    region.authorize_ingress(
        bastion.id,
        (
            SecurityGroupRule("tcp", SSH, SSH, cidr=ANYWHERE),
            SecurityGroupRule("icmp", cidr=ANYWHERE),
        ),
    )
    # Nodes take traffic from each other alone: the bastion's ping fails until it is authorised (W8).
    nodes = region.create_security_group(
        vpc.id,
        f"{CLUSTER}-{NODE_GROUP}-NodeGroup-SG",
        "between the nodes of the node group",
        tags={f"kubernetes.io/cluster/{CLUSTER}": "owned"},
    )
    region.authorize_ingress(nodes.id, (SecurityGroupRule(group_id=nodes.id),))
    return Study(vpc, public, private, gateway, bastion.id, nodes.id)


def study_region(region: Region | None = None, public_bits: int = 24) -> tuple[Region, Study]:
    """A region (a new one if none is given) with the study's VPC in it."""
    region = Region() if region is None else region
    return region, build(region, public_bits)


def launch_bastion(region: Region, study: Study) -> Instance:
    """The host that a person works on, with a public address: 192.168.1.100 if its subnet has that."""
    return region.run_instance(
        BASTION_TYPE,
        study.public[0].id,
        groups=(study.bastion_group,),
        name=BASTION_NAME,
        private_ip=BASTION_ADDRESS if BASTION_ADDRESS in study.public[0].cidr else None,
        associate_public_ip=True,
    )


def launch_node(region: Region, study: Study, index: int, instance_type: str = NODE_TYPE) -> Instance:
    """The node group's node number `index` (from 0), zone by zone in turn, with a public address."""
    tags: Tags = {
        f"kubernetes.io/cluster/{CLUSTER}": "owned",
        "eks:cluster-name": CLUSTER,
        "eks:nodegroup-name": NODE_GROUP,
    }
    return region.run_instance(
        instance_type,
        study.public[index % len(study.public)].id,
        groups=(study.node_group,),
        name=NODE_NAME,
        tags=tags,
        associate_public_ip=True,
    )
