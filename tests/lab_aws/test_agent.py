"""The agent's own clients against the endpoint: what the lab will see all day."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.lab_aws.conftest import Cloud

from vpccni.aws.ec2 import Ec2, NewEni
from vpccni.aws.eni_lifecycle import attach_new_eni, remove_eni
from vpccni.aws.errors import Ec2Error
from vpccni.aws.imds import Imds, attached_enis, node_facts
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import IPV4_KINDS, BlockKind, EniId, SubnetId
from vpclab.aws import imds_app


@pytest.fixture
def ec2(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ec2]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    ec2 = Ec2("ap-northeast-2", endpoint_url=cloud.url)
    yield ec2
    ec2.close()


@pytest.fixture
def imds(cloud: Cloud) -> Iterator[Imds]:
    imds = Imds(cloud.loop.serve(imds_app(cloud.region, cloud.clock, lambda _: cloud.node)))
    yield imds
    imds.close()


def sleep_until_due(cloud: Cloud) -> None:
    def wait(_: float) -> None:
        cloud.clock.now = cloud.region.next_due() or cloud.clock.now

    cloud.loop.do(lambda: wait(0))


def new_eni(cloud: Cloud, kind: BlockKind, count: int) -> NewEni:
    subnet = SubnetId(cloud.study.public[0].id)
    return NewEni(subnet, (cloud.study.node_group,), "aws-K8S-node", (("owner", "us"),), count, kind)


@pytest.mark.parametrize("kind", IPV4_KINDS)
def test_an_eni_as_the_agent_attaches_grows_shrinks_and_removes_it(
    cloud: Cloud, ec2: Ec2, imds: Imds, kind: BlockKind
) -> None:
    facts = node_facts(imds)
    assert (facts.instance_id, facts.region, facts.security_groups) == (
        cloud.node,
        "ap-northeast-2",
        (cloud.study.node_group,),
    )
    attached = attach_new_eni(
        ec2,
        new_eni(cloud, kind, 3),
        instance=facts.instance_id,
        device_index=1,
        network_card=0,
        subnet_cidr=cloud.study.public[0].cidr,
    )
    assert len(attached.blocks) == 3
    assert [e.eni.id for e in attached_enis(imds)] == [cloud.region.primary_eni(cloud.node).id]
    sleep_until_due(cloud)
    assert attached_enis(imds)[1] == attached
    new = ec2.assign(attached.eni.id, 2, kind)
    assert attached_enis(imds)[1].blocks == attached.blocks + new
    ec2.unassign(attached.eni.id, attached.blocks)
    primary, second = ec2.describe_enis(instance=cloud.node)
    assert (primary.attachment and primary.attachment.device_index, second.blocks, second.tags) == (
        0,
        new,
        {"owner": "us"},
    )
    remove_eni(ec2, attached.eni.id, sleep=lambda _: sleep_until_due(cloud))
    assert list(attached_enis(imds)) == [attached_enis(imds)[0]]
    assert attached.eni.id not in cloud.region.enis


@pytest.mark.parametrize(
    ("count", "kind", "reason"),
    [(300, BlockKind.SECONDARY_IP, Reason.SUBNET_FULL), (15, BlockKind.PREFIX, Reason.NO_FREE_PREFIX)],
)
def test_a_full_subnet_is_told_as_such(
    cloud: Cloud, ec2: Ec2, count: int, kind: BlockKind, reason: Reason
) -> None:
    with pytest.raises(Ec2Error) as caught:
        ec2.create_eni(new_eni(cloud, kind, count))
    assert caught.value.refusal.reason is reason


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [("UnauthorizedOperation", 403, Reason.NOT_AUTHORISED), ("SomethingNew", 400, Reason.EC2_ERROR)],
)
def test_injected_faults_become_reasons(
    cloud: Cloud, ec2: Ec2, code: str, status: int, reason: Reason
) -> None:
    cloud.region.fault("AssignPrivateIpAddresses", code, status=status)
    with pytest.raises(Ec2Error) as caught:
        ec2.assign(EniId(cloud.region.primary_eni(cloud.node).id), 1, BlockKind.SECONDARY_IP)
    assert caught.value.refusal.reason is reason


def test_subnets_and_limits(cloud: Cloud, ec2: Ec2) -> None:
    subnets = ec2.describe_subnets(cloud.study.vpc.id, "ap-northeast-2a")
    assert [(str(s.cidr), s.free_addresses) for s in subnets] == [
        ("192.168.11.0/24", 251),
        ("192.168.1.0/24", 249),
    ]
    limits = ec2.instance_limits("m5.large")
    assert (limits.max_enis, limits.ipv4_per_eni, limits.supports_prefixes) == (3, 10, True)
