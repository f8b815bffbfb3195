"""AWS::EC2: instances and launch templates."""

from __future__ import annotations

from typing import Any

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.resource_type import Context, ResourceType, changed, properties
from vpclab.cloudformation.types.shapes import Tagged, flag, only, retagged, specified, whole
from vpclab.cloudformation.values import Properties

_PLAIN = (
    "ImageId",
    "InstanceType",
    "KeyName",
    "SubnetId",
    "SecurityGroupIds",
    "PrivateIpAddress",
    "UserData",
)
_INERT = (
    "BlockDeviceMappings CreditSpecification DisableApiTermination EbsOptimized Monitoring PropagateTagsToVolumeOnCreation"
    " Tenancy Volumes"
)


def interface(given: Properties) -> dict[str, Any]:
    """A new network interface of a launch."""
    found: dict[str, Any] = {
        "DeviceIndex": whole(given.get("DeviceIndex", 0)),
        "SubnetId": given.get("SubnetId"),
        "Groups": given.get("GroupSet") or given.get("Groups"),
        "PrivateIpAddress": given.get("PrivateIpAddress"),
        "AssociatePublicIpAddress": flag(given.get("AssociatePublicIpAddress")),
        "DeleteOnTermination": flag(given.get("DeleteOnTermination")),
    }
    return {key: value for key, value in found.items() if value is not None}


class Instance(Tagged):
    """AWS::EC2::Instance."""

    name = "AWS::EC2::Instance"
    properties = properties(
        replace="ImageId KeyName SubnetId PrivateIpAddress NetworkInterfaces AvailabilityZone LaunchTemplate InstanceType"
        " UserData IamInstanceProfile",
        modify=f"SecurityGroupIds SourceDestCheck Tags {_INERT}",
        inert=f"AvailabilityZone {_INERT}",
    )
    attributes = frozenset(
        {
            "AvailabilityZone",
            "InstanceId",
            "PrivateDnsName",
            "PrivateIp",
            "PublicDnsName",
            "PublicIp",
            "VpcId",
        }
    )
    note = (
        "Boots a machine of the lab. AWS stops and starts an instance whose type, user data or profile changes; the lab"
        " makes another one."
    )

    def create(self, context: Context, p: Properties) -> str:
        """RunInstances, and AttachNetworkInterface for interfaces that are there already."""
        fresh = [one for one in p.get("NetworkInterfaces", ()) if "NetworkInterfaceId" not in one]
        ready = [one for one in p.get("NetworkInterfaces", ()) if "NetworkInterfaceId" in one]
        if any(whole(one.get("DeviceIndex", 0)) == 0 for one in ready):
            raise ResourceFailed(
                "The lab launches with a new interface at device index 0, not an existing one."
            )
        profile = p.get("IamInstanceProfile")
        made = context.call(
            "ec2",
            "RunInstances",
            MinCount=1,
            MaxCount=1,
            NetworkInterfaces=[interface(one) for one in fresh] or None,
            IamInstanceProfile=None if profile is None else {"Name": profile},
            LaunchTemplate=p.get("LaunchTemplate"),
            TagSpecifications=specified(context, "instance", p),
            **{key: p[key] for key in _PLAIN if key in p},
        )
        instance_id = str(made["Instances"][0]["InstanceId"])
        for one in ready:
            context.call(
                "ec2",
                "AttachNetworkInterface",
                InstanceId=instance_id,
                NetworkInterfaceId=one["NetworkInterfaceId"],
                DeviceIndex=whole(one["DeviceIndex"]),
            )
        if "SourceDestCheck" in p:
            self._check_source(context, instance_id, p)
        return instance_id

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it runs. Raises ResourceFailed."""
        state = self._state(context, physical_id)
        if state in ("shutting-down", "terminated"):
            raise ResourceFailed(f"Instance {physical_id} was terminated while it was launched.")
        return state == "running"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        instance = self._instance(context, physical_id)
        return {
            "InstanceId": physical_id,
            "AvailabilityZone": str(instance["Placement"]["AvailabilityZone"]),
            "PrivateDnsName": str(instance.get("PrivateDnsName") or ""),
            "PrivateIp": str(instance.get("PrivateIpAddress") or ""),
            "PublicDnsName": str(instance.get("PublicDnsName") or ""),
            "PublicIp": str(instance.get("PublicIpAddress") or ""),
            "VpcId": str(instance.get("VpcId") or ""),
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Groups and source check of the primary interface; tags."""
        if "SecurityGroupIds" in changed(old, new) and new.get("SecurityGroupIds"):
            self._modify(context, physical_id, Groups=new["SecurityGroupIds"])
        if "SourceDestCheck" in changed(old, new):
            self._check_source(context, physical_id, new)
        retagged(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """TerminateInstances."""
        context.call("ec2", "TerminateInstances", InstanceIds=[physical_id])

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is terminated."""
        return self._state(context, physical_id) == "terminated"

    def _check_source(self, context: Context, instance_id: str, p: Properties) -> None:
        self._modify(context, instance_id, SourceDestCheck={"Value": flag(p.get("SourceDestCheck", True))})

    def _modify(self, context: Context, instance_id: str, **given: Any) -> None:
        interfaces = self._instance(context, instance_id)["NetworkInterfaces"]
        primary = next(one for one in interfaces if one["Attachment"]["DeviceIndex"] == 0)
        context.call(
            "ec2",
            "ModifyNetworkInterfaceAttribute",
            NetworkInterfaceId=primary["NetworkInterfaceId"],
            **given,
        )

    def _state(self, context: Context, instance_id: str) -> str:
        return str(self._instance(context, instance_id)["State"]["Name"])

    def _instance(self, context: Context, instance_id: str) -> Any:
        found = context.call("ec2", "DescribeInstances", InstanceIds=[instance_id])
        return only(only(found, "Reservations"), "Instances")


class LaunchTemplate(ResourceType):
    """AWS::EC2::LaunchTemplate."""

    name = "AWS::EC2::LaunchTemplate"
    properties = properties(
        replace="LaunchTemplateName",
        modify="LaunchTemplateData VersionDescription TagSpecifications",
        required="LaunchTemplateData",
    )
    attributes = frozenset({"DefaultVersionNumber", "LatestVersionNumber", "LaunchTemplateId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateLaunchTemplate."""
        made = context.call(
            "ec2",
            "CreateLaunchTemplate",
            LaunchTemplateName=p.get("LaunchTemplateName") or context.name(128),
            LaunchTemplateData=launch_data(p["LaunchTemplateData"]),
            VersionDescription=p.get("VersionDescription"),
            TagSpecifications=specified(context, "launch-template", {"Tags": _own_tags(p)}),
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        found = context.call("ec2", "DescribeLaunchTemplates", LaunchTemplateIds=[physical_id])
        template = only(found, "LaunchTemplates")
        return {
            "LaunchTemplateId": physical_id,
            "DefaultVersionNumber": str(template["DefaultVersionNumber"]),
            "LatestVersionNumber": str(template["LatestVersionNumber"]),
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """CreateLaunchTemplateVersion: others than the default one are made, as with AWS."""
        if "LaunchTemplateData" in changed(old, new):
            context.call(
                "ec2",
                "CreateLaunchTemplateVersion",
                LaunchTemplateId=physical_id,
                LaunchTemplateData=launch_data(new["LaunchTemplateData"]),
                VersionDescription=new.get("VersionDescription"),
            )

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteLaunchTemplate."""
        context.call("ec2", "DeleteLaunchTemplate", LaunchTemplateId=physical_id)


def launch_data(given: Properties) -> dict[str, Any]:
    """LaunchTemplateData with its numbers and truths as such. Raises ValueError."""
    found = dict(given)
    if "NetworkInterfaces" in given:
        found["NetworkInterfaces"] = [interface(one) for one in given["NetworkInterfaces"]]
    options = dict(given.get("MetadataOptions") or {})
    if "HttpPutResponseHopLimit" in options:
        options["HttpPutResponseHopLimit"] = whole(options["HttpPutResponseHopLimit"])
    return found | ({"MetadataOptions": options} if options else {})


def _own_tags(p: Properties) -> list[Any]:
    return [tag for one in p.get("TagSpecifications", ()) for tag in one.get("Tags", ())]


TYPES: tuple[ResourceType, ...] = (Instance(), LaunchTemplate())
