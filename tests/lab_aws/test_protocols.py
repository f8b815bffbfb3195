"""Every protocol with a real client of a service that speaks it; the services here are the tests' own."""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.lab_aws.conftest import Clock, Loop, aws_client, client_error

from vpclab.aws import Cloud, Context, Endpoint, Service
from vpclab.aws.service import operation
from vpclab.region import ApiError, Latency, Rate, Region

MOMENT = dt.datetime(2026, 11, 29, 12, 30, 15, 250_000, dt.UTC)


@dataclass
class Seen:
    """What operations were given, and what they are to answer."""

    parameters: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[], dict[str, Any]]] = field(default_factory=dict)


def _operation(action: str, *parameters: str) -> Any:
    def perform(context: Context, p: Any) -> dict[str, Any]:
        seen = context.kept(Seen)
        seen.parameters = dict(p)
        return seen.answers[action]()

    return operation(perform, *parameters)


EKS = Service(
    "eks",
    {
        "DescribeCluster": _operation("DescribeCluster", "name"),
        "CreateCluster": _operation(
            "CreateCluster", "name", "version", "roleArn", "resourcesVpcConfig", "tags"
        ),
        "DescribeAddonVersions": _operation("DescribeAddonVersions", "addonName", "types", "maxResults"),
        "UntagResource": _operation("UntagResource", "resourceArn", "tagKeys"),
    },
    lambda cloud: cloud.keep(Seen()),
)
CLOUDFORMATION = Service(
    "cloudformation",
    {
        "CreateStack": _operation("CreateStack", "StackName", "Parameters", "Capabilities", "Tags"),
        "DescribeStacks": _operation("DescribeStacks", "StackName"),
        "DeleteStack": _operation("DeleteStack", "StackName"),
    },
)
SSM = Service(
    "ssm",
    {
        "GetParameters": _operation("GetParameters", "Names", "WithDecryption"),
        "PutParameter": _operation("PutParameter", "Name", "Value"),
    },
)
IAM = Service("iam", {"GetRole": _operation("GetRole", "RoleName")})


@dataclass
class Wire:
    """The services on loopback."""

    url: str
    cloud: Cloud
    endpoint: Endpoint
    clock: Clock
    loop: Loop

    @property
    def seen(self) -> Seen:
        return self.cloud.kept(Seen)

    def answers(self, action: str, **values: Any) -> None:
        self.seen.answers[action] = lambda: values

    def refuses(self, action: str, error: ApiError) -> None:
        def refuse() -> dict[str, Any]:
            raise error

        self.seen.answers[action] = refuse


@pytest.fixture
def wire(loop: Loop) -> Iterator[Wire]:
    clock = Clock()
    cloud = Cloud(Region(now=clock.now), (EKS, CLOUDFORMATION, SSM, IAM))
    endpoint = Endpoint(cloud, clock)
    yield Wire(loop.serve(endpoint), cloud, endpoint, clock, loop)


def test_rest_json(wire: Wire) -> None:
    eks = aws_client("eks", wire.url)
    wire.answers(
        "DescribeCluster",
        cluster={
            "name": "my/eks",
            "createdAt": MOMENT,
            "tags": {"a": "b"},
            "endpoint": None,
            "resourcesVpcConfig": {"subnetIds": ["subnet-1"], "endpointPublicAccess": True},
        },
    )
    got = eks.describe_cluster(name="my/eks")
    assert wire.seen.parameters == {"name": "my/eks"}
    assert got["cluster"] == {
        "name": "my/eks",
        "createdAt": MOMENT,
        "tags": {"a": "b"},
        "resourcesVpcConfig": {"subnetIds": ["subnet-1"], "endpointPublicAccess": True},
    }
    assert got["ResponseMetadata"]["RequestId"]

    wire.answers("CreateCluster", cluster={"name": "c"})
    given = {
        "name": "c",
        "roleArn": "arn:aws:iam::111122223333:role/r",
        "resourcesVpcConfig": {"subnetIds": ["a", "b"], "endpointPrivateAccess": False},
        "tags": {"k": "v"},
    }
    eks.create_cluster(**given)
    assert wire.seen.parameters.pop("clientRequestToken")
    assert wire.seen.parameters == given

    wire.answers("DescribeAddonVersions", addons=[], nextToken="more")
    assert eks.describe_addon_versions(types=["networking", "x"], maxResults=7)["nextToken"] == "more"
    assert wire.seen.parameters == {"types": ["networking", "x"], "maxResults": 7}

    wire.answers("UntagResource")
    arn = "arn:aws:eks:ap-northeast-2:111122223333:cluster/c"
    eks.untag_resource(resourceArn=arn, tagKeys=["a", "b"])
    assert wire.seen.parameters == {"resourceArn": arn, "tagKeys": ["a", "b"]}


def test_rest_json_refuses_as_the_model_says(wire: Wire) -> None:
    eks = aws_client("eks", wire.url)
    missing = ApiError(
        "ResourceNotFoundException", "No cluster found for name: c.", fields={"clusterName": "c"}
    )
    wire.refuses("DescribeCluster", missing)
    with pytest.raises(eks.exceptions.ResourceNotFoundException) as caught:
        eks.describe_cluster(name="c")
    assert caught.value.response["clusterName"] == "c"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with client_error(
        "UnknownOperationException",
        "The action ListClusters is not valid for this web service. The lab does not emulate it.",
        404,
    ):
        eks.list_clusters()
    with client_error("InvalidRequestException", "The lab does not emulate outpostConfig of CreateCluster."):
        eks.create_cluster(
            name="c",
            roleArn="r",
            resourcesVpcConfig={},
            outpostConfig={"outpostArns": ["a"], "controlPlaneInstanceType": "t"},
        )
    with client_error("InvalidParameterException", "roleArn"):
        eks.create_cluster(name="c", resourcesVpcConfig={})
    with client_error("SerializationException", "version may not be 5"):
        eks.create_cluster(name="c", roleArn="r", resourcesVpcConfig={}, version=5)


def test_query(wire: Wire) -> None:
    cfn = aws_client("cloudformation", wire.url)
    wire.answers("CreateStack", StackId="arn:x")
    given = {
        "StackName": "s",
        "Parameters": [{"ParameterKey": "a", "ParameterValue": "1", "UsePreviousValue": False}],
        "Capabilities": [],
        "Tags": [{"Key": "k", "Value": "v & w"}],
    }
    assert cfn.create_stack(**given)["StackId"] == "arn:x"
    assert wire.seen.parameters == given
    wire.answers(
        "DescribeStacks",
        Stacks=[
            {"StackName": "s", "CreationTime": MOMENT, "Outputs": [{"OutputKey": "<k>", "OutputValue": "v"}]}
        ],
    )
    [stack] = cfn.describe_stacks(StackName="s")["Stacks"]
    assert stack["CreationTime"] == MOMENT
    assert stack["Outputs"] == [{"OutputKey": "<k>", "OutputValue": "v"}]
    wire.answers("DeleteStack")
    cfn.delete_stack(StackName="s")

    wire.refuses("DescribeStacks", ApiError("ValidationError", "Stack with id s does not exist"))
    with client_error("ValidationError", "Stack with id s does not exist"):
        cfn.describe_stacks(StackName="s")
    with client_error("InvalidAction", "ListStackSets"):
        cfn.list_stack_sets()
    with client_error("ValidationError", "The request must contain the parameter StackName"):
        cfn.create_stack()
    iam = aws_client("iam", wire.url)
    wire.refuses("GetRole", ApiError("NoSuchEntity", "The role with name r cannot be found."))
    with pytest.raises(iam.exceptions.NoSuchEntityException) as caught:
        iam.get_role(RoleName="r")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_json(wire: Wire) -> None:
    ssm = aws_client("ssm", wire.url)
    wire.answers(
        "GetParameters",
        Parameters=[{"Name": "/a", "Value": "ami-1", "Version": 3, "LastModifiedDate": MOMENT}],
        InvalidParameters=["/b"],
    )
    got = ssm.get_parameters(Names=["/a", "/b"], WithDecryption=True)
    assert got["Parameters"] == [{"Name": "/a", "Value": "ami-1", "Version": 3, "LastModifiedDate": MOMENT}]
    assert got["InvalidParameters"] == ["/b"]
    assert wire.seen.parameters == {"Names": ["/a", "/b"], "WithDecryption": True}
    wire.refuses("GetParameters", ApiError("ParameterNotFound", ""))
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameters(Names=["/a"])
    with client_error("UnknownOperationException", "DescribeParameters"):
        ssm.describe_parameters()
    with client_error("ValidationException", "Value null at 'Names'"):
        ssm.get_parameters()


def test_a_service_that_the_lab_lacks_is_named(wire: Wire) -> None:
    with client_error("UnknownOperationException", "The lab does not emulate the service dynamodb", 400):
        aws_client("dynamodb", wire.url).list_tables()
    with client_error("InvalidAction", "The lab does not emulate the service sns"):
        aws_client("sns", wire.url).list_topics()
    with client_error("UnknownOperationException", "The lab does not emulate the service lambda", 404):
        aws_client("lambda", wire.url).list_functions()
    assert [(call.service, call.action) for call in wire.endpoint.log.calls()] == [
        ("", "ListTables"),
        ("", "ListTopics"),
        ("", "GET /2015-03-31/functions"),
    ]


def test_without_a_signature_the_host_or_the_request_itself_says_which_service_it_is(wire: Wire) -> None:
    def status(path: str, headers: dict[str, str]) -> tuple[int, str]:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(wire.url + path, headers=headers), timeout=10)  # noqa: S310
        with caught.value as error:
            return error.code, error.read().decode()

    for path, headers, expected in (
        ("/clusters/a", {}, 403),
        ("/", {"Host": "eks.ap-northeast-2.amazonaws.com"}, 403),
        ("/", {"X-Amz-Target": "AmazonSSM.GetParameters"}, 400),
        ("/?Action=DescribeStacks&Version=2010-05-15", {}, 403),
    ):
        code, text = status(path, headers)
        assert (code, "missing Authentication Token" in text) == (expected, True), (path, text)
    code, text = status("/nothing", {})
    assert code == 404
    assert json.loads(text)["message"] == "The request does not say which service it is for."


def test_faults_limits_and_latency_are_for_every_service(wire: Wire) -> None:
    eks = aws_client("eks", wire.url)
    wire.answers("DescribeCluster", cluster={})
    wire.cloud.region.fault("eks:DescribeCluster", "ServerException", status=500)
    with client_error("ServerException", status=500):
        eks.describe_cluster(name="c")
    wire.cloud.region.fault("DescribeCluster", "ServerException", status=500)
    with client_error("ServerException", status=500):
        eks.describe_cluster(name="c")
    eks.describe_cluster(name="c")
    wire.cloud.region.gate.set_rates({"eks:DescribeCluster": Rate(1, 1)})
    eks.describe_cluster(name="c")
    with client_error("ThrottlingException", "Rate exceeded", 429):
        eks.describe_cluster(name="c")
    assert wire.endpoint.log.counts["eks:DescribeCluster", "ThrottlingException"] == 1
    wire.clock.now += 1
    wire.cloud.region.gate.latency = Latency(by_action={"eks:DescribeCluster": (1, 1)})
    with pytest.raises(Exception, match="Read timeout"):
        aws_client("eks", wire.url, patience=0.5).describe_cluster(name="c")


def test_the_same_token_is_the_same_request_in_every_service(wire: Wire) -> None:
    eks = aws_client("eks", wire.url)
    numbers = iter(range(9))
    wire.seen.answers["CreateCluster"] = lambda: {"cluster": {"name": str(next(numbers))}}
    given: dict[str, Any] = {"name": "c", "roleArn": "r", "resourcesVpcConfig": {}}
    names = [
        eks.create_cluster(clientRequestToken=token, **given)["cluster"]["name"] for token in ("t", "t", "u")
    ]
    assert names == ["0", "0", "1"]
    with client_error("InvalidRequestException", "token"):
        eks.create_cluster(clientRequestToken="t", **{**given, "name": "d"})


def test_an_operation_may_call_another_services(wire: Wire) -> None:
    wire.answers("GetRole", Role={"RoleName": "r"})
    context = wire.cloud.context()
    assert context.call("iam", "GetRole", {"RoleName": "r"}) == {"Role": {"RoleName": "r"}}
    with pytest.raises(ApiError, match="iam:DeleteRole"):
        context.call("iam", "DeleteRole", {})
    with pytest.raises(ApiError, match="Path of GetRole"):
        context.call("iam", "GetRole", {"RoleName": "r", "Path": "/"})


def test_a_broken_operation_is_an_error_of_the_protocol(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    wire.seen.answers["DescribeCluster"] = lambda: {"nonsense": 1}
    with pytest.raises(ClientError, match="ServerException"):
        aws_client("eks", wire.url).describe_cluster(name="c")
    assert "eks DescribeCluster failed in the lab itself" in caplog.text
