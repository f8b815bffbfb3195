"""SSM's parameters, with a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.lab_aws.conftest import Cloud, aws_client, client_error

from vpclab.region.imds import IMAGE

AL2 = "/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2"


@pytest.fixture
def ssm(cloud: Cloud) -> Any:
    return aws_client("ssm", cloud.url)


def test_public_parameters_name_images(ssm: Any) -> None:
    one = ssm.get_parameter(Name=AL2)["Parameter"]
    assert (one["Value"], one["Type"], one["DataType"]) == (IMAGE, "String", "aws:ec2:image")
    assert one["ARN"] == f"arn:aws:ssm:ap-northeast-2::parameter{AL2}"
    base = "/aws/service/eks/optimized-ami/1.29"
    names = [
        f"{base}/amazon-linux-2/recommended/image_id",
        f"{base}/amazon-linux-2023/x86_64/standard/recommended/image_id",
        f"{base}/amazon-linux-2023/arm64/standard/recommended/image_id",
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "/aws/service/nothing",
    ]
    got = ssm.get_parameters(Names=names)
    assert got["InvalidParameters"] == ["/aws/service/nothing"]
    assert [one["Name"] for one in got["Parameters"]] == names[:4]
    assert len({one["Value"] for one in got["Parameters"]}) == 4
    whole = json.loads(ssm.get_parameter(Name=f"{base}/amazon-linux-2/recommended")["Parameter"]["Value"])
    assert whole["image_id"] == got["Parameters"][0]["Value"]
    with client_error("ParameterNotFound"):
        ssm.get_parameter(Name="/aws/service/eks/optimized-ami/1.34/amazon-linux-2/recommended/image_id")


def test_parameters_by_path_come_in_pages(ssm: Any) -> None:
    path = "/aws/service/eks/optimized-ami/1.29"
    assert ssm.get_parameters_by_path(Path=path)["Parameters"] == []
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True))
    names = [one["Name"] for page in pages for one in page["Parameters"]]
    assert len(pages) == 2
    assert len(names) == len(set(names)) == 16
    with client_error("ValidationException", "maxResults"):
        ssm.get_parameters_by_path(Path=path, MaxResults=11)
    with client_error("InvalidNextToken"):
        ssm.get_parameters_by_path(Path=path, NextToken="x")


def test_own_parameters(ssm: Any) -> None:
    assert ssm.put_parameter(Name="/my/one", Value="1", Type="String")["Version"] == 1
    with client_error("ParameterAlreadyExists"):
        ssm.put_parameter(Name="/my/one", Value="2", Type="String")
    assert ssm.put_parameter(Name="/my/one", Value="2", Overwrite=True)["Version"] == 2
    assert ssm.get_parameter(Name="/my/one:2")["Parameter"]["Value"] == "2"
    with client_error("ParameterNotFound"):
        ssm.get_parameter(Name="/my/one:1")
    with client_error("ValidationException"):
        ssm.put_parameter(Name="/aws/one", Value="1", Type="String")
    with client_error("ValidationException", "names"):
        ssm.get_parameters(Names=[str(n) for n in range(11)])
    ssm.delete_parameter(Name="/my/one")
    with client_error("ParameterNotFound"):
        ssm.delete_parameter(Name="/my/one")
