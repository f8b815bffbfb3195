"""How a VPC reaches its cluster: ENIs of the control plane's in its subnets, its security group, its name."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vpclab.fabric import Fabric, Place, configure_primary, node_place
from vpclab.kubernetes.control_plane import PORT, Endpoint
from vpclab.region import Region, Study
from vpclab.region.values import NetworkInterface, SecurityGroupRule

PLACE = "control-plane"
SUBNETS = 2
"""EKS puts two to four ENIs into a cluster's subnets; the API server is at the first."""
SECOND_TABLE = 101
WORKERS = 6


def endpoint_name(region: Region, cluster: str) -> str:
    """A name as EKS gives them; the same for the same account, region and cluster."""
    digest = hashlib.sha256(f"{region.account}/{region.name}/{cluster}".encode()).hexdigest()
    return f"{digest[:32].upper()}.gr7.{region.name}.eks.amazonaws.com"


def open_way(region: Region, study: Study, group: str) -> None:
    """The cluster's security group and the nodes' let each other in; the VPC reaches the API server."""
    api = [SecurityGroupRule("tcp", PORT, PORT, cidr=cidr) for cidr in region.vpc(study.vpc.id).cidrs]
    region.authorize_ingress(group, (SecurityGroupRule(group_id=study.node_group), *api))
    region.authorize_ingress(study.node_group, (SecurityGroupRule(group_id=group),))


async def connect(
    fabric: Fabric, region: Region, study: Study, cluster: str, group: str, root: Path
) -> tuple[Place, Endpoint]:
    """The control plane's place with its ENIs, members of `group`, plugged in. Raises ApiError, CommandError, OSError."""
    open_way(region, study, group)
    enis = region.connect_control_plane(cluster, [s.id for s in study.public[:SUBNETS]], (group,))
    place = node_place(PLACE, root / PLACE, workers=WORKERS)
    await fabric.add_instances({cluster: place})
    await configure_primary(place, enis[0], region.subnet(enis[0].subnet_id))
    for index, eni in enumerate(enis[1:], start=1):
        await _configure_further(place, region, eni, index)
    return place, Endpoint(endpoint_name(region, cluster), tuple(eni.primary for eni in enis))


async def _configure_further(place: Place, region: Region, eni: NetworkInterface, index: int) -> None:
    """Answers leave by the ENI whose address was asked, also those to its own subnet: the VPC checks sources."""
    subnet = region.subnet(eni.subnet_id)
    device, table = f"eth{index}", SECOND_TABLE + index
    await place.ip(
        (
            f"link set {device} up",
            f"addr replace {eni.primary}/32 dev {device}",
            f"route replace default via {subnet.gateway} dev {device} onlink table {table}",
            f"rule add pref 1000 from {eni.primary} lookup {table}",
        )
    )
