"""IAM's records, with a real client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.lab_aws.conftest import Cloud, aws_client, client_error

TRUST = json.dumps(
    {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
)
CNI = "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy"


@pytest.fixture
def iam(cloud: Cloud) -> Any:
    return aws_client("iam", cloud.url)


def test_a_role_and_its_policies(iam: Any) -> None:
    made = iam.create_role(
        RoleName="r", Path="/lab/", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "a", "Value": "b"}]
    )["Role"]
    assert (made["Arn"], made["Tags"]) == (
        "arn:aws:iam::111122223333:role/lab/r",
        [{"Key": "a", "Value": "b"}],
    )
    assert made["RoleId"].startswith("AROA")
    with client_error("EntityAlreadyExists", "Role with name r already exists.", 409):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    with client_error("MalformedPolicyDocument"):
        iam.create_role(RoleName="s", AssumeRolePolicyDocument="nonsense")
    own = iam.create_policy(PolicyName="p", PolicyDocument='{"Statement": []}')["Policy"]["Arn"]
    for arn in (CNI, own):
        iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    iam.put_role_policy(RoleName="r", PolicyName="inline", PolicyDocument='{"Statement": []}')
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [one["PolicyName"] for one in attached] == ["AmazonEKS_CNI_Policy", "p"]
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["inline"]
    assert iam.get_role_policy(RoleName="r", PolicyName="inline")["PolicyDocument"] == {"Statement": []}
    assert iam.get_policy(PolicyArn=own)["Policy"]["AttachmentCount"] == 1
    with client_error("DeleteConflict", "detach all policies", 409):
        iam.delete_role(RoleName="r")
    with client_error("DeleteConflict", "attached", 409):
        iam.delete_policy(PolicyArn=own)
    for arn in (CNI, own):
        iam.detach_role_policy(RoleName="r", PolicyArn=arn)
    with client_error("NoSuchEntity", status=404):
        iam.detach_role_policy(RoleName="r", PolicyArn=own)
    iam.delete_role_policy(RoleName="r", PolicyName="inline")
    iam.delete_policy(PolicyArn=own)
    iam.delete_role(RoleName="r")
    with client_error("NoSuchEntity", "The role with name r cannot be found.", 404):
        iam.get_role(RoleName="r")
    with client_error("NoSuchEntity", "does not exist", 404):
        iam.get_policy(PolicyArn=own)


def test_an_instance_profile_has_one_role(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="i")
    iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="r")
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=TRUST)
    with client_error("LimitExceeded", status=409):
        iam.add_role_to_instance_profile(InstanceProfileName="i", RoleName="other")
    with client_error("DeleteConflict", status=409):
        iam.delete_instance_profile(InstanceProfileName="i")
    with client_error("DeleteConflict", "instance profile", 409):
        iam.delete_role(RoleName="r")
    roles = iam.get_instance_profile(InstanceProfileName="i")["InstanceProfile"]["Roles"]
    assert [one["RoleName"] for one in roles] == ["r"]
    iam.remove_role_from_instance_profile(InstanceProfileName="i", RoleName="r")
    iam.delete_instance_profile(InstanceProfileName="i")
    iam.get_waiter("role_exists").wait(RoleName="r")


def test_an_oidc_provider(iam: Any) -> None:
    url = "https://oidc.eks.ap-northeast-2.amazonaws.com/id/ABC"
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])[
        "OpenIDConnectProviderArn"
    ]
    assert arn == f"arn:aws:iam::111122223333:oidc-provider/{url.removeprefix('https://')}"
    with client_error("EntityAlreadyExists", status=409):
        iam.create_open_id_connect_provider(Url=url)
    got = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert got["ClientIDList"] == ["sts.amazonaws.com"]
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with client_error("NoSuchEntity", status=404):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_lists_come_in_pages(iam: Any) -> None:
    for name in "abc":
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2}))
    assert [[one["RoleName"] for one in page["Roles"]] for page in pages] == [["a", "b"], ["c"]]
    with client_error("ValidationError", "Invalid Marker"):
        iam.list_roles(Marker="nonsense")


def test_a_policy_has_versions(iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", PolicyDocument=TRUST)["Policy"]["Arn"]
    other = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=other, SetAsDefault=True)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", True)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v2"
    with client_error("DeleteConflict", status=409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=TRUST)
    with client_error("LimitExceeded", status=409):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=TRUST)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    with client_error("NoSuchEntity", status=404):
        iam.get_policy_version(PolicyArn=arn, VersionId="v1")
    with client_error("AccessDenied", status=403):
        iam.create_policy_version(PolicyArn=CNI, PolicyDocument=TRUST)
