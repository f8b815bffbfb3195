"""Our cut of botocore's data says what botocore's own says."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.session import Session

from vpccni.aws.budget import RATES
from vpccni.aws.client import DATA

CALLED = {
    "AssignIpv6Addresses", "AssignPrivateIpAddresses", "AttachNetworkInterface", "CreateNetworkInterface", "CreateTags",
    "DeleteNetworkInterface", "DescribeInstanceTypes", "DescribeInstances", "DescribeNetworkInterfaces",
    "DescribeSecurityGroups", "DescribeSubnets", "DetachNetworkInterface", "ModifyNetworkInterfaceAttribute",
    "UnassignIpv6Addresses", "UnassignPrivateIpAddresses",
}  # fmt: skip


@functools.cache
def session(*, ours: bool) -> Session:
    """Shared, for reading all of EC2's model takes a quarter of a second."""
    made, loader = Session(), Loader()
    if ours:
        loader.search_paths.insert(0, str(DATA))
    made.register_component("data_loader", loader)
    made.set_credentials("AKIAEXAMPLE", "secret")
    return made


def test_every_operation_of_the_cni_is_there_and_little_else() -> None:
    model = session(ours=True).get_service_model("ec2")
    assert set(model.operation_names) == CALLED
    assert set(RATES) <= CALLED


@pytest.mark.parametrize("name", sorted(CALLED))
def test_an_operations_input_and_output_are_whole(name: str) -> None:
    def spelled(shape: Any, seen: tuple[str, ...] = ()) -> Any:
        if shape is None or shape.name in seen:
            return None
        deeper = (*seen, shape.name)
        members = {key: spelled(value, deeper) for key, value in getattr(shape, "members", {}).items()}
        item = spelled(getattr(shape, "member", None), deeper)
        return shape.name, shape.type_name, dict(shape.serialization), sorted(members.items()), item

    mine, whole = (
        session(ours=ours).get_service_model("ec2").operation_model(name) for ours in (True, False)
    )
    assert spelled(mine.input_shape) == spelled(whole.input_shape)
    assert spelled(mine.output_shape) == spelled(whole.output_shape)


@pytest.mark.parametrize(
    "region", ["ap-northeast-2", "us-east-1", "cn-north-1", "us-gov-west-1", "eu-isoe-west-1", "xx-nowhere-9"]
)
@pytest.mark.parametrize("service", ["ec2", "sts"])
def test_endpoints_are_the_same_in_every_partition(service: str, region: str) -> None:
    clients = [session(ours=ours).create_client(service, region_name=region) for ours in (True, False)]
    mine, whole = ((client.meta.endpoint_url, client.meta.region_name) for client in clients)
    assert mine == whole
    for client in clients:
        client.close()
