from __future__ import annotations

import pytest

from vpccni.aws.errors import failure, no_credentials, unreachable
from vpccni.ipam.reasons import Reason

FULL = "There aren't sufficient free Ipv4 addresses or prefixes"


@pytest.mark.parametrize(
    ("code", "message", "prefixes", "reason"),
    [
        ("InsufficientCidrBlocks", "", True, Reason.NO_FREE_PREFIX),
        ("InsufficientFreeAddressesInSubnet", "", False, Reason.SUBNET_FULL),
        ("InsufficientFreeAddressesInSubnet", "", True, Reason.NO_FREE_PREFIX),
        ("InvalidParameterValue", FULL, False, Reason.SUBNET_FULL),
        ("InvalidParameterValue", FULL + ".", True, Reason.NO_FREE_PREFIX),
        ("InvalidParameterValue", "There aren't sufficient free IPv4 addresses or prefixes", False, Reason.SUBNET_FULL),
        ("InvalidParameterValue", "something else", False, Reason.EC2_ERROR),
        ("PrivateIpAddressLimitExceeded", "", False, Reason.IP_LIMIT),
        ("AttachmentLimitExceeded", "", False, Reason.ENI_LIMIT),
        ("RequestLimitExceeded", "", False, Reason.THROTTLED),
        ("Throttling", "", False, Reason.THROTTLED),
        ("ThrottlingException", "", False, Reason.THROTTLED),
        ("ThrottlingOfSomeNewKind", "", False, Reason.THROTTLED),
        ("UnauthorizedOperation", "", False, Reason.NOT_AUTHORISED),
        ("AccessDenied", "", False, Reason.NOT_AUTHORISED),
        ("AuthFailure", "", False, Reason.NOT_AUTHORISED),
        ("ExpiredToken", "", False, Reason.NOT_AUTHORISED),
        ("Unavailable", "", False, Reason.EC2_UNREACHABLE),
        ("InternalError", "", False, Reason.EC2_ERROR),
        ("ACodeOfTomorrow", "", False, Reason.EC2_ERROR),
        ("", "", False, Reason.EC2_ERROR),
    ],
)  # fmt: skip
def test_codes(code: str, message: str, prefixes: bool, reason: Reason) -> None:
    assert failure("CreateNetworkInterface", code, message, prefixes=prefixes).refusal.reason is reason


@pytest.mark.parametrize(
    ("code", "status", "unsure"),
    [
        ("InternalError", 500, True),
        ("Unavailable", 503, True),
        # 503 too, but EC2 says that it did not even look
        ("RequestLimitExceeded", 503, False),
        ("InvalidParameterValue", 400, False),
    ],
)
def test_what_ec2_may_have_done_all_the_same(code: str, status: int, unsure: bool) -> None:
    assert failure("AttachNetworkInterface", code, "", status=status).unsure is unsure


def test_an_encoded_message_alone_is_kept_for_want_of_anything_else() -> None:
    said = "Encoded authorization failure message: abc"
    assert failure("CreateTags", "UnauthorizedOperation", said).message == said


def test_every_failure_names_its_action() -> None:
    for failed in (
        failure("CreateTags", "AccessDenied", "no"),
        unreachable("CreateTags", "timed out", unsure=True),
        no_credentials("CreateTags", "none found"),
    ):
        assert "ec2:CreateTags" in failed.refusal.detail
        assert "ec2:CreateTags" in str(failed)
