"""Managed node groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, page, tags
from vpclab.aws.operations.metadata_options import metadata_options
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation
from vpclab.eks import Scaling
from vpclab.eks.errors import invalid
from vpclab.region.values import MetadataOptions


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateNodegroup."""
    state = eks(context)
    launch = _launch(context, p)
    types = p.get("instanceTypes") or ([launch["InstanceType"]] if "InstanceType" in launch else ())
    cluster_group = state.cluster(p["clusterName"]).cluster_security_group_id
    groups = [one for one in _groups(launch) if one != cluster_group]
    named = _name(launch)
    if named:
        state.name_nodes(p["clusterName"], p["nodegroupName"], named)
    made = state.create_nodegroup(
        p["clusterName"],
        p["nodegroupName"],
        p["nodeRole"],
        p["subnets"],
        scaling=_scaling(p.get("scalingConfig")),
        instance_types=types,
        ami_type=p.get("amiType", "AL2023_x86_64_STANDARD"),
        capacity_type=p.get("capacityType", "ON_DEMAND"),
        disk_size=p.get("diskSize", 20),
        version=p.get("version"),
        max_unavailable=_unavailable(p) or 1,
        labels=p.get("labels", {}),
        taints=_taints(p.get("taints", ())),
        ssh_key=p.get("remoteAccess", {}).get("ec2SshKey"),
        metadata=_metadata(launch, p.get("amiType", "AL2023_x86_64_STANDARD")),
        group_ids=(*groups, *p.get("remoteAccess", {}).get("sourceSecurityGroups", ())),
        tags=tags(p),
    )
    return {"nodegroup": items.nodegroup(state, made)}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeNodegroup."""
    state = eks(context)
    return {"nodegroup": items.nodegroup(state, state.nodegroup(p["clusterName"], p["nodegroupName"]))}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListNodegroups."""
    state = eks(context)
    state.cluster(p["clusterName"])
    return page(p, "nodegroups", (name for of, name in state.nodegroups if of == p["clusterName"]))


def update_config(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateNodegroupConfig."""
    labels, taints = p.get("labels", {}), p.get("taints", {})
    update = eks(context).update_nodegroup_config(
        p["clusterName"],
        p["nodegroupName"],
        scaling=p.get("scalingConfig"),
        add_labels=labels.get("addOrUpdateLabels"),
        remove_labels=labels.get("removeLabels", ()),
        add_taints=_taints(taints.get("addOrUpdateTaints", ())),
        remove_taints=_taints(taints.get("removeTaints", ())),
        max_unavailable=_unavailable(p),
    )
    return {"update": items.update(update)}


def update_version(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateNodegroupVersion; forced or not, its nodes are drained and then end."""
    update = eks(context).update_nodegroup_version(p["clusterName"], p["nodegroupName"], p.get("version"))
    return {"update": items.update(update)}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteNodegroup."""
    state = eks(context)
    return {"nodegroup": items.nodegroup(state, state.delete_nodegroup(p["clusterName"], p["nodegroupName"]))}


def _launch(context: Context, p: Parameters) -> Mapping[str, Any]:
    """What the launch template says. Raises ApiError: InvalidRequestException, and EC2's own."""
    given = p.get("launchTemplate")
    if given is None:
        return {}
    if ("id" in given) == ("name" in given):
        raise invalid(
            "You must specify either the launch template ID or the launch template name in the request, but not both."
        )
    which = {"LaunchTemplateId": given["id"]} if "id" in given else {"LaunchTemplateName": given["name"]}
    asked = {**which, "Versions": [given.get("version", "$Default")]}
    found = context.call("ec2", "DescribeLaunchTemplateVersions", asked)
    data: Mapping[str, Any] = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def _groups(launch: Mapping[str, Any]) -> Iterable[str]:
    interfaces = launch.get("NetworkInterfaces") or [{}]
    found: Iterable[str] = interfaces[0].get("Groups") or launch.get("SecurityGroupIds") or ()
    return found


def _name(launch: Mapping[str, Any]) -> str:
    for one in launch.get("TagSpecifications", ()):
        if one.get("ResourceType") == "instance":
            for tag in one.get("Tags", ()):
                if tag["Key"] == "Name":
                    return str(tag["Value"])
    return ""


def _metadata(launch: Mapping[str, Any], ami_type: str) -> MetadataOptions:
    """As the launch template says; nodes of Amazon Linux 2023 keep tokens to themselves (EKS user guide, AL2023)."""
    usual = MetadataOptions(hop_limit=1) if ami_type.startswith("AL2023") else MetadataOptions()
    return metadata_options(launch.get("MetadataOptions", {}), usual)


def _scaling(given: Mapping[str, int] | None) -> Scaling:
    if given is None:
        return Scaling()
    desired = given.get("desiredSize", given.get("minSize", 2))
    return Scaling(given.get("minSize", 1), given.get("maxSize", max(2, desired)), desired)


def _unavailable(p: Parameters) -> int | None:
    config = p.get("updateConfig", {})
    if "maxUnavailablePercentage" in config:
        raise invalid("The lab updates by maxUnavailable, a number of nodes, not by a percentage.")
    given: int | None = config.get("maxUnavailable")
    return given


def _taints(given: Iterable[Mapping[str, str]]) -> list[tuple[str, str, str]]:
    return [(one.get("key", ""), one.get("value", ""), one.get("effect", "")) for one in given]


OPERATIONS = {
    "CreateNodegroup": operation(
        create, "clusterName", "nodegroupName", "scalingConfig", "diskSize", "subnets", "instanceTypes", "amiType",
        "remoteAccess", "nodeRole", "labels", "taints", "tags", "updateConfig", "capacityType", "version", "launchTemplate",
    ),
    "DescribeNodegroup": operation(describe, "clusterName", "nodegroupName"),
    "ListNodegroups": operation(list_, "clusterName", *PAGED),
    "UpdateNodegroupConfig": operation(
        update_config, "clusterName", "nodegroupName", "labels", "taints", "scalingConfig", "updateConfig"
    ),
    "UpdateNodegroupVersion": operation(update_version, "clusterName", "nodegroupName", "version", "force"),
    "DeleteNodegroup": operation(delete, "clusterName", "nodegroupName"),
}  # fmt: skip
