from __future__ import annotations

import logging
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpccni.aws.eni_lifecycle import attach_new_eni, pauses, remove_eni
from vpccni.aws.errors import Ec2Error
from vpccni.aws.fake_ec2 import FakeEc2
from vpccni.aws.port import Ec2Port
from vpccni.aws.values import NewEni
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import AttachedEni, BlockKind, EniId, SubnetId

SUBNET = SubnetId("subnet-1")
CIDR = IPv4Network("10.0.1.0/24")
CREATE, ATTACH, TIE = "CreateNetworkInterface", "AttachNetworkInterface", "ModifyNetworkInterfaceAttribute"
LOOK, DETACH, DELETE = "DescribeNetworkInterfaces", "DetachNetworkInterface", "DeleteNetworkInterface"


@pytest.fixture
def ec2() -> FakeEc2:
    return FakeEc2({SUBNET: CIDR}, looks_until_free=2)


@pytest.fixture
def slept() -> list[float]:
    return []


def attach(
    ec2: Ec2Port, slept: list[float], count: int = 5, kind: BlockKind = BlockKind.SECONDARY_IP
) -> AttachedEni:
    new = NewEni(SUBNET, ("sg-1",), "aws-K8S-i-1", (("k", "v"),), count, kind)
    return attach_new_eni(
        ec2, new, instance="i-1", device_index=1, network_card=0, subnet_cidr=CIDR, sleep=slept.append
    )


def test_attached_with_its_addresses_in_three_calls(ec2: FakeEc2, slept: list[float]) -> None:
    attached = attach(ec2, slept)
    assert ec2.actions == [CREATE, ATTACH, TIE]
    [held] = ec2.enis.values()
    assert (attached.eni.id, attached.eni.mac, attached.blocks) == (held.id, held.mac, held.blocks)
    assert (attached.eni.primary_address, len(attached.blocks)) == (IPv4Address("10.0.1.4"), 5)
    assert (attached.eni.subnet_cidr, attached.eni.device_index, attached.eni.is_primary) == (CIDR, 1, False)
    assert held.attachment is not None
    assert ec2.tied == {held.attachment.id}
    assert slept == []


def test_what_cannot_be_created_leaves_nothing(slept: list[float]) -> None:
    ec2 = FakeEc2({SUBNET: IPv4Network("10.0.1.0/28")})
    with pytest.raises(Ec2Error) as caught:
        attach(ec2, slept, count=1, kind=BlockKind.PREFIX)
    assert (caught.value.refusal.reason, caught.value.subnet) == (Reason.NO_FREE_PREFIX, SUBNET)
    assert ec2.actions == [CREATE]


@pytest.mark.parametrize(
    "code", ["AttachmentLimitExceeded", "UnauthorizedOperation", "InvalidParameterValue"]
)
def test_what_cannot_be_attached_is_deleted_at_once(
    ec2: FakeEc2, slept: list[float], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    ec2.fail(ATTACH, code)
    with caplog.at_level(logging.WARNING), pytest.raises(Ec2Error, match=code):
        attach(ec2, slept)
    assert ec2.enis == {}
    assert ec2.actions == [CREATE, ATTACH, LOOK, DELETE]
    assert "eni-00000001 was created and could not be attached; it was deleted again" in caplog.text
    assert slept == []


@pytest.mark.parametrize(
    "code", ["RequestLimitExceeded", "Unreachable", "InvalidNetworkInterfaceID.NotFound"]
)
def test_what_passes_is_waited_for_and_not_begun_anew(ec2: FakeEc2, slept: list[float], code: str) -> None:
    ec2.fail(ATTACH, code, times=3)
    attach(ec2, slept)
    assert ec2.actions == [CREATE, *[ATTACH] * 4, TIE]
    assert len(slept) == 3


def test_an_attachment_whose_answer_was_lost_is_found(ec2: FakeEc2, slept: list[float]) -> None:
    ec2.fail(ATTACH, "Unreachable", done=True)
    attached = attach(ec2, slept)
    assert ec2.actions == [CREATE, ATTACH, LOOK, TIE]
    assert ec2.enis[attached.eni.id].status == "in-use"
    assert len(ec2.tied) == 1


def test_what_cannot_be_tied_to_the_instance_is_taken_away(ec2: FakeEc2, slept: list[float]) -> None:
    ec2.fail(TIE, "UnauthorizedOperation")
    with pytest.raises(Ec2Error, match="Unauthorized"):
        attach(ec2, slept)
    assert ec2.enis == {}
    assert ec2.actions[:5] == [CREATE, ATTACH, TIE, LOOK, DETACH]


def test_what_cannot_be_deleted_either_is_told(
    ec2: FakeEc2, slept: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    ec2.fail(ATTACH, "AttachmentLimitExceeded")
    ec2.fail(DELETE, "UnauthorizedOperation")
    with pytest.raises(Ec2Error, match="AttachmentLimitExceeded"):
        attach(ec2, slept)
    assert "eni-00000001 was created and could not be attached, and could not be deleted" in caplog.text


def test_removal_waits_for_ec2_and_no_longer(ec2: FakeEc2, slept: list[float]) -> None:
    eni = attach(ec2, slept).eni.id
    ec2.actions.clear()
    remove_eni(ec2, eni, sleep=slept.append)
    assert ec2.enis == {}
    assert ec2.actions == [LOOK, DETACH, LOOK, LOOK, LOOK, DELETE]
    assert len(slept) == 1 + 2, "at first the time that it takes in practice"
    assert sum(slept) < 4


def test_removing_what_is_gone_or_free_is_fine(ec2: FakeEc2, slept: list[float]) -> None:
    remove_eni(ec2, EniId("eni-gone"), sleep=slept.append)
    free = ec2.create_eni(NewEni(SUBNET, (), "", (), 0, BlockKind.SECONDARY_IP))
    remove_eni(ec2, free.id, sleep=slept.append)
    assert ec2.enis == {}
    assert DETACH not in ec2.actions
    assert slept == []


def test_an_eni_that_another_run_began_to_detach_is_only_waited_for(ec2: FakeEc2, slept: list[float]) -> None:
    eni = attach(ec2, slept).eni.id
    [attachment] = ec2.tied
    ec2.detach(attachment)
    ec2.actions.clear()
    remove_eni(ec2, eni, sleep=slept.append)
    assert DETACH not in ec2.actions
    assert ec2.enis == {}


@pytest.mark.parametrize("code", ["InvalidAttachmentID.NotFound", "IncorrectState"])
def test_a_detachment_that_somebody_else_did_first_is_fine(
    ec2: FakeEc2, slept: list[float], code: str
) -> None:
    eni = attach(ec2, slept).eni.id
    ec2.fail(DETACH, code, done=True)
    remove_eni(ec2, eni, sleep=slept.append)
    assert ec2.enis == {}


def test_a_primary_eni_is_not_fought_over(ec2: FakeEc2, slept: list[float]) -> None:
    eni = attach(ec2, slept).eni.id
    ec2.fail(DETACH, "OperationNotPermitted", "The network interface at device index 0 cannot be detached.")
    with pytest.raises(Ec2Error, match="cannot be detached"):
        remove_eni(ec2, eni, sleep=slept.append)
    assert eni in ec2.enis


def test_an_eni_that_is_in_use_a_moment_longer_than_ec2_says(ec2: FakeEc2, slept: list[float]) -> None:
    eni = attach(ec2, slept).eni.id
    ec2.fail(DELETE, "InvalidParameterValue", "Network interface is currently in use", times=4)
    remove_eni(ec2, eni, sleep=slept.append)
    assert ec2.enis == {}
    assert len(slept) == 1 + 2 + 4


def test_an_eni_that_never_lets_go_ends_in_an_error_after_minutes_not_for_ever(slept: list[float]) -> None:
    ec2 = FakeEc2({SUBNET: CIDR}, looks_until_free=10_000)
    eni = attach(ec2, slept).eni.id
    with pytest.raises(Ec2Error, match="in use"):
        remove_eni(ec2, eni, sleep=slept.append)
    assert 60 < sum(slept) < 240


TROUBLES = st.tuples(
    st.sampled_from([CREATE, ATTACH, TIE, LOOK, DETACH, DELETE]),
    st.sampled_from(["RequestLimitExceeded", "Unreachable", "InternalError", "AttachmentLimitExceeded"]),
    st.integers(1, 3),
    st.booleans(),
)


@given(st.lists(TROUBLES, max_size=5))
def test_whatever_fails_an_eni_is_attached_and_tied_or_gone_or_was_told(
    troubles: list[tuple[str, str, int, bool]],
) -> None:
    ec2, told = FakeEc2({SUBNET: CIDR}, looks_until_free=1), []
    logger = logging.getLogger("vpccni.aws.eni_lifecycle")
    handler = type("Keeps", (logging.Handler,), {"emit": lambda _, record: told.append(record.levelname)})()
    for action, code, times, done in troubles:
        ec2.fail(action, code, times=times, done=done)
    logger.addHandler(handler)
    try:
        attached = attach(ec2, [])
    except Ec2Error:
        created = ec2.actions[0] == CREATE and len(ec2.actions) > 1
        if created and "ERROR" not in told:
            assert ec2.enis == {}
    else:
        assert [eni.attachment.id for eni in ec2.enis.values() if eni.attachment] == list(ec2.tied)
        assert set(ec2.enis) == {attached.eni.id}
    finally:
        logger.removeHandler(handler)


def test_pauses_double_up_to_a_most_and_jitter_only_lengthens() -> None:
    plain = [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    for pause, least in zip(pauses(8), plain, strict=True):
        assert least <= pause <= least * 1.15
