"""The endpoint itself: unknown operations, dry runs, throttling, faults, latency, the log, and raw HTTP."""

from __future__ import annotations

import logging
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from tests.lab_aws.conftest import Cloud, client_error, ec2_client

from vpclab.aws import model
from vpclab.aws.service import ALWAYS, Service
from vpclab.aws.services import SERVICES
from vpclab.region import Latency, Rate

SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260101/r/ec2/aws4_request, SignedHeaders=host, Signature=0"
}


def post(url: str, body: str, headers: dict[str, str] | None = None) -> tuple[int, str, str]:
    request = urllib.request.Request(url, body.encode(), SIGNED if headers is None else headers)  # noqa: S310 — http
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 — loopback
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_an_operation_that_the_lab_lacks_is_named_in_xml(cloud: Cloud) -> None:
    with client_error(
        "InvalidAction",
        "The action DescribeVolumes is not valid for this web service. The lab does not emulate it.",
    ):
        cloud.client.describe_volumes()
    with client_error(
        "UnsupportedOperation", "The lab does not emulate EnablePrimaryIpv6 of CreateNetworkInterface."
    ):
        cloud.client.create_network_interface(SubnetId=cloud.study.public[0].id, EnablePrimaryIpv6=True)


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.name)
def test_every_parameter_that_the_lab_honours_exists(service: Service) -> None:
    known = model.load(service.name, frozenset(service.operations))
    for name, operation in service.operations.items():
        shape = known.operation(name).input_shape
        assert shape is not None
        assert operation.parameters - ALWAYS <= shape.members.keys(), name
        assert set(shape.required_members) <= operation.parameters, name


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ("Action=Nonsense", 400, "InvalidAction", "Nonsense"),
        ("", 400, "InvalidAction", "The action "),
        ("Action=DescribeVpcs&VpcIds.1=vpc-x", 400, "UnknownParameter", "VpcIds.1"),
        ("Action=DescribeVpcs&Filter.1.Nam=x", 400, "UnknownParameter", "Filter.1.Nam"),
        ("Action=DescribeVpcs&MaxResults=many", 400, "InvalidParameterValue", "MaxResults"),
        ("Action=DescribeVpcs&MaxResults.1=5", 400, "UnknownParameter", "MaxResults.1"),
        ("Action=DescribeVpcs&DryRun=maybe", 400, "InvalidParameterValue", "DryRun"),
        ("Action=DescribeVpcs&VpcId=vpc-x", 400, "InvalidParameterValue", "VpcId"),
        ("Action=DescribeVpcs&VpcId.one=vpc-x", 400, "InvalidQueryParameter", "VpcId"),
        ("Action=DescribeVpcs&VpcId=1&VpcId.1=2", 400, "InvalidQueryParameter", "VpcId.1"),
        ("Action=DescribeVpcs&VpcId.1=2&VpcId=1", 400, "InvalidQueryParameter", "VpcId"),
        ("Action=DescribeVpcs&Filter.1.Value.1=x", 400, "MissingParameter", "Filter.Name"),
        ("Action=DeleteNetworkInterface", 400, "MissingParameter", "NetworkInterfaceId"),
        ("Action=DescribeVpcs&%%", 400, "MalformedQueryString", "syntax"),
        ("Action=DescribeVpcs&VpcId.1=<%26>", 400, "InvalidVpcID.NotFound", "'&lt;&amp;&gt;'"),
    ],
)
def test_malformed_requests_get_awss_errors(
    cloud: Cloud, body: str, status: int, code: str, words: str
) -> None:
    answered, kind, text = post(cloud.url, body)
    assert (answered, kind) == (status, "text/xml;charset=UTF-8")
    assert f"<Code>{code}</Code>" in text
    assert words in text


def test_a_request_without_a_key_is_refused_and_any_key_will_do(cloud: Cloud) -> None:
    asked = "Action=DescribeVpcs&Version=2016-11-15"
    status, _, text = post(cloud.url, asked, {})
    assert (status, "MissingAuthenticationToken" in text) == (403, True)
    assert post(cloud.url, f"{asked}&AWSAccessKeyId=AKIA&Signature=0", {})[0] == 200
    presigned = "X-Amz-Credential=AKIA/20260101/r/ec2/aws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
    assert post(f"{cloud.url}/?{asked}&{presigned}", "", {})[0] == 200
    status, _, text = post(f"{cloud.url}/?{asked}&X-Amz-Credential=AKIA/x", "", {})
    assert (status, "IncompleteSignature" in text) == (400, True)
    assert post(cloud.url, asked)[0] == 200


def test_a_query_in_the_url_works_too(cloud: Cloud) -> None:
    status, _, text = post(f"{cloud.url}/?Action=DescribeVpcs", "")
    assert (status, cloud.study.vpc.id in text) == (200, True)


def test_a_dry_run_changes_nothing(cloud: Cloud) -> None:
    free = cloud.region.free_addresses(cloud.study.public[0].id)
    with client_error("DryRunOperation", "Request would have succeeded", status=412):
        cloud.client.create_network_interface(SubnetId=cloud.study.public[0].id, DryRun=True)
    assert cloud.region.free_addresses(cloud.study.public[0].id) == free


def test_throttling(cloud: Cloud) -> None:
    cloud.region.gate.rates["CreateTags"] = Rate(2, 1)

    def tag() -> None:
        cloud.client.create_tags(Resources=[cloud.node], Tags=[{"Key": "a", "Value": "b"}])

    tag()
    tag()
    with client_error("RequestLimitExceeded", "ec2:CreateTags", status=503):
        tag()
    cloud.clock.now += 1
    tag()


def test_an_injected_fault(cloud: Cloud) -> None:
    cloud.region.fault(
        "DescribeSubnets",
        "UnauthorizedOperation",
        "You are not authorized to perform this operation.",
        status=403,
    )
    with client_error("UnauthorizedOperation", status=403):
        cloud.client.describe_subnets()
    cloud.client.describe_subnets()


def test_a_fault_of_the_lab_itself_is_xml_too(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    cloud.loop.do(lambda: setattr(cloud.region, "unassign_private_ip_addresses", broken))
    with caplog.at_level(logging.ERROR), client_error("InternalError", status=500):
        cloud.client.unassign_private_ip_addresses(
            NetworkInterfaceId="eni-x", PrivateIpAddresses=["10.0.0.1"]
        )
    assert "UnassignPrivateIpAddresses failed in the lab itself" in caplog.text


def test_the_same_token_is_the_same_request(cloud: Cloud) -> None:
    subnet = cloud.study.public[0].id
    one, two, other = (
        cloud.client.create_network_interface(SubnetId=subnet, ClientToken=token)["NetworkInterface"][
            "NetworkInterfaceId"
        ]
        for token in ("t", "t", "u")
    )
    assert one == two != other
    with client_error("IdempotentParameterMismatch", "t"):
        cloud.client.create_network_interface(SubnetId=cloud.study.public[1].id, ClientToken="t")


def test_calls_take_as_long_as_they_are_told(cloud: Cloud) -> None:
    cloud.client.describe_vpcs()  # the service model is loaded
    cloud.region.gate.latency = Latency(by_action={"DescribeSubnets": (0.3, 0.3)})
    began = time.monotonic()
    cloud.client.describe_vpcs()
    quick = time.monotonic()
    cloud.client.describe_subnets()
    assert time.monotonic() - quick >= 0.3
    assert quick - began < 0.3


def test_a_client_that_gives_up_waiting_has_still_changed_something(cloud: Cloud) -> None:
    cloud.client.describe_vpcs()
    cloud.region.gate.latency = Latency(by_action={"CreateNetworkInterface": (1, 1)})
    impatient = ec2_client(cloud.url, patience=0.7)
    before = len(cloud.region.enis)
    with pytest.raises(ReadTimeoutError):
        impatient.create_network_interface(SubnetId=cloud.study.public[0].id)
    impatient.close()
    assert len(cloud.region.enis) == before + 1


def test_the_log_knows_who_called_what(cloud: Cloud) -> None:
    cloud.client.describe_vpcs()
    with client_error("InvalidNetworkInterfaceID.NotFound"):
        cloud.client.delete_network_interface(NetworkInterfaceId="eni-x")
    calls = cloud.log.calls()
    assert [(c.source, c.instance_id, c.action, c.code) for c in calls] == [
        ("127.0.0.1", cloud.node, "DescribeVpcs", ""),
        ("127.0.0.1", cloud.node, "DeleteNetworkInterface", "InvalidNetworkInterfaceID.NotFound"),
    ]
    assert cloud.log.calls("DescribeVpcs") == calls[:1]
    assert cloud.log.calls(instance_id="i-other") == ()
    assert cloud.log.counts["DeleteNetworkInterface", "InvalidNetworkInterfaceID.NotFound"] == 1


def test_followers_hear_of_changes_only(cloud: Cloud) -> None:
    cloud.client.describe_vpcs()  # what the launches left
    cloud.changed.clear()
    cloud.client.describe_vpcs()
    assert cloud.changed == []
    cloud.client.create_network_interface(SubnetId=cloud.study.public[0].id)
    assert cloud.changed == [1]


def test_two_hundred_filter_values_are_the_most(cloud: Cloud) -> None:
    ids = [f"eni-{n}" for n in range(201)]
    named = [{"Name": "network-interface-id", "Values": ids[:200]}]
    assert cloud.client.describe_network_interfaces(Filters=named)["NetworkInterfaces"] == []
    with client_error("FilterLimitExceeded", "200"):
        cloud.client.describe_network_interfaces(Filters=[{"Name": "network-interface-id", "Values": ids}])
