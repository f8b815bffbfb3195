"""EKS by a real client: what it says, in AWS's shapes, errors and pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.lab_aws.conftest import Cloud, Loop, aws_client

from vpclab.aws import Endpoint, cloud_of
from vpclab.aws.eks import OPERATIONS
from vpclab.aws.model import load
from vpclab.eks import Eks, EksDelays

ROLE = "arn:aws:iam::111122223333:role/nodes"


@pytest.fixture
def eks(cloud: Cloud, loop: Loop) -> Any:
    """A client of EKS with the cluster `myeks`, its group `workers` and its add-on vpc-cni."""
    state = cloud_of(cloud.region)
    client = aws_client("eks", loop.serve(Endpoint(state, cloud.clock)))
    client.state = state.kept(Eks)
    subnets = [subnet.id for subnet in cloud.study.public]
    client.create_cluster(
        name="myeks", version="1.29", roleArn=ROLE, resourcesVpcConfig={"subnetIds": subnets}, tags={"a": "b"}
    )
    client.create_nodegroup(
        clusterName="myeks", nodegroupName="workers", subnets=subnets, nodeRole=ROLE,
        scalingConfig={"minSize": 1, "maxSize": 6, "desiredSize": 3},
    )  # fmt: skip
    client.create_addon(clusterName="myeks", addonName="vpc-cni")
    return client


def says(client: Any, operation: str, code: str, **parameters: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**parameters)
    answer: dict[str, Any] = caught.value.response
    assert answer["Error"]["Code"] == code, answer
    return answer


def test_every_operation_honours_only_what_the_model_has() -> None:
    model = load("eks", frozenset(OPERATIONS))
    for name, one in OPERATIONS.items():
        members = set(model.operation(name).input_shape.members)
        assert one.parameters - {"DryRun", "ClientToken", "clientRequestToken"} <= members, name


def test_what_eksctl_reads_unchecked_is_always_there(eks: Any) -> None:
    group = eks.describe_nodegroup(clusterName="myeks", nodegroupName="workers")["nodegroup"]
    assert group["scalingConfig"] == {"minSize": 1, "maxSize": 6, "desiredSize": 3}
    assert (group["status"], group["nodeRole"]) == ("ACTIVE", ROLE)
    assert group["createdAt"].year == 2027
    assert group["instanceTypes"] == ["t3.medium"]
    cluster = eks.describe_cluster(name="myeks")["cluster"]
    assert cluster["arn"] == "arn:aws:eks:ap-northeast-2:111122223333:cluster/myeks"
    assert (cluster["status"], cluster["version"], cluster["tags"]) == ("ACTIVE", "1.29", {"a": "b"})
    assert cluster["endpoint"].endswith(".invalid")
    assert cluster["identity"]["oidc"]["issuer"].startswith(
        "https://oidc.eks.ap-northeast-2.amazonaws.com/id/"
    )
    assert eks.list_clusters(include=["all"])["clusters"] == ["myeks"]
    assert eks.list_nodegroups(clusterName="myeks")["nodegroups"] == ["workers"]


def test_the_count_of_addons_depends_on_kubernetes(eks: Any) -> None:
    counts = {
        version: len(eks.describe_addon_versions(kubernetesVersion=version)["addons"])
        for version in ("1.28", "1.29", "1.30", "1.34")
    }
    assert counts == {"1.28": 12, "1.29": 17, "1.30": 18, "1.34": 18}
    (cni,) = eks.describe_addon_versions(kubernetesVersion="1.29", addonName="vpc-cni")["addons"]
    defaults = [
        one["addonVersion"]
        for one in cni["addonVersions"]
        if any(fit["defaultVersion"] for fit in one["compatibilities"])
    ]
    assert defaults == ["v1.16.0-eksbuild.1"]
    assert {fit["clusterVersion"] for one in cni["addonVersions"] for fit in one["compatibilities"]} == {
        "1.29"
    }
    assert not eks.describe_addon_versions(owners=["somebody"])["addons"]
    configuration = eks.describe_addon_configuration(addonName="vpc-cni", addonVersion=defaults[0])
    schema = json.loads(configuration["configurationSchema"])
    assert "WARM_IP_TARGET" in schema["definitions"]["VpcCni"]["properties"]["env"]["properties"]
    assert configuration["podIdentityConfiguration"][0]["serviceAccount"] == "aws-node"


def test_errors_are_ekss_own(eks: Any) -> None:
    answer = says(eks, "describe_cluster", "ResourceNotFoundException", name="other")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert answer["clusterName"] == "other"
    assert answer["Error"]["Message"] == "No cluster found for name: other."
    answer = says(
        eks, "describe_nodegroup", "ResourceNotFoundException", clusterName="myeks", nodegroupName="x"
    )
    assert (answer["nodegroupName"], answer["Error"]["Message"]) == ("x", "No node group found for name: x.")
    answer = says(eks, "create_addon", "ResourceInUseException", clusterName="myeks", addonName="vpc-cni")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    bad = '{"env":{"WARM_IP_TARGETS":"2"}}'
    answer = says(
        eks, "update_addon", "InvalidParameterException",
        clusterName="myeks", addonName="vpc-cni", configurationValues=bad,
    )  # fmt: skip
    assert "Json schema validation failed" in answer["Error"]["Message"]
    says(eks, "delete_cluster", "ResourceInUseException", name="myeks")
    says(eks, "list_addons", "InvalidParameterException", clusterName="myeks", nextToken="x")
    says(eks, "tag_resource", "ResourceNotFoundException", resourceArn="arn:aws:eks:x", tags={"a": "b"})


def test_pages(eks: Any) -> None:
    for name in ("coredns", "kube-proxy"):
        eks.create_addon(clusterName="myeks", addonName=name)
    pages = list(
        eks.get_paginator("list_addons").paginate(clusterName="myeks", PaginationConfig={"PageSize": 2})
    )
    assert [page["addons"] for page in pages] == [["coredns", "kube-proxy"], ["vpc-cni"]]
    every = eks.get_paginator("describe_addon_versions").paginate(PaginationConfig={"PageSize": 5})
    names = [one["addonName"] for page in every for one in page["addons"]]
    assert len(names) == len(set(names)) == 18


def test_an_update_is_followed_by_its_id(eks: Any, cloud: Cloud) -> None:
    cloud.loop.do(lambda: setattr(eks.state, "delays", EksDelays(addon=(2.0, 2.0), nodegroup=(2.0, 2.0))))
    values = '{"env":{"WARM_IP_TARGET":"2"}}'
    begun = eks.update_addon(clusterName="myeks", addonName="vpc-cni", configurationValues=values)["update"]
    of = {"name": "myeks", "updateId": begun["id"], "addonName": "vpc-cni"}
    assert eks.describe_update(**of)["update"]["status"] == "InProgress"
    assert eks.describe_addon(clusterName="myeks", addonName="vpc-cni")["addon"]["status"] == "UPDATING"
    assert eks.list_updates(name="myeks", addonName="vpc-cni")["updateIds"] == [begun["id"]]
    says(eks, "update_addon", "ResourceInUseException", clusterName="myeks", addonName="vpc-cni")
    cloud.clock.now += 3
    assert eks.describe_update(**of)["update"]["status"] == "Successful"
    addon = eks.describe_addon(clusterName="myeks", addonName="vpc-cni")["addon"]
    assert (addon["status"], addon["configurationValues"]) == ("ACTIVE", values)
    scaled = eks.update_nodegroup_config(
        clusterName="myeks", nodegroupName="workers", scalingConfig={"desiredSize": 4}
    )["update"]
    assert {"type": "DesiredSize", "value": "4"} in scaled["params"]
    cloud.clock.now += 3
    eks.get_waiter("nodegroup_active").wait(clusterName="myeks", nodegroupName="workers")
    assert len(cloud.loop.do(lambda: eks.state.nodes_of(("myeks", "workers")))) == 4


def test_a_terminated_node_of_a_group_is_replaced_when_eks_looks(eks: Any, cloud: Cloud) -> None:
    def nodes() -> list[str]:
        return [one.id for one in eks.state.nodes_of(("myeks", "workers"))]

    before = cloud.loop.do(nodes)
    cloud.client.terminate_instances(InstanceIds=before[:1])
    eks.describe_nodegroup(clusterName="myeks", nodegroupName="workers")
    after = cloud.loop.do(nodes)
    assert len(after) == 3
    assert before[0] not in after


def test_access_identities_tags_and_versions(eks: Any) -> None:
    who = "arn:aws:iam::111122223333:role/dev"
    eks.create_access_entry(clusterName="myeks", principalArn=who, kubernetesGroups=["devs"])
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    eks.associate_access_policy(
        clusterName="myeks", principalArn=who, policyArn=policy,
        accessScope={"type": "namespace", "namespaces": ["dev"]},
    )  # fmt: skip
    listed = eks.list_access_entries(clusterName="myeks", associatedPolicyArn=policy)
    assert listed["accessEntries"] == [who]
    assert len(eks.list_access_entries(clusterName="myeks")["accessEntries"]) == 3
    held = eks.list_associated_access_policies(clusterName="myeks", principalArn=who)
    assert held["associatedAccessPolicies"][0]["accessScope"] == {"type": "namespace", "namespaces": ["dev"]}
    entry = eks.describe_access_entry(clusterName="myeks", principalArn=who)["accessEntry"]
    assert entry["type"] == "STANDARD"
    eks.delete_access_entry(clusterName="myeks", principalArn=who)
    made = eks.create_pod_identity_association(
        clusterName="myeks", namespace="kube-system", serviceAccount="aws-node", roleArn=ROLE
    )["association"]
    found = eks.list_pod_identity_associations(clusterName="myeks", namespace="kube-system")["associations"]
    assert [one["associationId"] for one in found] == [made["associationId"]]
    arn = eks.describe_cluster(name="myeks")["cluster"]["arn"]
    eks.tag_resource(resourceArn=arn, tags={"team": "net"})
    eks.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "net"}
    versions = eks.describe_cluster_versions(clusterVersions=["1.29"])["clusterVersions"]
    assert [one["kubernetesPatchVersion"] for one in versions] == ["1.29.15"]
    assert eks.describe_cluster_versions(defaultOnly=True)["clusterVersions"][0]["defaultVersion"]
    assert eks.list_fargate_profiles(clusterName="myeks")["fargateProfileNames"] == []
