"""The default region: the study's (ap-northeast-2, 192.168.0.0/16, three zones, a bastion, a node group)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.region import ANYWHERE, Region
from vpclab.region.values import Delays, Instance, SecurityGroupRule, Subnet, Vpc

CLUSTER = "myeks"
ZONES = ("a", "b", "c")
BASTION_ADDRESS = IPv4Address("192.168.1.100")
BASTION_TYPE = "t3.small"


@dataclass(frozen=True, slots=True)
class Study:
    """The parts that somebody asks for later."""

    vpc: Vpc
    public: tuple[Subnet, ...]
    private: tuple[Subnet, ...]
    bastion_group: str
    node_group: str


def study_region(*, delays: Delays | None = None, seed: int = 0) -> tuple[Region, Study]:
    """The region before any instance runs."""
    region = Region(delays=delays, seed=seed)
    vpc = region.create_vpc(IPv4Network("192.168.0.0/16"), {"Name": f"{CLUSTER}-VPC"})
    public = tuple(
        region.create_subnet(
            vpc.id,
            f"{region.name}{zone}",
            IPv4Network(f"192.168.{number}.0/24"),
            public=True,
            tags={"Name": f"{CLUSTER}-PublicSubnet{number}", "kubernetes.io/role/elb": "1"},
        )
        for number, zone in enumerate(ZONES, 1)
    )
    private = tuple(
        region.create_subnet(
            vpc.id,
            f"{region.name}{zone}",
            IPv4Network(f"192.168.{10 + number}.0/24"),
            tags={"Name": f"{CLUSTER}-PrivateSubnet{number}", "kubernetes.io/role/internal-elb": "1"},
        )
        for number, zone in enumerate(ZONES, 1)
    )
    bastion = region.create_security_group(
        vpc.id, f"{CLUSTER}-EC2-SG", "the bastion's", {"Name": f"{CLUSTER}-EC2-SG"}
    )
    region.authorize(
        bastion.id,
        [SecurityGroupRule("tcp", 22, 22, ANYWHERE), SecurityGroupRule("icmp", -1, -1, ANYWHERE)],
    )
    nodes = region.create_security_group(
        vpc.id, f"eksctl-{CLUSTER}-nodegroup-ng1-remoteAccess", "the node group's", {"Name": "ng1"}
    )
    region.authorize(nodes.id, [SecurityGroupRule(group_id=nodes.id)])
    return region, Study(vpc, public, private, bastion.id, nodes.id)


def launch_bastion(region: Region, study: Study) -> Instance:
    """The host that a person works from."""
    return region.run_instance(
        BASTION_TYPE, study.public[0].id, (study.bastion_group,), private_ip=BASTION_ADDRESS,
        tags={"Name": f"{CLUSTER}-bastion-EC2"},
    )  # fmt: skip


def launch_node(region: Region, study: Study, index: int, instance_type: str) -> Instance:
    """A node of the group, the zones in turn."""
    subnet = study.public[index % len(study.public)]
    tags = {
        "Name": f"{CLUSTER}-ng1-Node",
        f"kubernetes.io/cluster/{CLUSTER}": "owned",
        "eks:cluster-name": CLUSTER,
        "eks:nodegroup-name": "ng1",
    }
    return region.run_instance(instance_type, subnet.id, (study.node_group,), tags=tags)
