"""Clusters, who may use them, tags."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Network

from tests.eks.conftest import ADMIN, CLUSTER, GROUP, ROLE, World, make_world, refused
from vpclab.eks import EksDelays, Status
from vpclab.eks.access import CLUSTER_ADMIN, PREFIX
from vpclab.eks.versions import VERSIONS
from vpclab.region import SecurityGroupRule


def test_a_cluster_has_a_group_of_its_own_and_admits_its_maker_and_its_nodes(world: World) -> None:
    cluster = world.eks.cluster(CLUSTER)
    group = world.region.security_group(cluster.cluster_security_group_id)
    assert group.name.startswith("eks-cluster-sg-myeks-")
    assert group.ingress == (SecurityGroupRule(group_id=group.id),)
    assert cluster.service_cidr == IPv4Network("10.100.0.0/16")
    assert list(world.eks.entries) == [(CLUSTER, ADMIN), (CLUSTER, ROLE)]
    assert world.eks.entries[CLUSTER, ROLE].type == "EC2_LINUX"
    assert world.eks.policies[CLUSTER, ADMIN][CLUSTER_ADMIN].scope == "cluster"


def test_what_no_cluster_can_be_is_refused(world: World) -> None:
    subnets = [subnet.id for subnet in world.study.public]
    create = world.eks.create_cluster
    with refused("ResourceInUseException", "Cluster already exists with name: myeks"):
        create(CLUSTER, ROLE, subnets, creator=ADMIN)
    with refused("InvalidParameterException", "at least two different AZs"):
        create("x", ROLE, subnets[:1], creator=ADMIN)
    with refused("InvalidParameterException", "unsupported Kubernetes version 1.12"):
        create("x", ROLE, subnets, creator=ADMIN, version="1.12")
    with refused("InvalidParameterException", "Role ARN"):
        create("x", "admin", subnets, creator=ADMIN)
    with refused("InvalidParameterException", "overlaps"):
        create("x", ROLE, subnets, creator=ADMIN, service_cidr=IPv4Network("192.168.0.0/16"))
    assert list(world.eks.clusters) == [CLUSTER]


def test_versions_go_up_one_by_one_and_updates_are_kept() -> None:
    world = make_world(delays=EksDelays(cluster=(4.0, 4.0)))
    with refused("InvalidParameterException", "from 1.29 to 1.31"):
        world.eks.update_cluster_version(CLUSTER, "1.31")
    update = world.eks.update_cluster_version(CLUSTER, "1.30")
    assert world.eks.cluster(CLUSTER).status is Status.UPDATING
    with refused("ResourceInUseException"):
        world.eks.update_cluster_config(CLUSTER, private_access=True)
    world.region.advance(4.0)
    assert (world.eks.cluster(CLUSTER).status, world.eks.cluster(CLUSTER).version) == (Status.ACTIVE, "1.30")
    assert world.eks.update(CLUSTER, update.id).status == "Successful"
    with refused("ResourceNotFoundException", "No update found for ID"):
        world.eks.update(CLUSTER, update.id, nodegroup=GROUP)


def test_the_mode_of_authentication_goes_one_way(world: World) -> None:
    world.eks.update_cluster_config(CLUSTER, authentication_mode="API")
    with refused("InvalidParameterException", "from API to API_AND_CONFIG_MAP"):
        world.eks.update_cluster_config(CLUSTER, authentication_mode="API_AND_CONFIG_MAP")
    with refused("InvalidParameterException", "Only one type"):
        world.eks.update_cluster_config(CLUSTER, private_access=True, logging={"api": True})
    world.eks.update_cluster_config(CLUSTER, logging={"api": True})
    assert world.eks.cluster(CLUSTER).logging == {"api": True}


def test_access_entries(world: World) -> None:
    access, who = world.eks.access, "arn:aws:iam::111122223333:role/dev"
    entry = access.create(CLUSTER, who, groups=["devs"])
    assert entry.username == "arn:aws:sts::111122223333:assumed-role/dev/{{SessionName}}"
    assert access.arn(entry).startswith("arn:aws:eks:ap-northeast-2:111122223333:access-entry/myeks/role/")
    with refused("ResourceInUseException", "already in use"):
        access.create(CLUSTER, who)
    with refused("InvalidParameterException", "cannot start with system:"):
        access.create(CLUSTER, f"{who}2", groups=["system:masters"])
    view = f"{PREFIX}AmazonEKSViewPolicy"
    access.associate(CLUSTER, who, view, "namespace", ["dev"])
    with refused("ResourceNotFoundException"):
        access.associate(CLUSTER, who, f"{PREFIX}NoPolicy", "cluster")
    with refused("InvalidParameterException"):
        access.associate(CLUSTER, who, view, "namespace")
    access.disassociate(CLUSTER, who, view)
    assert access.update(CLUSTER, who, username="bob", groups=None).groups == ("devs",)
    access.delete(CLUSTER, who)
    with refused("ResourceNotFoundException"):
        access.get(CLUSTER, who)


def test_tags_by_arn(world: World) -> None:
    for resource in (world.eks.cluster(CLUSTER), world.group, world.eks.entries[CLUSTER, ADMIN]):
        arn = world.eks.tagging.arn(resource)
        world.eks.tagging.add(arn, {"team": "net"})
        assert world.eks.tagging.of(arn) == {"team": "net"}
        world.eks.tagging.remove(arn, ["team", "other"])
        assert world.eks.tagging.of(arn) == {}


def test_versions_are_supported_for_their_time() -> None:
    status = VERSIONS["1.29"].status
    assert status(dt.date(2025, 1, 1)) == "STANDARD_SUPPORT"
    assert status(dt.date(2026, 1, 1)) == "EXTENDED_SUPPORT"
    assert status(dt.date(2026, 11, 29)) == "UNSUPPORTED"
