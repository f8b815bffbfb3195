"""This node's EC2, over the fake one."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from vpccni.agent.cloud import NodeCloud
from vpccni.agent.settings import Settings
from vpccni.aws.errors import Ec2Error
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.aws.imds import NodeFacts
from vpccni.aws.tags import CLUSTER, INSTANCE
from vpccni.aws.values import DescribedEni, EniAttachment
from vpccni.ipam.actions import AttachEni
from vpccni.ipam.subnets import ROLE
from vpccni.ipam.values import Block, BlockKind, Eni, EniId, SubnetId

HOME, TAGGED, FAR = SubnetId("subnet-home"), SubnetId("subnet-tagged"), SubnetId("subnet-far")
CIDRS = {
    HOME: IPv4Network("10.0.1.0/24"),
    TAGGED: IPv4Network("100.64.1.0/24"),
    FAR: IPv4Network("10.0.9.0/24"),
}
SIP = BlockKind.SECONDARY_IP
PRIMARY = Eni(
    EniId("eni-0"), "02:00:00:00:00:01", 0, HOME, CIDRS[HOME], IPv4Address("10.0.1.10"), is_primary=True
)
FACTS = NodeFacts(
    instance_id="i-1", instance_type="t3.medium", zone="ap-northeast-2a", region="ap-northeast-2", vpc_id="vpc-1",
    primary_mac=PRIMARY.mac, primary_ip=PRIMARY.primary_address, vpc_cidrs=(IPv4Network("10.0.0.0/16"),),
    security_groups=("sg-node",),
)  # fmt: skip


@pytest.fixture
def ec2() -> FakeEc2:
    fake = FakeEc2(CIDRS)
    fake.subnet_tags = {TAGGED: {ROLE: "1"}}
    at = EniAttachment("eni-attach-0", "i-1", 0, 0, "attached")
    fake.add(DescribedEni(PRIMARY.id, PRIMARY.mac, "in-use", HOME, PRIMARY.primary_address, attachment=at))
    return fake


def cloud(ec2: FakeEc2, settings: Settings | None = None) -> NodeCloud:
    return NodeCloud(settings or Settings(cluster_name="study"), FACTS, PRIMARY, lambda: ec2)


def test_an_eni_goes_where_the_tags_say_with_the_nodes_groups(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    offers, excluded = node.find_subnets()
    assert [offer.id for offer in offers] == [TAGGED, HOME]
    assert excluded == frozenset()
    made = node.attach(AttachEni(1, 2, SIP, subnet=TAGGED))
    assert (made.eni.subnet_id, made.eni.subnet_cidr) == (TAGGED, CIDRS[TAGGED])
    there = ec2.enis[made.eni.id]
    assert there.groups == ("sg-node",)
    assert there.tags[INSTANCE] == "i-1"
    assert there.tags[CLUSTER] == "study"
    assert node.attach(AttachEni(2, 1, SIP)).eni.subnet_id == HOME


def test_an_eni_config_has_a_subnet_and_groups_of_its_own(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    offer = node.offer(FAR, ["sg-pods"])
    assert (offer.cidr, offer.groups) == (CIDRS[FAR], ("sg-pods",))
    made = node.attach(AttachEni(1, 1, SIP, subnet=FAR))
    assert ec2.enis[made.eni.id].groups == ("sg-pods",)
    with pytest.raises(Ec2Error, match="does not exist"):
        node.offer(SubnetId("subnet-nowhere"))


def test_giving_back_what_is_gone_already_is_done(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    blocks = node.assign(PRIMARY.id, 3, SIP)
    node.release(PRIMARY.id, blocks[:1])
    node.release(PRIMARY.id, blocks[:1])
    assert set(ec2.enis[PRIMARY.id].blocks) == set(blocks[1:])
    node.release(PRIMARY.id, blocks)  # one of them has gone, the others go
    assert ec2.enis[PRIMARY.id].blocks == ()
    node.release(EniId("eni-gone"), blocks)


def test_a_refusal_for_another_reason_is_one(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    blocks = node.assign(PRIMARY.id, 1, SIP)
    ec2.fail("UnassignPrivateIpAddresses", "InvalidParameterValue", "something else")
    with pytest.raises(Ec2Error, match="something else"):
        node.release(PRIMARY.id, blocks)


def test_the_nodes_enis_are_seen_with_subnets_that_metadata_does_not_know(ec2: FakeEc2) -> None:
    node = cloud(ec2)
    at = EniAttachment("eni-attach-9", "i-1", 1, 0, "attached")
    block = Block.of_address(IPv4Address("10.0.9.20"))
    ec2.add(
        DescribedEni(
            EniId("eni-9"), "02:00:00:00:00:09", "in-use", FAR, IPv4Address("10.0.9.9"), (block,), at
        )
    )
    seen = node.enis([])
    assert [(e.eni.id, e.eni.subnet_cidr, e.blocks) for e in seen.sighting.attached][1] == (
        "eni-9",
        CIDRS[FAR],
        (block,),
    )


def test_only_this_nodes_wanted_tags_are_named(ec2: FakeEc2) -> None:
    node = cloud(ec2, replace(Settings(cluster_name="study"), additional_eni_tags=(("team", "a"),)))
    assert node.wanted_tags == {
        INSTANCE: "i-1",
        CLUSTER: "study",
        "eks:eni:owner": "amazon-vpc-cni",
        "team": "a",
    }
