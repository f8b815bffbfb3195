"""What a cluster of the lab is given to run our agent: the chart's own objects, with the lab's images and settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vpclab.images.build import LabImages

HERE = Path(__file__).resolve().parents[1]
MANIFEST = "config/aws-k8s-cni.yaml"
"""The chart's rendering with the selector of EKS's add-on."""
RESOURCE_CONTROLLER = "config/vpc-resource-controller-crds.yaml"
CRDS = "charts/aws-vpc-cni/crds"
NODE_AGENT = "aws-eks-nodeagent"
"""AWS's network policy agent, whose image the lab does not have."""
OF_NODE_AGENT = frozenset({"NETWORK_POLICY_ENFORCING_MODE"})
Object = dict[str, Any]


def deploy_path(name: str) -> Path:
    """A file or folder of the repository's that a cluster is given, in a checkout or as installed. Raises FileNotFoundError."""
    for root in (HERE / "deploy", HERE.parents[1]):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"{name} belongs to this project and is not in {HERE.parents[1]}")


def custom_resources() -> list[Object]:
    """The definitions that the chart brings, and those that an EKS control plane does."""
    files = [*sorted(deploy_path(CRDS).glob("*.yaml")), deploy_path(RESOURCE_CONTROLLER)]
    return [found for file in files for found in yaml.safe_load_all(file.read_text())]


def aws_node_objects(images: LabImages, env: Mapping[str, str]) -> list[Object]:
    """The manifest's objects, as the chart renders them with these images, this environment and nodeAgent.enabled=false.

    `env` are variables of the agent's beside the chart's own; where both have one, it wins.
    """
    objects: list[Object] = list(yaml.safe_load_all(deploy_path(MANIFEST).read_text()))
    [daemon_set] = (one for one in objects if one["kind"] == "DaemonSet")
    pod = daemon_set["spec"]["template"]["spec"]
    pod["containers"] = [one for one in pod["containers"] if one["name"] != NODE_AGENT]
    pod["volumes"] = [one for one in pod["volumes"] if one["name"] != "bpf-pin-path"]
    [agent], [init] = pod["containers"], pod["initContainers"]
    agent["image"], init["image"] = images.name("amazon-k8s-cni"), images.name("amazon-k8s-cni-init")
    plain = {one["name"]: one["value"] for one in agent["env"] if "value" in one}
    wanted = {
        name: value for name, value in {**plain, **env}.items() if name not in OF_NODE_AGENT or name in env
    }
    fields = [one for one in agent["env"] if "valueFrom" in one]
    agent["env"] = [{"name": name, "value": value} for name, value in sorted(wanted.items())] + fields
    return objects
