"""The chart, rendered by Helm itself: the original's values, and what they do (spec 10)."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vpclab.images import LabImages, cache_directory
from vpclab.images.archive import RunAs, compose
from vpclab.images.aws_node import MANIFEST, aws_node_objects, deploy_path
from vpclab.images.layer import BlobStore

pytestmark = pytest.mark.lab  # Helm is built from its Go module by `make test-lab`
CHART = deploy_path("charts/aws-vpc-cni")
Objects = dict[str, dict[str, Any]]
Render = Callable[..., Objects]


def helm() -> str:
    built = sorted((cache_directory() / "helm").glob("*/helm"))
    found = shutil.which("helm") or (str(built[-1]) if built else None)
    assert found is not None, "make helm builds it"
    return found


def rendered(*arguments: str) -> str:
    done = subprocess.run(
        [helm(), "template", "aws-vpc-cni", str(CHART), "--namespace", "kube-system", *arguments],
        capture_output=True, text=True, env={**os.environ, "HELM_CACHE_HOME": "/nonexistent"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def render(tmp_path: Path) -> Render:
    def objects(values: dict[str, Any] | None = None, *arguments: str) -> Objects:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values or {}))
        found = [one for one in yaml.safe_load_all(rendered("--values", str(file), *arguments)) if one]
        return {f"{one['kind']}/{one['metadata']['name']}": one for one in found}

    return objects


def pod_of(objects: Objects, name: str = "aws-node") -> dict[str, Any]:
    found: dict[str, Any] = objects[f"DaemonSet/{name}"]["spec"]["template"]["spec"]
    return found


def env_of(container: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_the_manifest_in_the_repository_is_the_charts_rendering() -> None:
    assert deploy_path(MANIFEST).read_text() == rendered("--set", "originalMatchLabels=true"), "make manifest"


def test_helm_finds_nothing_to_complain_of() -> None:
    done = subprocess.run([helm(), "lint", "--strict", str(CHART)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_defaults_are_the_originals(render: Render) -> None:
    objects = render()
    assert set(objects) == {
        "ServiceAccount/aws-node", "ClusterRole/aws-node", "ClusterRoleBinding/aws-node", "ConfigMap/amazon-vpc-cni",
        "DaemonSet/aws-node",
    }  # fmt: skip
    pod = pod_of(objects)
    agent, policy = pod["containers"]
    [init] = pod["initContainers"]
    assert (pod["hostNetwork"], pod["terminationGracePeriodSeconds"]) == (True, 10)
    assert (pod["priorityClassName"], pod["tolerations"]) == (
        "system-node-critical",
        [{"operator": "Exists"}],
    )
    assert agent["securityContext"]["capabilities"] == {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]}
    assert init["securityContext"] == {"privileged": True}
    assert init["image"].startswith("602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni-init:v")
    assert policy["image"].endswith("/amazon/aws-network-policy-agent:v1.4.2")
    probe = agent["readinessProbe"]
    assert probe["exec"]["command"][:2] == [
        "/app/grpc-health-probe",
        "-addr=unix:///var/run/aws-node/ipamd.sock",
    ]
    assert (probe["initialDelaySeconds"], probe["timeoutSeconds"]) == (1, 10)
    assert agent["livenessProbe"]["initialDelaySeconds"] == 60
    env = env_of(agent)
    assert env["MY_NODE_NAME"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert (env["WARM_ENI_TARGET"], env["WARM_PREFIX_TARGET"], env["ENABLE_IPv4"]) == ("1", "1", "true")
    assert {one["mountPath"] for one in agent["volumeMounts"]} == {
        "/host/opt/cni/bin", "/host/etc/cni/net.d", "/host/var/log/aws-routed-eni", "/var/run/aws-node",
        "/run/xtables.lock",
    }  # fmt: skip
    assert objects["ConfigMap/amazon-vpc-cni"]["data"] == {
        "enable-windows-ipam": "false", "enable-network-policy-controller": "false",
        "enable-windows-prefix-delegation": "false", "warm-prefix-target": "0", "warm-ip-target": "1",
        "minimum-ip-target": "3", "branch-eni-cooldown": "60",
    }  # fmt: skip
    selector = objects["DaemonSet/aws-node"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= objects["DaemonSet/aws-node"]["spec"]["template"]["metadata"]["labels"].items()


def test_images_come_from_where_they_are_said_to_be(render: Render) -> None:
    pod = pod_of(render({
        "image": {"region": "eu-north-1", "account": "1", "domain": "amazonaws.com.cn", "tag": "t"},
        "init": {"image": {"overrideRepository": "mine/init", "tag": "t"}},
        "nodeAgent": {"image": {"override": "mine/policy:x"}},
    }))  # fmt: skip
    assert [one["image"] for one in (*pod["initContainers"], *pod["containers"])] == [
        "mine/init:t", "1.dkr.ecr.eu-north-1.amazonaws.com.cn/amazon-k8s-cni:t", "mine/policy:x",
    ]  # fmt: skip


def test_without_the_network_policy_agent_nobody_is_asked_to_enforce(render: Render) -> None:
    pod = pod_of(render({"nodeAgent": {"enabled": False}}))
    [agent] = pod["containers"]
    assert "NETWORK_POLICY_ENFORCING_MODE" not in env_of(agent)
    assert "bpf-pin-path" not in {one["name"] for one in pod["volumes"]}


def test_the_environment_can_be_added_to_and_its_rights_follow(render: Render) -> None:
    objects = render({
        "env": {"ANNOTATE_POD_IP": "true", "WARM_IP_TARGET": 5, "CLUSTER_NAME": "myeks"},
        "extraEnv": [{"name": "FROM", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "z"}}}],
    })  # fmt: skip
    env = env_of(pod_of(objects)["containers"][0])
    assert (env["WARM_IP_TARGET"], env["CLUSTER_NAME"]) == ("5", "myeks")
    assert env["FROM"] == {"configMapKeyRef": {"name": "x", "key": "z"}}
    rules = objects["ClusterRole/aws-node"]["rules"]
    [pods] = (rule["verbs"] for rule in rules if "pods" in rule.get("resources", ()))
    assert pods == ["list", "watch", "get", "patch"]


def test_a_configuration_of_ones_own_is_mounted_where_the_agent_looks(render: Render) -> None:
    objects = render({"cniConfig": {"enabled": True, "fileContents": "{}"}})
    assert objects["ConfigMap/aws-node"]["binaryData"] == {"10-aws.conflist": "e30="}
    mounts = pod_of(objects)["containers"][0]["volumeMounts"]
    assert {"name": "cni-config", "mountPath": "/app/10-aws.conflist", "subPath": "10-aws.conflist",
            "readOnly": True} in mounts  # fmt: skip


def test_eni_configs_and_the_pod_monitor_are_made_on_demand(render: Render) -> None:
    objects = render({
        "eniConfig": {"create": True, "region": "ap-northeast-2", "subnets": {
            "a": {"id": "subnet-1", "securityGroups": ["sg-1"]}, "c": {"id": "subnet-3"}}},
        "podMonitor": {"create": True, "labels": {"team": "net"}},
    })  # fmt: skip
    assert objects["ENIConfig/ap-northeast-2a"]["spec"] == {"subnet": "subnet-1", "securityGroups": ["sg-1"]}
    assert objects["ENIConfig/ap-northeast-2c"]["spec"] == {"subnet": "subnet-3"}
    monitor = objects["PodMonitor/aws-node"]
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics"
    assert monitor["metadata"]["labels"]["team"] == "net"


def test_names_accounts_and_places_can_be_ones_own(render: Render) -> None:
    objects = render({
        "nameOverride": "cni", "fullnameOverride": "my-cni", "originalMatchLabels": True,
        "serviceAccount": {"create": False, "name": "theirs"},
        "podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}, "imagePullSecrets": [{"name": "s"}],
        "nodeSelector": {"x": "z"}, "affinity": None, "resources": {"limits": {"memory": "1Gi"}},
        "init": {"resources": {"limits": {"memory": "2Gi"}}},
        "extraVolumes": [{"name": "v", "emptyDir": {}}], "extraVolumeMounts": [{"name": "v", "mountPath": "/v"}],
        "updateStrategy": {"rollingUpdate": {"maxUnavailable": 1}},
    })  # fmt: skip
    assert not any(name.startswith("ServiceAccount") for name in objects)
    template = objects["DaemonSet/my-cni"]["spec"]["template"]
    pod = pod_of(objects, "my-cni")
    assert objects["DaemonSet/my-cni"]["spec"]["selector"]["matchLabels"] == {"k8s-app": "aws-node"}
    assert objects["DaemonSet/my-cni"]["spec"]["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    assert (template["metadata"]["labels"]["a"], template["metadata"]["annotations"]) == ("b", {"c": "d"})
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("theirs", [{"name": "s"}])
    assert pod["nodeSelector"] == {"x": "z"}
    assert "affinity" not in pod
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert pod["initContainers"][0]["resources"]["limits"] == {"memory": "2Gi"}
    assert {"name": "v", "mountPath": "/v"} in pod["containers"][0]["volumeMounts"]


def test_what_the_lab_gives_its_cluster_is_what_the_chart_renders(render: Render, tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    names = ["ecr/amazon-k8s-cni:v1", "ecr/amazon-k8s-cni-init:v1"]
    images = LabImages(
        tuple(compose(store, [n], [], RunAs(), "amd64") for n in names), tmp_path / "none", store
    )
    env = {"CLUSTER_NAME": "myeks", "WARM_ENI_TARGET": "2", "A_FIRST": "x"}
    ours = aws_node_objects(images, env)
    theirs = render({
        "originalMatchLabels": True, "nodeAgent": {"enabled": False}, "env": env,
        "image": {"override": names[0]}, "init": {"image": {"override": names[1]}},
    })  # fmt: skip
    assert {f"{one['kind']}/{one['metadata']['name']}": one for one in ours} == theirs
