"""An instance's status and attributes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from vpclab.aws import items
from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import PAGED, Parameters, operation
from vpclab.region.errors import contradiction, invalid
from vpclab.region.filters import Reader, matching, paged
from vpclab.region.readers import STATE_CODES
from vpclab.region.region import Region
from vpclab.region.values import Instance, InstanceState

_STATUS: Mapping[str, Reader[Instance]] = {
    "availability-zone": lambda i: (i.zone,),
    "instance-state-name": lambda i: (i.state.value,),
    "instance-state-code": lambda i: (STATE_CODES[i.state],),
    "instance-status.status": lambda i: (_health(i),),
    "system-status.status": lambda i: (_health(i),),
}


def _health(instance: Instance) -> str:
    return "ok" if instance.state is InstanceState.RUNNING else "not-applicable"


def describe_status(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstanceStatus: of running ones, of all if asked."""
    asked = args.query(p, "InstanceIds")
    asked.check_page()
    candidates = [region.instance(key) for key in asked.ids] if asked.ids else list(region.instances.values())
    if not p.get("IncludeAllInstances"):
        candidates = [one for one in candidates if one.state is InstanceState.RUNNING]
    ordinals = {one.id: place for place, one in enumerate(candidates)}
    page = paged(matching(candidates, asked.filters, _STATUS), ordinals, asked.max_results, asked.next_token)
    return {
        "InstanceStatuses": [
            {
                "InstanceId": one.id,
                "AvailabilityZone": one.zone,
                "InstanceState": items.state(one.state),
                "InstanceStatus": _details(one),
                "SystemStatus": _details(one),
            }
            for one in page.items
        ],
        "NextToken": page.next_token,
    }


def _details(instance: Instance) -> dict[str, Any]:
    health = _health(instance)
    if health != "ok":
        return {"Status": health}
    return {"Status": health, "Details": [{"Name": "reachability", "Status": "passed"}]}


def describe_attribute(region: Region, p: Parameters) -> dict[str, Any]:
    """DescribeInstanceAttribute."""
    instance = region.instance(p["InstanceId"])
    primary = region.primary_eni(instance.id)
    known: Mapping[str, dict[str, Any]] = {
        "instanceType": {"InstanceType": {"Value": instance.type}},
        "groupSet": {"Groups": items.groups(region, primary.groups)},
        "sourceDestCheck": {"SourceDestCheck": {"Value": primary.source_dest_check}},
        "userData": {"UserData": {"Value": b64encode(instance.user_data.encode()).decode() or None}},
        "disableApiTermination": {"DisableApiTermination": {"Value": False}},
        "disableApiStop": {"DisableApiStop": {"Value": False}},
        "instanceInitiatedShutdownBehavior": {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}},
        "ebsOptimized": {"EbsOptimized": {"Value": False}},
        "rootDeviceName": {"RootDeviceName": {"Value": "/dev/xvda"}},
    }
    if p["Attribute"] not in known:
        raise invalid(f"Value ({p['Attribute']}) for parameter attribute is invalid. Unknown attribute.")
    return {"InstanceId": instance.id, **known[p["Attribute"]]}


def modify_attribute(region: Region, p: Parameters) -> dict[str, Any]:
    """ModifyInstanceAttribute: what is its primary ENI's."""
    given = [name for name in ("SourceDestCheck", "Groups") if name in p]
    if len(given) != 1:
        raise contradiction("Exactly one attribute may be modified at a time: SourceDestCheck or Groups")
    if len(region.enis_of(p["InstanceId"])) > 1:
        raise invalid(
            f"There are multiple interfaces attached to instance '{p['InstanceId']}'. "
            "Please specify an interface ID for the operation instead."
        )
    region.modify_network_interface(
        region.primary_eni(p["InstanceId"]).id,
        source_dest_check=p.get("SourceDestCheck", {}).get("Value"),
        groups=p.get("Groups"),
    )
    return {}


OPERATIONS = {
    "DescribeInstanceStatus": operation(describe_status, "InstanceIds", "IncludeAllInstances", *PAGED),
    "DescribeInstanceAttribute": operation(describe_attribute, "InstanceId", "Attribute"),
    "ModifyInstanceAttribute": operation(modify_attribute, "InstanceId", "SourceDestCheck", "Groups"),
}
