"""Auto Scaling groups are EKS's node groups."""

from __future__ import annotations

from tests.lab_aws.conftest import Cloud, aws_client, client_error


def test_a_node_group_is_an_auto_scaling_group(cloud: Cloud) -> None:
    eks, scaling = aws_client("eks", cloud.url), aws_client("autoscaling", cloud.url)
    assert scaling.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    subnets = [subnet.id for subnet in cloud.study.public]
    role = "arn:aws:iam::111122223333:role/r"
    eks.create_cluster(name="c", version="1.29", roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    eks.create_nodegroup(
        clusterName="c", nodegroupName="workers", subnets=subnets, nodeRole=role,
        scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 2},
    )  # fmt: skip
    group = eks.describe_nodegroup(clusterName="c", nodegroupName="workers")["nodegroup"]
    name = group["resources"]["autoScalingGroups"][0]["name"]
    [found] = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert (found["MinSize"], found["MaxSize"], found["DesiredCapacity"]) == (1, 4, 2)
    assert found["VPCZoneIdentifier"].split(",") == subnets
    assert [one["LifecycleState"] for one in found["Instances"]] == ["InService", "InService"]
    assert {one["InstanceId"] for one in found["Instances"]} <= set(cloud.region.instances)
    tagged = [{"Name": "tag:eks:cluster-name", "Values": ["c"]}]
    assert len(scaling.describe_auto_scaling_groups(Filters=tagged)["AutoScalingGroups"]) == 1
    with client_error("ValidationError", "MaxRecords"):
        scaling.describe_auto_scaling_groups(MaxRecords=101)
