from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from botocore.utils import IMDSFetcher, InstanceMetadataFetcher
from tests.lab_aws.conftest import Cloud

from vpclab.aws import imds_app

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
IP_MINTTL = 21
"""A socket's option (ip(7) does not have it): segments with a lower TTL are dropped."""
Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def callers() -> dict[str, str]:
    """Which instance asks, by address."""
    return {}


@pytest.fixture
def imds(cloud: Cloud, callers: dict[str, str]) -> str:
    callers["127.0.0.1"] = cloud.node
    return cloud.loop.serve(imds_app(cloud.region, cloud.clock, callers.get, role="node-role"))


@pytest.fixture
def ask(imds: str) -> Ask:
    def ask(path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        spelled = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(imds + path, method=method, headers=spelled)  # noqa: S310 — http
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 — loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return ask


def token(ask: Ask, seconds: int = 60) -> dict[str, str]:
    status, text = ask("/latest/api/token", "PUT", **{TTL: str(seconds)})
    assert status == 200
    return {TOKEN: text}


def test_a_token_first(cloud: Cloud, ask: Ask) -> None:
    status, page = ask("/latest/meta-data/instance-id")
    assert status == 401
    assert "<title>401 - Unauthorized</title>" in page
    assert ask("/latest/meta-data/instance-id", **{TOKEN: "made up"})[0] == 401
    assert ask("/latest/meta-data/instance-id", **token(ask)) == (200, cloud.node)


@pytest.mark.parametrize("ttl", ["0", "21601", "-1", "soon", "", "\N{SUPERSCRIPT TWO}"])
def test_a_token_lives_one_second_to_six_hours(ask: Ask, ttl: str) -> None:
    assert ask("/latest/api/token", "PUT", **{TTL: ttl.encode().decode("latin-1")})[0] == 400
    assert ask("/latest/api/token", "PUT")[0] == 400
    assert ask("/latest/api/token", "GET")[0] == 405
    assert ask("/latest/api/token", "PUT", X_Forwarded_For="10.0.0.1", **{TTL: "60"})[0] == 403
    assert token(ask, 21600)


def test_a_token_ends(cloud: Cloud, ask: Ask) -> None:
    headers = token(ask, 60)
    cloud.clock.now += 59.9
    assert ask("/latest/meta-data/mac", **headers)[0] == 200
    cloud.clock.now += 0.1
    assert ask("/latest/meta-data/mac", **headers)[0] == 401


def test_a_token_is_its_instance_s(cloud: Cloud, ask: Ask, callers: dict[str, str]) -> None:
    headers = token(ask)
    callers["127.0.0.1"] = next(i for i in cloud.region.instances if i != cloud.node)
    assert ask("/latest/meta-data/mac", **headers)[0] == 401
    del callers["127.0.0.1"]
    assert ask("/latest/api/token", "PUT", **{TTL: "60"})[0] == 404


def test_paths(cloud: Cloud, ask: Ask) -> None:
    headers = token(ask)
    versions = ask("/", **headers)[1].split()
    assert (versions[0], versions[-1]) == ("1.0", "latest")
    assert ask("/2021-07-15/meta-data/instance-id", **headers) == (200, cloud.node)
    assert ask("/latest/", **headers) == (200, "dynamic\nmeta-data")
    assert ask("/latest/dynamic/", **headers) == (200, "instance-identity/")
    assert ask("/latest/meta-data/placement/availability-zone", **headers)[1] == "ap-northeast-2a"
    status, page = ask("/latest/meta-data/nothing", **headers)
    assert status == 404
    assert "<h1>404 - Not Found</h1>" in page
    assert ask("/1999-01-01/meta-data/mac", **headers)[0] == 404
    assert ask("/latest/meta-data/mac", "POST", **headers)[0] == 405
    mac = cloud.region.primary_eni(cloud.node).mac
    assert ask("/latest/meta-data/network/interfaces/macs/", **headers)[1] == f"{mac}/"


def test_an_attached_eni_appears_by_itself(cloud: Cloud, ask: Ask) -> None:
    ec2 = cloud.client
    eni = ec2.create_network_interface(SubnetId=cloud.study.public[0].id)["NetworkInterface"]
    ec2.attach_network_interface(
        NetworkInterfaceId=eni["NetworkInterfaceId"], InstanceId=cloud.node, DeviceIndex=1
    )
    listing = "/latest/meta-data/network/interfaces/macs/"
    headers = token(ask)
    assert eni["MacAddress"] not in ask(listing, **headers)[1]
    cloud.clock.now += 2  # nobody but IMDS looks at the clock now
    assert eni["MacAddress"] in ask(listing, **headers)[1]
    assert ask(f"{listing}{eni['MacAddress']}/device-number", **headers) == (200, "1")


def options(cloud: Cloud, **changed: object) -> dict[str, object]:
    answer = cloud.client.modify_instance_metadata_options(InstanceId=cloud.node, **changed)
    assert answer["InstanceMetadataOptions"]["State"] == "pending"
    [reservation] = cloud.client.describe_instances(InstanceIds=[cloud.node])["Reservations"]
    found: dict[str, object] = reservation["Instances"][0]["MetadataOptions"]
    return found


def test_version_one_where_the_instance_s_options_say_so(cloud: Cloud, ask: Ask) -> None:
    assert options(cloud, HttpTokens="optional") == {
        "State": "applied",
        "HttpTokens": "optional",
        "HttpPutResponseHopLimit": 2,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    assert ask("/latest/meta-data/instance-id") == (200, cloud.node)
    assert ask("/latest/meta-data/instance-id", **{TOKEN: "made up"})[0] == 401
    assert ask("/latest/meta-data/instance-id", **token(ask)) == (200, cloud.node)
    options(cloud, HttpTokens="required")
    assert ask("/latest/meta-data/instance-id")[0] == 401


def test_it_can_be_turned_off(cloud: Cloud, ask: Ask) -> None:
    headers = token(ask)
    options(cloud, HttpEndpoint="disabled")
    assert ask("/latest/meta-data/mac", **headers)[0] == 403
    assert ask("/latest/api/token", "PUT", **{TTL: "60"})[0] == 403
    options(cloud, HttpEndpoint="enabled")
    assert ask("/latest/meta-data/mac", **headers)[0] == 200


def test_tags_are_told_if_that_is_allowed(cloud: Cloud, ask: Ask) -> None:
    ec2 = cloud.client
    headers = token(ask)
    with pytest.raises(ClientError, match=r"kubernetes\.io/cluster/myeks' is not a valid tag key"):
        options(cloud, InstanceMetadataTags="enabled")
    tags = cloud.region.instance(cloud.node).tags
    ec2.delete_tags(Resources=[cloud.node], Tags=[{"Key": key} for key in tags if "/" in key])
    assert ask("/latest/meta-data/tags/", **headers)[0] == 404
    options(cloud, InstanceMetadataTags="enabled")
    assert ask("/latest/meta-data/tags/", **headers) == (200, "instance/")
    assert "Name" in ask("/latest/meta-data/tags/instance/", **headers)[1].split("\n")
    assert ask("/latest/meta-data/tags/instance/Name", **headers) == (200, tags["Name"])
    with pytest.raises(ClientError, match="'a/b' is not a valid tag key"):
        ec2.create_tags(Resources=[cloud.node], Tags=[{"Key": "a/b", "Value": ""}])


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"HttpTokens": "maybe"},
        {"HttpEndpoint": "on"},
        {"HttpPutResponseHopLimit": 0},
        {"HttpPutResponseHopLimit": 65},
    ],
)
def test_what_options_cannot_be(cloud: Cloud, wrong: dict[str, object]) -> None:
    before = cloud.region.instance(cloud.node)
    with pytest.raises(ClientError) as refused:
        options(cloud, **wrong)
    assert refused.value.response["Error"]["Code"] == (
        "InvalidParameterValue" if wrong else "MissingParameter"
    )
    assert cloud.region.instance(cloud.node) == before


def test_an_instance_is_launched_with_its_options(cloud: Cloud) -> None:
    ec2 = cloud.client
    launch = {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro", "SubnetId": cloud.study.public[0].id}
    given = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 1}
    ec2.create_launch_template(LaunchTemplateName="one", LaunchTemplateData={"MetadataOptions": given})
    for how in ({"MetadataOptions": given}, {"LaunchTemplate": {"LaunchTemplateName": "one"}}):
        [made] = ec2.run_instances(**launch, **how)["Instances"]
        assert given.items() <= made["MetadataOptions"].items()


def test_a_token_goes_as_far_as_the_hop_limit(cloud: Cloud, imds: str) -> None:
    address = (urllib.parse.urlsplit(imds).hostname, urllib.parse.urlsplit(imds).port)
    options(cloud, HttpPutResponseHopLimit=3)
    with socket.create_connection(address, timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 4)  # whoever is four hops away gets no token
        connection.sendall(b"PUT /latest/api/token HTTP/1.1\r\nHost: i\r\n%b: 60\r\n\r\n" % TTL.encode())
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 3)  # one three hops away does: it is sent again
        connection.settimeout(10)
        assert connection.recv(12) == b"HTTP/1.1 200"
        connection.recv(65536)
        connection.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 64)  # anything else goes as far as it wants
        connection.sendall(b"GET /latest/meta-data/mac HTTP/1.1\r\nHost: i\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_botocore_finds_its_credentials_and_region_here(imds: str) -> None:
    found = InstanceMetadataFetcher(base_url=imds + "/", num_attempts=1).retrieve_iam_role_credentials()
    assert found["role_name"] == "node-role"
    assert found["access_key"].startswith("ASIA")
    session = Session()
    session.set_config_variable("ec2_metadata_service_endpoint", imds)
    fetcher = IMDSFetcher(base_url=imds + "/", num_attempts=1)
    identity = fetcher._get_request(
        "latest/dynamic/instance-identity/document", None, fetcher._fetch_metadata_token()
    )
    assert json.loads(identity.text)["region"] == "ap-northeast-2"
