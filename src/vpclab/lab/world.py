"""The region that a lab begins with, as its settings ask for it."""

from __future__ import annotations

import time

from vpclab.eks import Eks
from vpclab.lab.cluster import begin_cluster
from vpclab.lab.delays import NO_DELAYS, REAL_DELAYS, REAL_LATENCY
from vpclab.lab.layout import add_networks, fill, welcome_neighbours
from vpclab.lab.settings import PATHS, LabSettings
from vpclab.lab.state import LabError
from vpclab.region import Region, Study, launch_bastion, study_region
from vpclab.region.paths import Paths, Plain, launch_plain, launch_private_node, paths_region
from vpclab.region.study import CLUSTER, NODE_GROUP


def make_region(settings: LabSettings) -> tuple[Region, Study, Paths | None]:
    """The region with its VPC, and no instances yet. Raises LabError."""
    real = settings.real_delays
    region = Region(
        seed=settings.seed, delays=REAL_DELAYS if real else NO_DELAYS, now=time.time(), throttle=real
    )
    if real:
        region.gate.latency = REAL_LATENCY
    paths: Paths | None = None
    if settings.topology == PATHS:
        region, paths = paths_region(region, settings.subnet_bits)
        study = paths.study
        welcome_neighbours(region, paths)
    else:
        region, study = study_region(region, settings.subnet_bits)
    add_networks(region, study, settings)
    return region, study, paths


def launch(eks: Eks, study: Study, paths: Paths | None, settings: LabSettings) -> Plain | None:
    """The bastion, the cluster with its nodes, and the plain instances of the topology of every path.

    Raises LabError: it can't be as the settings ask for.
    """
    region = eks.region
    first = [launch_bastion(region, study)]
    begin_cluster(eks, study, settings)
    first += eks.nodes_of((CLUSTER, NODE_GROUP))
    if len(first) <= settings.nodes:
        issues = eks.nodegroup(CLUSTER, NODE_GROUP).issues
        raise LabError("the nodes can't be launched: " + "; ".join(one.message for one in issues))
    if paths is not None:
        for n in range(settings.private_nodes):
            first.append(launch_private_node(region, paths, n, settings.instance_type))
    if settings.free is not None:
        used = [one.subnet_id for one in first]
        fill(region, used, settings.free, scattered=settings.scattered)
    return None if paths is None else launch_plain(region, paths)
