"""AWS::EKS: clusters, managed node groups, add-ons: what takes its time and has a status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.functions import text_of
from vpclab.cloudformation.resource_type import Context, ResourceType, changed, properties
from vpclab.cloudformation.types.shapes import TaggedInEks, flag, lowered, whole
from vpclab.cloudformation.values import Properties

_FAILED = frozenset({"FAILED", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"})


class _WithStatus(TaggedInEks):
    """What EKS tells the status of: it is there once it is ACTIVE."""

    def found(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        """As EKS describes it. Raises ApiError: ResourceNotFoundException."""
        raise NotImplementedError

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is ACTIVE. Raises ResourceFailed with what is wrong."""
        found = self.found(context, physical_id)
        status = str(found["status"])
        if status in _FAILED:
            issues = (found.get("health") or {}).get("issues") or ()
            why = "; ".join(str(one.get("message") or one.get("code")) for one in issues)
            what = self.name.rpartition("::")[2]
            raise ResourceFailed(f"{what} {physical_id} is {status}{f': {why}' if why else ''}")
        return status == "ACTIVE"

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """False while there is an answer; that there is none is told by ResourceNotFoundException."""
        self.settled(context, physical_id, p)
        return False


class Cluster(_WithStatus):
    """AWS::EKS::Cluster; Ref is its name."""

    name = "AWS::EKS::Cluster"
    properties = properties(
        replace="Name RoleArn KubernetesNetworkConfig BootstrapSelfManagedAddons",
        modify="Version ResourcesVpcConfig Logging AccessConfig Tags UpgradePolicy DeletionProtection EncryptionConfig",
        required="RoleArn ResourcesVpcConfig",
        inert="UpgradePolicy DeletionProtection EncryptionConfig BootstrapSelfManagedAddons",
    )
    attributes = frozenset(
        {
            "Arn", "CertificateAuthorityData", "ClusterSecurityGroupId", "Endpoint", "EncryptionConfigKeyArn", "Id",
            "OpenIdConnectIssuerUrl",
        }
    )  # fmt: skip

    def create(self, context: Context, p: Properties) -> str:
        """CreateCluster."""
        made = context.call(
            "eks",
            "CreateCluster",
            name=p.get("Name") or context.name(100),
            version=None if p.get("Version") is None else text_of(p["Version"]),
            roleArn=p["RoleArn"],
            resourcesVpcConfig=_vpc_config(p["ResourcesVpcConfig"]),
            kubernetesNetworkConfig=lowered(p.get("KubernetesNetworkConfig")),
            logging=_logging(p),
            accessConfig=_access(p),
            tags=self.tags(context, p),
        )
        return str(made["cluster"]["name"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        cluster = self.found(context, physical_id)
        network = cluster["resourcesVpcConfig"]
        return {
            "Arn": str(cluster["arn"]),
            "Id": physical_id,
            "Endpoint": str(cluster.get("endpoint") or ""),
            "CertificateAuthorityData": str((cluster.get("certificateAuthority") or {}).get("data") or ""),
            "ClusterSecurityGroupId": str(network.get("clusterSecurityGroupId") or ""),
            "EncryptionConfigKeyArn": "",
            "OpenIdConnectIssuerUrl": str(
                ((cluster.get("identity") or {}).get("oidc") or {}).get("issuer") or ""
            ),
        }

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """One of UpdateClusterVersion and UpdateClusterConfig, as EKS takes one change at a time; tags."""
        different = changed(old, new)
        steps: list[tuple[str, dict[str, Any]]] = []
        if "Version" in different:
            steps.append(("UpdateClusterVersion", {"version": text_of(new["Version"])}))
        if "ResourcesVpcConfig" in different:
            config = _vpc_config(new["ResourcesVpcConfig"])
            steps.append(("UpdateClusterConfig", {"resourcesVpcConfig": config}))
        if "Logging" in different:
            steps.append(("UpdateClusterConfig", {"logging": _logging(new, old)}))
        if "AccessConfig" in different:
            steps.append(("UpdateClusterConfig", {"accessConfig": _access(new)}))
        if len(steps) > 1:
            raise ResourceFailed(
                f"Only one type of update can be allowed at a time for cluster {physical_id}: {', '.join(different)}"
            )
        for action, given in steps:
            context.call("eks", action, name=physical_id, **given)
        arn = str(self.found(context, physical_id)["arn"])
        self.retag(context, arn, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteCluster."""
        context.call("eks", "DeleteCluster", name=physical_id)

    def found(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        """DescribeCluster."""
        found: Mapping[str, Any] = context.call("eks", "DescribeCluster", name=physical_id)["cluster"]
        return found


def _vpc_config(given: Properties) -> dict[str, Any]:
    found = dict(lowered(given))
    for name in ("endpointPublicAccess", "endpointPrivateAccess"):
        if name in found:
            found[name] = flag(found[name])
    return found


def _access(p: Properties) -> Any:
    found = lowered(p.get("AccessConfig"))
    if found and "bootstrapClusterCreatorAdminPermissions" in found:
        key = "bootstrapClusterCreatorAdminPermissions"
        found = {**found, key: flag(found[key])}
    return found


def _logging(p: Properties, old: Properties | None = None) -> Any:
    on = _log_types(p)
    off = [one for one in _log_types(old or {}) if one not in on]
    setups = [{"types": on, "enabled": True}] if on else []
    setups += [{"types": off, "enabled": False}] if off else []
    return {"clusterLogging": setups} if setups else None


def _log_types(p: Properties) -> list[str]:
    enabled = ((p.get("Logging") or {}).get("ClusterLogging") or {}).get("EnabledTypes") or ()
    return [str(one["Type"]) for one in enabled]


class Nodegroup(_WithStatus):
    """AWS::EKS::Nodegroup; Ref is CLUSTER/GROUP."""

    name = "AWS::EKS::Nodegroup"
    properties = properties(
        replace="ClusterName NodegroupName NodeRole Subnets InstanceTypes AmiType CapacityType DiskSize RemoteAccess",
        modify="ScalingConfig UpdateConfig Labels Taints Version ReleaseVersion LaunchTemplate Tags ForceUpdateEnabled"
        " NodeRepairConfig",
        required="ClusterName NodeRole Subnets",
        inert="ForceUpdateEnabled NodeRepairConfig",
    )
    attributes = frozenset({"Arn", "ClusterName", "Id", "NodegroupName"})
    note = "Its instances are nodes of the lab."

    def create(self, context: Context, p: Properties) -> str:
        """CreateNodegroup."""
        plain = ("InstanceTypes", "AmiType", "CapacityType", "Labels", "Version", "ReleaseVersion")
        made = context.call(
            "eks",
            "CreateNodegroup",
            clusterName=p["ClusterName"],
            nodegroupName=p.get("NodegroupName") or context.name(63),
            nodeRole=p["NodeRole"],
            subnets=p["Subnets"],
            scalingConfig=_numbers(p.get("ScalingConfig")),
            updateConfig=_numbers(p.get("UpdateConfig")),
            diskSize=whole(p.get("DiskSize")),
            taints=lowered(p.get("Taints")),
            remoteAccess=lowered(p.get("RemoteAccess")),
            launchTemplate=_launch_template(p),
            tags=self.tags(context, p),
            **{key[:1].lower() + key[1:]: p[key] for key in plain if key in p},
        )
        group = made["nodegroup"]
        return f"{group['clusterName']}/{group['nodegroupName']}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        cluster, _, name = physical_id.partition("/")
        arn = str(self.found(context, physical_id)["nodegroupArn"])
        return {"Arn": arn, "ClusterName": cluster, "Id": physical_id, "NodegroupName": name}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdateNodegroupConfig, UpdateNodegroupVersion; tags."""
        cluster, _, name = physical_id.partition("/")
        where = {"clusterName": cluster, "nodegroupName": name}
        different = changed(old, new)
        if {"ScalingConfig", "UpdateConfig", "Labels", "Taints"} & set(different):
            context.call(
                "eks",
                "UpdateNodegroupConfig",
                **where,
                scalingConfig=_numbers(new.get("ScalingConfig")) if "ScalingConfig" in different else None,
                updateConfig=_numbers(new.get("UpdateConfig")) if "UpdateConfig" in different else None,
                labels=_labels(old, new) if "Labels" in different else None,
                taints=_taints(old, new) if "Taints" in different else None,
            )
        if {"Version", "ReleaseVersion", "LaunchTemplate"} & set(different):
            context.call(
                "eks",
                "UpdateNodegroupVersion",
                **where,
                version=new.get("Version") if "Version" in different else None,
                releaseVersion=new.get("ReleaseVersion") if "ReleaseVersion" in different else None,
                launchTemplate=_launch_template(new) if "LaunchTemplate" in different else None,
            )
        arn = str(self.found(context, physical_id)["nodegroupArn"])
        self.retag(context, arn, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteNodegroup."""
        cluster, _, name = physical_id.partition("/")
        context.call("eks", "DeleteNodegroup", clusterName=cluster, nodegroupName=name)

    def tags(self, context: Context, p: Properties) -> dict[str, str]:
        """Of a mapping."""
        own = p.get("Tags") or {}
        return context.tags([{"Key": key, "Value": value} for key, value in own.items()])

    def found(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        """DescribeNodegroup."""
        cluster, _, name = physical_id.partition("/")
        found: Mapping[str, Any] = context.call(
            "eks", "DescribeNodegroup", clusterName=cluster, nodegroupName=name
        )["nodegroup"]
        return found


def _numbers(given: Properties | None) -> dict[str, int | None] | None:
    return None if given is None else {key: whole(value) for key, value in lowered(given).items()}


def _launch_template(p: Properties) -> dict[str, str] | None:
    given = p.get("LaunchTemplate")
    return None if given is None else {key: text_of(value) for key, value in lowered(given).items()}


def _labels(old: Properties, new: Properties) -> dict[str, Any]:
    had, wanted = old.get("Labels") or {}, new.get("Labels") or {}
    return {
        "addOrUpdateLabels": {key: value for key, value in wanted.items() if had.get(key) != value},
        "removeLabels": sorted(had.keys() - wanted.keys()),
    }


def _taints(old: Properties, new: Properties) -> dict[str, Any]:
    had, wanted = lowered(old.get("Taints") or []), lowered(new.get("Taints") or [])
    return {
        "addOrUpdateTaints": [one for one in wanted if one not in had],
        "removeTaints": [one for one in had if one not in wanted],
    }


class Addon(_WithStatus):
    """AWS::EKS::Addon; Ref is CLUSTER|ADDON."""

    name = "AWS::EKS::Addon"
    properties = properties(
        replace="ClusterName AddonName",
        modify="AddonVersion ConfigurationValues ServiceAccountRoleArn ResolveConflicts PreserveOnDelete Tags"
        " PodIdentityAssociations",
        required="ClusterName AddonName",
    )
    attributes = frozenset({"Arn"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateAddon."""
        context.call("eks", "CreateAddon", **self._given(p), tags=self.tags(context, p))
        return f"{p['ClusterName']}|{p['AddonName']}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Arn": str(self.found(context, physical_id)["addonArn"])}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdateAddon; tags."""
        shown = {"AddonVersion", "ConfigurationValues", "ServiceAccountRoleArn", "PodIdentityAssociations"}
        if shown & set(changed(old, new)):
            context.call("eks", "UpdateAddon", **self._given(new))
        arn = str(self.found(context, physical_id)["addonArn"])
        self.retag(context, arn, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteAddon."""
        cluster, _, name = physical_id.partition("|")
        preserve = flag(p.get("PreserveOnDelete"))
        context.call("eks", "DeleteAddon", clusterName=cluster, addonName=name, preserve=preserve)

    def _given(self, p: Properties) -> dict[str, Any]:
        names = (
            "ClusterName", "AddonName", "AddonVersion", "ConfigurationValues", "ServiceAccountRoleArn", "ResolveConflicts",
        )  # fmt: skip
        found = {name[:1].lower() + name[1:]: p[name] for name in names if name in p}
        if p.get("PodIdentityAssociations"):
            found["podIdentityAssociations"] = lowered(p["PodIdentityAssociations"])
        return found

    def found(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        """DescribeAddon."""
        cluster, _, name = physical_id.partition("|")
        found: Mapping[str, Any] = context.call("eks", "DescribeAddon", clusterName=cluster, addonName=name)[
            "addon"
        ]
        return found


TYPES: tuple[ResourceType, ...] = (Cluster(), Nodegroup(), Addon())
