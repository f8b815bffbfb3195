"""Auto Scaling: the groups that EKS's node groups name, as they are; they are scaled by EKS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, Service, operation
from vpclab.aws.times import moment
from vpclab.eks import Eks
from vpclab.eks.values import Nodegroup
from vpclab.region.filters import Reader, matching, page_start, page_token
from vpclab.region.values import ApiError, Instance, InstanceState, Tags

USUAL_PAGE, LONGEST_PAGE = 50, 100
"""MaxRecords (Auto Scaling API reference)."""


@dataclass(frozen=True, slots=True)
class _Group:
    """A node group as an Auto Scaling group."""

    id: str
    of: Nodegroup
    tags: Tags = field(default_factory=dict, hash=False)


def describe_groups(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeAutoScalingGroups."""
    eks = context.kept(Eks)
    size = p.get("MaxRecords", USUAL_PAGE)
    if not 1 <= size <= LONGEST_PAGE:
        raise ApiError("ValidationError", f"MaxRecords must be from 1 to {LONGEST_PAGE}.")
    names = p.get("AutoScalingGroupNames")
    groups = [_as_group(one) for one in eks.nodegroups.values() if names is None or one.asg_name in names]
    filters = {one["Name"]: tuple(one.get("Values", ())) for one in p.get("Filters", ())}
    try:
        chosen = list(matching(groups, filters, _READERS))
    except ApiError as error:
        raise ApiError("ValidationError", error.message) from None
    start = page_start(p.get("NextToken"), lambda _: ApiError("InvalidNextToken", "The token is not valid."))
    more = start + size < len(chosen)
    return {
        "AutoScalingGroups": [_item(context, one) for one in chosen[start : start + size]],
        "NextToken": page_token(start + size) if more else None,
    }


_READERS: Mapping[str, Reader[_Group]] = {"tag-value": lambda group: group.tags.values()}


def _as_group(group: Nodegroup) -> _Group:
    tags = {
        "eks:cluster-name": group.cluster,
        "eks:nodegroup-name": group.name,
        "k8s.io/cluster-autoscaler/enabled": "true",
        f"k8s.io/cluster-autoscaler/{group.cluster}": "owned",
        f"kubernetes.io/cluster/{group.cluster}": "owned",
    }
    return _Group(group.asg_name, group, tags)


def _item(context: Context, one: _Group) -> dict[str, Any]:
    region, group = context.region, one.of
    arn = f"arn:aws:autoscaling:{region.name}:{region.account}:autoScalingGroup:{group.uid}:autoScalingGroupName/{one.id}"
    zones = {region.subnets[key].zone for key in group.subnet_ids if key in region.subnets}
    return {
        "AutoScalingGroupName": one.id,
        "AutoScalingGroupARN": arn,
        "MinSize": group.scaling.minimum,
        "MaxSize": group.scaling.maximum,
        "DesiredCapacity": group.scaling.desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": sorted(zones),
        "VPCZoneIdentifier": ",".join(group.subnet_ids),
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 15,
        "CreatedTime": moment(group.created_at),
        "NewInstancesProtectedFromScaleIn": False,
        "Instances": [_instance(node) for node in context.kept(Eks).nodes_of((group.cluster, group.name))],
        "Tags": [
            {
                "ResourceId": one.id,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": True,
            }
            for key, value in one.tags.items()
        ],
    }


def _instance(node: Instance) -> dict[str, Any]:
    return {
        "InstanceId": node.id,
        "InstanceType": node.type,
        "AvailabilityZone": node.zone,
        "LifecycleState": "InService" if node.state is InstanceState.RUNNING else "Pending",
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
    }


SERVICE = Service(
    "autoscaling",
    {
        "DescribeAutoScalingGroups": operation(
            describe_groups, "AutoScalingGroupNames", "Filters", "MaxRecords", "NextToken"
        )
    },
)
