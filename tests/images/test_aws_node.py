"""What the lab gives its cluster."""

from pathlib import Path

import pytest

from vpclab.images import LabImages
from vpclab.images.archive import RunAs, compose
from vpclab.images.aws_node import aws_node_objects, custom_resources, deploy_path
from vpclab.images.layer import BlobStore


@pytest.fixture
def images(tmp_path: Path) -> LabImages:
    store = BlobStore(tmp_path)
    names = ["ecr/amazon-k8s-cni:v1", "ecr/amazon-k8s-cni-init:v1"]
    made = tuple(compose(store, [name], [], RunAs(), "amd64") for name in names)
    return LabImages(made, tmp_path / "none", store)


def test_the_daemon_set_has_the_labs_images_and_environment_and_no_agent_that_the_lab_lacks(
    images: LabImages,
) -> None:
    objects = aws_node_objects(images, {"WARM_ENI_TARGET": "2", "CLUSTER_NAME": "myeks"})
    assert sorted(one["kind"] for one in objects) == [
        "ClusterRole", "ClusterRoleBinding", "ConfigMap", "DaemonSet", "ServiceAccount",
    ]  # fmt: skip
    [pod] = (one["spec"]["template"]["spec"] for one in objects if one["kind"] == "DaemonSet")
    [agent], [init] = pod["containers"], pod["initContainers"]
    assert (agent["image"], init["image"]) == ("ecr/amazon-k8s-cni:v1", "ecr/amazon-k8s-cni-init:v1")
    env = {one["name"]: one.get("value") for one in agent["env"]}
    assert (env["WARM_ENI_TARGET"], env["CLUSTER_NAME"], env["ENABLE_IPv4"]) == ("2", "myeks", "true")
    assert "NETWORK_POLICY_ENFORCING_MODE" not in env
    assert agent["securityContext"] == {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}}


def test_the_definitions_are_there_for_every_kind_that_the_agent_reads() -> None:
    assert {one["spec"]["names"]["kind"] for one in custom_resources()} == {
        "ENIConfig", "PolicyEndpoint", "ClusterPolicyEndpoint", "CNINode", "SecurityGroupPolicy",
    }  # fmt: skip
    with pytest.raises(FileNotFoundError, match="nothing-of-it belongs to this project"):
        deploy_path("nothing-of-it")
