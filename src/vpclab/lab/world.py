"""The region that a lab begins with, as its settings ask for it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vpclab.aws import cloud_of
from vpclab.aws.service import Cloud
from vpclab.eks import Eks
from vpclab.lab.cluster import REAL_DELAYS as REAL_EKS_DELAYS
from vpclab.lab.delays import NO_DELAYS, REAL_DELAYS, REAL_LATENCY
from vpclab.lab.deployment import deploy, study_of
from vpclab.lab.layout import add_networks, fill, welcome_neighbours
from vpclab.lab.settings import PATHS, LabSettings
from vpclab.region import InstanceState, Region, Study, dual_stack
from vpclab.region.paths import Paths, Plain, launch_plain, launch_private_node, paths_around


@dataclass(frozen=True, slots=True)
class World:
    """What `make_world` made."""

    study: Study | None = None
    """None: the lab is empty, or began with another template."""
    paths: Paths | None = None
    plain: Plain | None = None


def empty_cloud(settings: LabSettings) -> Cloud:
    """A region with its services, and nothing in it yet."""
    real = settings.real_delays
    region = Region(
        seed=settings.seed, delays=REAL_DELAYS if real else NO_DELAYS, now=time.time(), throttle=real
    )
    if real:
        region.gate.latency = REAL_LATENCY
    return cloud_of(region)


def make_world(cloud: Cloud, settings: LabSettings) -> World:
    """The stack, and what the settings ask for around it; EKS takes its time from then on. Raises LabError."""
    world = World()
    if not settings.empty:
        stack = deploy(cloud, settings)
        if settings.template is None:
            world = _around(cloud, study_of(cloud, stack), settings)
    if settings.real_delays:
        cloud.kept(Eks).delays = REAL_EKS_DELAYS
    return world


def _around(cloud: Cloud, study: Study, settings: LabSettings) -> World:
    region = cloud.region
    paths = plain = None
    if settings.topology == PATHS:
        paths = paths_around(region, study)
        welcome_neighbours(region, paths)
    add_networks(region, study, settings)
    if settings.ipv6 or settings.dual_stack:
        study = dual_stack(region, study)
    used = [one.subnet_id for one in region.instances.values() if one.state is InstanceState.RUNNING]
    if paths is not None:
        nodes = range(settings.private_nodes)
        used += [launch_private_node(region, paths, n, settings.instance_type).subnet_id for n in nodes]
    if settings.free is not None:
        fill(region, used, settings.free, scattered=settings.scattered)
    if paths is not None:
        plain = launch_plain(region, paths)
    return World(study, paths, plain)
