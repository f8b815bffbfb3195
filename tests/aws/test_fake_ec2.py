"""The fake is a product: whoever tests with it must be able to believe it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.aws.errors import Ec2Error
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.aws.port import Ec2Port
from vpccni.aws.values import NewEni
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import IPV4_KINDS, Block, BlockKind, EniId, SubnetId

SUBNET, TINY = SubnetId("subnet-1"), SubnetId("subnet-2")
SUBNETS = {SUBNET: IPv4Network("10.0.1.0/24"), TINY: IPv4Network("10.0.2.0/28")}
SECONDARY, PREFIX = BlockKind.SECONDARY_IP, BlockKind.PREFIX


def new(count: int = 0, kind: BlockKind = SECONDARY, subnet: SubnetId = SUBNET) -> NewEni:
    return NewEni(subnet, ("sg-1",), "aws-K8S-i-1", (), count, kind)


def reason(call: object) -> Reason:
    assert callable(call)
    with pytest.raises(Ec2Error) as caught:
        call()
    return caught.value.refusal.reason


def test_it_is_the_port() -> None:
    port: Ec2Port = FakeEc2(SUBNETS)
    assert port.instance_limits("m5.large").max_enis == 3
    with pytest.raises(Ec2Error, match="InvalidInstanceType"):
        port.instance_limits("no.such")


def test_limits_are_the_types() -> None:
    ec2 = FakeEc2(SUBNETS)
    ids = [ec2.create_eni(new(5)).id for _ in range(4)]
    for index, eni in enumerate(ids[:3]):
        ec2.attach(eni, "i-1", index, 0)
    assert reason(lambda: ec2.attach(ids[3], "i-1", 3, 0)) is Reason.ENI_LIMIT
    assert reason(lambda: ec2.attach(ids[3], "i-1", 1, 0)) is Reason.EC2_ERROR
    assert reason(lambda: ec2.assign(ids[0], 1, SECONDARY)) is Reason.IP_LIMIT
    assert reason(lambda: ec2.attach(ids[0], "i-2", 1, 0)) is Reason.EC2_ERROR


def test_a_full_subnet_and_one_without_a_whole_prefix() -> None:
    ec2 = FakeEc2(SUBNETS)
    assert reason(lambda: ec2.create_eni(new(1, PREFIX, TINY))) is Reason.NO_FREE_PREFIX
    assert ec2.enis == {}
    ec2.create_eni(new(5, subnet=TINY))
    ec2.create_eni(new(4, subnet=TINY))
    assert reason(lambda: ec2.create_eni(new(subnet=TINY))) is Reason.SUBNET_FULL
    free = {subnet.id: subnet.free_addresses for subnet in ec2.describe_subnets("vpc-1", "ap-northeast-2a")}
    assert free == {SUBNET: 251, TINY: 0}
    assert ec2.describe_subnets("vpc-1", "ap-northeast-2b") == ()


def test_a_call_that_was_carried_out_and_whose_answer_was_lost() -> None:
    ec2 = FakeEc2(SUBNETS)
    eni = ec2.create_eni(new()).id
    ec2.fail("AssignPrivateIpAddresses", "Unreachable", done=True)
    with pytest.raises(Ec2Error) as caught:
        ec2.assign(eni, 2, SECONDARY)
    assert caught.value.unsure
    assert len(ec2.enis[eni].blocks) == 2


def test_what_is_not_there() -> None:
    ec2 = FakeEc2(SUBNETS)
    nobody = EniId("eni-nobody")
    assert reason(lambda: ec2.assign(nobody, 1, SECONDARY)) is Reason.EC2_ERROR
    assert reason(lambda: ec2.detach("eni-attach-nobody")) is Reason.EC2_ERROR
    assert reason(lambda: ec2.create_eni(new(subnet=SubnetId("subnet-9")))) is Reason.EC2_ERROR
    ec2.delete_eni(nobody)
    assert ec2.describe_enis([nobody]) == ()
    eni = ec2.create_eni(new(1)).id
    stranger = (Block(IPv4Network("10.0.1.200/32")),)
    assert reason(lambda: ec2.unassign(eni, stranger)) is Reason.EC2_ERROR


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(IPV4_KINDS), st.booleans()), max_size=25))
def test_no_address_is_held_twice_or_kept_by_aws(story: list[tuple[int, BlockKind, bool]]) -> None:
    ec2 = FakeEc2({SUBNET: IPv4Network("10.0.1.0/25")}, instance_type="m5.24xlarge")
    enis = [ec2.create_eni(new()).id, ec2.create_eni(new()).id]
    for step, (count, kind, give_back) in enumerate(story):
        eni = enis[step % 2]
        try:
            if give_back:
                ec2.unassign(eni, ec2.enis[eni].blocks[:count])
            else:
                assert len(ec2.assign(eni, count, kind)) == count
        except Ec2Error as error:
            assert error.refusal.reason in {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX}  # noqa: PT017
        held = [a for e in ec2.enis.values() for block in e.blocks for a in block.network]
        held += [e.primary_address for e in ec2.enis.values() if e.primary_address]
        assert len(set(held)) == len(held)
        kept_by_aws = {IPv4Address(f"10.0.1.{last}") for last in (0, 1, 2, 3, 127)}
        assert kept_by_aws.isdisjoint(held)
        [subnet] = ec2.describe_subnets("vpc-1", "ap-northeast-2a")
        assert subnet.free_addresses == 123 - len(held)
