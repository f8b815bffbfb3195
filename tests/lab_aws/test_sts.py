"""STS, and who may call at all."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

import botocore.session
import pytest
from botocore import UNSIGNED
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from tests.lab_aws.conftest import Clock, Loop, aws_client, client_error

from vpclab.aws import Endpoint, cloud_of
from vpclab.region import Region, imds_document, launch_node, study_region
from vpclab.region.study import NODE_ROLE

ROLE = "arn:aws:iam::111122223333:role/path/eks-admin"


class Guarded:
    """The study's region behind an endpoint that verifies signatures."""

    def __init__(self, loop: Loop) -> None:
        self.clock = Clock(time.time())  # clients sign with their own clock
        self.region, study = study_region(Region(now=self.clock.now))
        self.node = launch_node(self.region, study, 0).id
        self.cloud = cloud_of(self.region)
        self.endpoint = Endpoint(self.cloud, self.clock, strict_auth=True)
        self.url = loop.serve(self.endpoint)
        self.admin = keys(self.cloud.keys.admin.id, self.cloud.keys.admin.secret)

    def client(self, service: str, given: dict[str, str]) -> Any:
        return aws_client(service, self.url, keys=given)


def keys(key_id: str, secret: str, token: str | None = None) -> dict[str, str]:
    given = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
    return given if token is None else given | {"aws_session_token": token}


def issued(credentials: dict[str, Any]) -> dict[str, str]:
    return keys(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])


@pytest.fixture
def guarded(loop: Loop) -> Guarded:
    return Guarded(loop)


def test_any_key_will_do_unless_it_is_asked_for(loop: Loop) -> None:
    region, _ = study_region(Region(now=1.0))
    url = loop.serve(Endpoint(cloud_of(region), lambda: 1.0))
    got = aws_client("sts", url).get_caller_identity()
    assert (got["Account"], got["Arn"]) == ("111122223333", "arn:aws:iam::111122223333:user/admin")


def test_good_signatures_of_known_keys_pass(guarded: Guarded) -> None:
    sts = guarded.client("sts", guarded.admin)
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:user/admin"
    ec2 = guarded.client("ec2", guarded.admin)
    named = [{"Name": "tag:Name", "Values": ["a b+c/d*~", "é&="]}]
    assert ec2.describe_vpcs(Filters=named)["Vpcs"] == []


def test_a_role_on_an_instance_is_known(guarded: Guarded) -> None:
    path = f"meta-data/iam/security-credentials/{NODE_ROLE}"
    text = imds_document(guarded.region, guarded.node, path, guarded.clock.now, role=NODE_ROLE)
    assert text is not None
    given = json.loads(text)
    sts = guarded.client("sts", keys(given["AccessKeyId"], given["SecretAccessKey"], given["Token"]))
    assert sts.get_caller_identity()["Arn"] == (
        f"arn:aws:sts::111122223333:assumed-role/{NODE_ROLE}/{guarded.node}"
    )
    with client_error("InvalidClientTokenId", status=403):
        guarded.client(
            "sts", keys(given["AccessKeyId"], given["SecretAccessKey"], "other")
        ).get_caller_identity()


@pytest.mark.parametrize(
    ("service", "call", "unknown", "wrong"),
    [
        ("ec2", "describe_vpcs", ("AuthFailure", 401), ("SignatureDoesNotMatch", 403)),
        ("sts", "get_caller_identity", ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403)),
    ],
)
def test_bad_ones_do_not(
    guarded: Guarded, service: str, call: str, unknown: tuple[str, int], wrong: tuple[str, int]
) -> None:
    with client_error(unknown[0], status=unknown[1]):
        getattr(guarded.client(service, keys("AKIANOBODY", "x")), call)()
    with client_error(wrong[0], status=wrong[1]):
        getattr(guarded.client(service, guarded.admin | {"aws_secret_access_key": "x"}), call)()
    assert guarded.endpoint.log.calls()[-1].code == wrong[0]
    guarded.clock.now += 600
    with client_error("RequestExpired", "Request has expired"):
        getattr(guarded.client(service, guarded.admin), call)()
    with client_error("MissingAuthenticationToken", status=403):
        session = botocore.session.get_session()
        config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
        client = session.create_client(
            service, region_name="ap-northeast-2", endpoint_url=guarded.url, config=config
        )
        getattr(client, call)()


def token_url(
    guarded: Guarded, secret: str | None = None, *, expires: int = 60
) -> tuple[str, dict[str, str]]:
    """What `aws eks get-token` signs."""
    admin = guarded.cloud.keys.admin
    request = AWSRequest(
        "GET",
        f"{guarded.url}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": "myeks"},
    )
    credentials = Credentials(admin.id, secret or admin.secret)
    SigV4QueryAuth(credentials, "sts", "ap-northeast-2", expires=expires).add_auth(request)
    return request.url, {"x-k8s-aws-id": "myeks"}


def fetched(url: str, headers: dict[str, str]) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_presigned_url_is_verified_with_its_headers(guarded: Guarded) -> None:
    url, headers = token_url(guarded)
    status, text = fetched(url, headers)
    assert (status, "user/admin" in text) == (200, True), text
    assert fetched(url, {"x-k8s-aws-id": "another"})[0] == 403
    assert "SignatureDoesNotMatch" in fetched(*token_url(guarded, "wrong"))[1]
    guarded.clock.now += 120
    status, text = fetched(url, headers)
    assert (status, "RequestExpired" in text) == (400, True), text


def test_roles_are_assumed_for_as_long_as_asked(guarded: Guarded) -> None:
    sts = guarded.client("sts", guarded.admin)
    got = sts.assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=900)
    arn = "arn:aws:sts::111122223333:assumed-role/eks-admin/me"
    assert got["AssumedRoleUser"]["Arn"] == arn
    mine = guarded.client("sts", issued(got["Credentials"]))
    assert mine.get_caller_identity()["Arn"] == arn
    own = guarded.client("sts", issued(mine.get_session_token()["Credentials"]))
    assert own.get_caller_identity()["Arn"] == arn
    with client_error("ValidationError", "durationSeconds"):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=1)
    with client_error("ValidationError", "is invalid"):
        sts.assume_role(RoleArn="nonsense", RoleSessionName="me")


def test_temporary_keys_expire(guarded: Guarded) -> None:
    sts = guarded.client("sts", guarded.admin)
    got = sts.assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=900)
    key = guarded.cloud.keys.find(got["Credentials"]["AccessKeyId"])
    assert key is not None
    assert key.expires == pytest.approx(guarded.clock.now + 900, abs=2)
    guarded.clock.now += 901
    with client_error("ExpiredToken", status=403):
        guarded.client("sts", issued(got["Credentials"])).get_caller_identity()


def test_a_web_identity_needs_no_signature(guarded: Guarded) -> None:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    claims = {"sub": "system:serviceaccount:a:b", "aud": ["sts.amazonaws.com"], "iss": "https://oidc.example"}
    sts = guarded.client("sts", guarded.admin)
    got = sts.assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="me", WebIdentityToken=f"{part({})}.{part(claims)}.signature"
    )
    assert got["SubjectFromWebIdentityToken"] == "system:serviceaccount:a:b"
    assert got["Audience"] == "sts.amazonaws.com"
    with client_error("InvalidIdentityToken"):
        sts.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="me", WebIdentityToken="nonsense")
