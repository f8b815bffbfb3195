"""Failures on the way to EC2: what they mean, what is repeated, what is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import IPv4Network

import pytest
from tests.aws.conftest import DROPPED, NEVER, Answer, Ec2Script, error, ok
from tests.aws.test_ec2 import CREATED, ENI, NEW

from vpccni.aws.ec2 import Ec2
from vpccni.aws.errors import Ec2Error
from vpccni.ipam.reasons import Reason
from vpccni.ipam.values import Block, BlockKind

ASSIGNED = ok(
    "AssignPrivateIpAddresses",
    "<assignedPrivateIpAddressesSet><item><privateIpAddress>10.0.1.5</privateIpAddress></item>"
    "</assignedPrivateIpAddressesSet>",
)
GIVEN = (Block(IPv4Network("10.0.1.5/32")),)
NOBODY = ok("DescribeNetworkInterfaces", "<networkInterfaceSet/>")
UNAVAILABLE = error("Unavailable", "The server is overloaded", 503)


def refused(ec2: Ec2, kind: BlockKind = BlockKind.SECONDARY_IP) -> Ec2Error:
    with pytest.raises(Ec2Error) as caught:
        ec2.assign(ENI, 1, kind)
    return caught.value


def test_a_refusal_names_the_eni_the_action_and_what_ec2_said(ec2: Ec2, script: Ec2Script) -> None:
    said = "Number of private addresses will exceed limit."
    script.say("AssignPrivateIpAddresses", error("PrivateIpAddressLimitExceeded", said))
    failed = refused(ec2)
    assert failed.refusal.reason is Reason.IP_LIMIT
    assert failed.refusal.detail == (
        "eni-00000001: ec2:AssignPrivateIpAddresses answered PrivateIpAddressLimitExceeded: "
        "Number of private addresses will exceed limit"
    )
    assert (failed.action, failed.code, failed.unsure) == (
        "AssignPrivateIpAddresses",
        "PrivateIpAddressLimitExceeded",
        False,
    )
    assert len(script.asked) == 1


def test_a_creation_that_fails_names_its_subnet(ec2: Ec2, script: Ec2Script) -> None:
    script.say("CreateNetworkInterface", error("InsufficientFreeAddressesInSubnet"))
    with pytest.raises(Ec2Error) as caught:
        ec2.create_eni(NEW)
    assert (caught.value.subnet, caught.value.refusal.reason) == ("subnet-1", Reason.SUBNET_FULL)


def test_a_full_subnet_means_another_thing_for_prefixes(ec2: Ec2, script: Ec2Script) -> None:
    said = "There aren't sufficient free Ipv4 addresses or prefixes"
    script.say("AssignPrivateIpAddresses", error("InvalidParameterValue", said))
    assert refused(ec2).refusal.reason is Reason.SUBNET_FULL
    assert refused(ec2, BlockKind.PREFIX).refusal.reason is Reason.NO_FREE_PREFIX


# --- what is repeated -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [DROPPED, UNAVAILABLE, Answer("<html>proxy error</html>", 502)])
def test_an_assignment_whose_fate_is_unknown_is_not_repeated(
    ec2: Ec2, script: Ec2Script, lost: Answer
) -> None:
    script.say("AssignPrivateIpAddresses", lost, ASSIGNED)
    failed = refused(ec2)
    assert failed.unsure
    assert len(script.asked) == 1


@pytest.mark.parametrize("lost", [DROPPED, UNAVAILABLE, Answer("<html>proxy error</html>", 502)])
def test_describing_is_repeated(ec2: Ec2, script: Ec2Script, lost: Answer) -> None:
    script.say("DescribeNetworkInterfaces", lost, NOBODY)
    assert ec2.describe_enis([ENI]) == ()
    assert len(script.asked) == 2


def test_a_creation_is_repeated_under_the_same_token(ec2: Ec2, script: Ec2Script) -> None:
    script.say("CreateNetworkInterface", DROPPED, ok("CreateNetworkInterface", CREATED))
    assert ec2.create_eni(NEW).id == ENI
    first, second = script.sayings("CreateNetworkInterface")
    assert first["ClientToken"] == second["ClientToken"]
    ec2.create_eni(NEW)
    assert script.sayings("CreateNetworkInterface")[2]["ClientToken"] != first["ClientToken"]


def test_two_failures_are_enough(ec2: Ec2, script: Ec2Script) -> None:
    script.say("DescribeNetworkInterfaces", UNAVAILABLE)
    with pytest.raises(Ec2Error) as caught:
        ec2.describe_enis([ENI])
    assert caught.value.refusal.reason is Reason.EC2_UNREACHABLE
    assert len(script.asked) == 2


def test_an_endpoint_that_nobody_serves(script: Ec2Script, credentials: None) -> None:
    nowhere = Ec2("ap-northeast-2", endpoint_url="http://127.0.0.1:1", sleep=lambda _: None)
    failed = refused(nowhere)
    assert (failed.refusal.reason, failed.code, failed.unsure) == (
        Reason.EC2_UNREACHABLE,
        "Unreachable",
        False,
    )
    assert "127.0.0.1:1" in failed.refusal.detail
    # nothing was sent, so even an assignment may be tried again
    assert nowhere.calls.count("AssignPrivateIpAddresses") == 2
    nowhere.close()


def test_an_answer_that_never_comes(script: Ec2Script, credentials: None) -> None:
    script.say("AssignPrivateIpAddresses", NEVER)
    ec2 = Ec2("ap-northeast-2", endpoint_url=script.url, timeout=0.2, sleep=lambda _: None)
    failed = refused(ec2)
    assert (failed.refusal.reason, failed.unsure) == (Reason.EC2_UNREACHABLE, True)
    script.over.set()
    ec2.close()


def test_an_answer_that_is_none_of_ec2s(ec2: Ec2, script: Ec2Script) -> None:
    script.say("DescribeNetworkInterfaces", Answer("<html>Log in to the hotel's network"))
    with pytest.raises(Ec2Error) as caught:
        ec2.describe_enis([ENI])
    assert (caught.value.code, caught.value.refusal.reason) == ("Unreadable", Reason.EC2_ERROR)


# --- credentials ----------------------------------------------------------------------------------------------


def test_without_credentials_the_action_is_named_and_later_credentials_are_found(
    script: Ec2Script, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.say("AssignPrivateIpAddresses", ASSIGNED)
    ec2 = Ec2("ap-northeast-2", endpoint_url=script.url)
    failed = refused(ec2)
    assert (failed.refusal.reason, failed.code) == (Reason.NOT_AUTHORISED, "NoCredentials")
    assert "ec2:AssignPrivateIpAddresses" in failed.refusal.detail
    assert script.asked == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert ec2.assign(ENI, 1, BlockKind.SECONDARY_IP) == GIVEN
    ec2.close()


def test_a_role_that_may_not_is_told_without_the_encoded_kilobyte(ec2: Ec2, script: Ec2Script) -> None:
    said = (
        "You are not authorized to perform this operation. User: arn:aws:sts::1:assumed-role/node/i-1 is not authorized "
        "to perform: ec2:AssignPrivateIpAddresses. Encoded authorization failure message: " + "x" * 1000
    )
    script.say("AssignPrivateIpAddresses", error("UnauthorizedOperation", said, 403))
    failed = refused(ec2)
    assert failed.refusal.reason is Reason.NOT_AUTHORISED
    assert failed.refusal.detail.endswith("is not authorized to perform: ec2:AssignPrivateIpAddresses")


def test_a_service_account_that_sts_refuses_names_sts(
    script: Ec2Script, alone: None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    token = tmp_path_factory.mktemp("irsa") / "token"
    token.write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/aws-node")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", script.url)
    script.say("AssumeRoleWithWebIdentity", Answer(
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform "
        "sts:AssumeRoleWithWebIdentity</Message></Error><RequestId>r</RequestId></ErrorResponse>", 403))  # fmt: skip
    ec2 = Ec2("ap-northeast-2", endpoint_url=script.url)
    failed = refused(ec2)
    assert failed.refusal.reason is Reason.NOT_AUTHORISED
    assert "sts:AssumeRoleWithWebIdentity answered AccessDenied" in failed.refusal.detail
    ec2.close()


# --- counting and pace ----------------------------------------------------------------------------------------


def test_every_attempt_is_counted_by_action_and_code(ec2: Ec2, script: Ec2Script) -> None:
    script.say("DescribeNetworkInterfaces", UNAVAILABLE, NOBODY)
    script.say("AssignPrivateIpAddresses", error("RequestLimitExceeded", status=503))
    ec2.describe_enis([ENI])
    refused(ec2)
    counts = {key: tally.calls for key, tally in ec2.calls.tallies().items()}
    assert counts == {
        ("DescribeNetworkInterfaces", "Unavailable"): 1,
        ("DescribeNetworkInterfaces", "ok"): 1,
        ("AssignPrivateIpAddresses", "RequestLimitExceeded"): 1,
    }
    assert all(tally.seconds >= tally.slowest > 0 for tally in ec2.calls.tallies().values())
    assert {(kind.code, kind.status) for kind in ec2.calls.latencies()} >= {
        ("ok", 200),
        ("RequestLimitExceeded", 503),
    }


def test_a_throttled_action_waits_before_it_is_called_again_and_others_do_not(
    ec2: Ec2, script: Ec2Script, slept: list[float]
) -> None:
    script.say(
        "AssignPrivateIpAddresses", error("RequestLimitExceeded", "Request limit exceeded.", 503), ASSIGNED
    )
    script.say("DescribeNetworkInterfaces", NOBODY)
    failed = refused(ec2)
    assert (failed.refusal.reason, failed.unsure) == (Reason.THROTTLED, False)
    assert len(script.asked) == 1
    ec2.describe_enis([ENI])
    assert slept == []
    assert ec2.assign(ENI, 1, BlockKind.SECONDARY_IP) == GIVEN
    [wait] = slept
    assert 1.9 < wait <= 2 * 1.25


# --- weight ---------------------------------------------------------------------------------------------------

WEIGH = """
import json, sys
from vpccni.aws.ec2 import Ec2
from vpccni.aws.errors import Ec2Error
from vpccni.aws.imds import Imds
ec2 = Ec2("ap-northeast-2", endpoint_url="http://127.0.0.1:1", sleep=lambda _: None)
early = "botocore" in sys.modules
resident = lambda: int(open("/proc/self/statm").read().split()[1]) / 256
before = resident()
try:
    ec2.describe_enis(["eni-1"])
except Ec2Error:
    print(json.dumps({"early": early, "mib": resident() - before, "boto3": "boto3" in sys.modules}))
"""


def test_botocore_is_loaded_by_the_first_call_and_stays_small(credentials: None) -> None:
    done = subprocess.run([sys.executable, "-c", WEIGH], capture_output=True, text=True, check=True)
    weight = json.loads(done.stdout)
    assert (weight["early"], weight["boto3"]) == (False, False)
    # 12 as measured, 36 with botocore's own data; the agent as a whole has 64
    assert weight["mib"] < 18
