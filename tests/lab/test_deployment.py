"""The study's template makes what the study says (no packets here: the region alone)."""

import time
from typing import Any

import pytest

from vpclab.eks import Eks
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.lab.world import empty_cloud, make_world
from vpclab.region import Region, study_region
from vpclab.region.study import CLUSTER, NODE_GROUP


def shape(region: Region) -> dict[str, Any]:
    """A region without its ids and without what CloudFormation and EKS add."""
    named = {one.id: one.name for one in region.groups.values()}
    return {
        "vpcs": [(one.cidrs, one.tags["Name"]) for one in region.vpcs.values()],
        "subnets": sorted(
            (str(s.cidr), s.zone, s.public, s.map_public_ip_on_launch, sorted(own(s.tags).items()))
            for s in region.subnets.values()
        ),
        "groups": sorted(
            (
                g.name,
                g.description,
                sorted((r.protocol, r.from_port or -1, r.to_port or -1, str(r.cidr), named.get(r.group_id or "", "")) for r in g.ingress),
                [str(r.cidr) for r in g.egress],
            )
            for g in region.groups.values()
            if not g.name.startswith("eks-cluster-sg")
        ),
        "gateways": [own(one.tags) for one in region.internet_gateways.values()],
    }  # fmt: skip


def own(tags: Any) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


@pytest.mark.parametrize("bits", [24, 28, 20])
def test_the_template_is_the_study(bits: int) -> None:
    settings = LabSettings("x", real_delays=False, subnet_bits=bits)
    cloud = empty_cloud(settings)
    began = time.monotonic()
    world = make_world(cloud, settings)
    assert time.monotonic() - began < 2.0, (
        "a lab that waits for its stack is no lab that is up in two seconds"
    )
    assert world.study is not None
    built, study = study_region(Region(), bits)
    assert shape(cloud.region) == shape(built)
    assert {g.name for g in (cloud.region.security_group(world.study.node_group),)} == {
        built.security_group(study.node_group).name
    }
    group = cloud.kept(Eks).nodegroup(CLUSTER, NODE_GROUP)
    nodes = cloud.kept(Eks).nodes_of((CLUSTER, NODE_GROUP))
    assert (group.status.value, len(nodes), group.version) == ("ACTIVE", 3, "1.29")
    assert {one.name for one in nodes} == {"myeks-ng1-Node"}
    assert [one.zone[-1] for one in nodes] == ["a", "b", "c"]
    bastion = next(one for one in cloud.region.instances.values() if one.name == "myeks-bastion-EC2")
    address = str(cloud.region.primary_eni(bastion.id).primary)
    assert address == ("192.168.1.100" if bits == 24 else address)
    addons = {one.name: one.status.value for one in cloud.kept(Eks).addons.values()}
    assert addons == {"vpc-cni": "ACTIVE", "kube-proxy": "ACTIVE", "coredns": "ACTIVE"}


def test_settings_are_parameters() -> None:
    settings = LabSettings(
        "x",
        real_delays=False,
        nodes=5,
        instance_type="m5.large",
        env={"WARM_IP_TARGET": "2", "MY_OWN": "x"},
        parameters={"KubernetesVersion": "1.30"},
    )
    cloud = empty_cloud(settings)
    make_world(cloud, settings)
    eks = cloud.kept(Eks)
    group = eks.nodegroup(CLUSTER, NODE_GROUP)
    assert (group.scaling.desired, group.instance_types, group.version) == (5, ("m5.large",), "1.30")
    assert eks.addon(CLUSTER, "vpc-cni").configuration == '{"env": {"WARM_IP_TARGET": "2"}}'


def test_what_cannot_be_deployed_is_said() -> None:
    settings = LabSettings("x", parameters={"KubernetesVersion": "9.99"})
    with pytest.raises(LabError, match=r"Cluster \(AWS::EKS::Cluster\): Resource handler returned message"):
        make_world(empty_cloud(settings), settings)
    settings = LabSettings("x", parameters={"Nothing": "1"})
    with pytest.raises(LabError, match=r"Parameters: \[Nothing\] do not exist in the template"):
        make_world(empty_cloud(settings), settings)
    with pytest.raises(LabError, match="--topology, --extra-subnets and --free are of the study's VPC"):
        LabSettings("x", empty=True, extra_subnets=1).check()
