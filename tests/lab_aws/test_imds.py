from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from botocore.session import Session
from botocore.utils import IMDSFetcher, InstanceMetadataFetcher
from tests.lab_aws.conftest import Cloud

from vpclab.aws import imds_app

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
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
    assert ask("/latest/meta-data/instance-id") == (401, "Unauthorized")
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
    assert ask("/", **headers)[1].split() == ["latest", "2021-07-15"]
    assert ask("/latest/", **headers) == (200, "dynamic/\nmeta-data/")
    assert ask("/latest/meta-data/placement/availability-zone", **headers)[1] == "ap-northeast-2a"
    assert ask("/latest/meta-data/nothing", **headers)[0] == 404
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


def test_version_one_only_where_it_is_allowed(cloud: Cloud) -> None:
    url = cloud.loop.serve(imds_app(cloud.region, cloud.clock, lambda _: cloud.node, v1=True))
    with urllib.request.urlopen(f"{url}/latest/meta-data/instance-id", timeout=10) as answer:  # noqa: S310 — loopback
        assert answer.read().decode() == cloud.node


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
