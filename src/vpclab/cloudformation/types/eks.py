"""AWS::EKS: clusters, managed node groups, add-ons, access entries, pod identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.cloudformation.errors import ResourceFailed
from vpclab.cloudformation.functions import text_of
from vpclab.cloudformation.resource_type import Context, ResourceType, changed, properties
from vpclab.cloudformation.types.shapes import flag, lowered, whole
from vpclab.cloudformation.values import Properties

_FAILED = frozenset({"FAILED", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"})


def _settled(found: Mapping[str, Any], what: str) -> bool:
    """Whether it is ACTIVE. Raises ResourceFailed with what is wrong."""
    status = str(found["status"])
    if status in _FAILED:
        issues = (found.get("health") or {}).get("issues") or ()
        why = "; ".join(str(one.get("message") or one.get("code")) for one in issues)
        raise ResourceFailed(f"{what} is {status}{f': {why}' if why else ''}")
    return status == "ACTIVE"


class _OfEks(ResourceType):
    def _retag(self, context: Context, arn: str, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        gone = sorted(old.keys() - new.keys())
        if gone:
            context.call("eks", "UntagResource", resourceArn=arn, tagKeys=gone)
        if dict(new) != dict(old):
            context.call("eks", "TagResource", resourceArn=arn, tags=dict(new))


class Cluster(_OfEks):
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
            tags=context.tags(p.get("Tags")),
        )
        return str(made["cluster"]["name"])

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is ACTIVE. Raises ResourceFailed."""
        return _settled(self._cluster(context, physical_id), f"Cluster {physical_id}")

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        cluster = self._cluster(context, physical_id)
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
        arn = str(self._cluster(context, physical_id)["arn"])
        self._retag(context, arn, context.tags(old.get("Tags")), context.tags(new.get("Tags")))

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteCluster."""
        context.call("eks", "DeleteCluster", name=physical_id)

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """False while there is an answer; that there is none is told by ResourceNotFoundException."""
        _settled(self._cluster(context, physical_id), f"Cluster {physical_id}")
        return False

    def _cluster(self, context: Context, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = context.call("eks", "DescribeCluster", name=name)["cluster"]
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


class Nodegroup(_OfEks):
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
            remoteAccess=_remote(p.get("RemoteAccess")),
            launchTemplate=_launch_template(p),
            tags=self._tags(context, p),
            **{key[:1].lower() + key[1:]: p[key] for key in plain if key in p},
        )
        group = made["nodegroup"]
        return f"{group['clusterName']}/{group['nodegroupName']}"

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is ACTIVE. Raises ResourceFailed."""
        return _settled(self._group(context, physical_id), f"Nodegroup {physical_id}")

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        cluster, _, name = physical_id.partition("/")
        arn = str(self._group(context, physical_id)["nodegroupArn"])
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
        arn = str(self._group(context, physical_id)["nodegroupArn"])
        self._retag(context, arn, self._tags(context, old), self._tags(context, new))

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteNodegroup."""
        cluster, _, name = physical_id.partition("/")
        context.call("eks", "DeleteNodegroup", clusterName=cluster, nodegroupName=name)

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """False while there is an answer; that there is none is told by ResourceNotFoundException."""
        _settled(self._group(context, physical_id), f"Nodegroup {physical_id}")
        return False

    def _tags(self, context: Context, p: Properties) -> dict[str, str]:
        own = p.get("Tags") or {}
        return context.tags([{"Key": key, "Value": value} for key, value in own.items()])

    def _group(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        cluster, _, name = physical_id.partition("/")
        found: Mapping[str, Any] = context.call(
            "eks", "DescribeNodegroup", clusterName=cluster, nodegroupName=name
        )["nodegroup"]
        return found


def _numbers(given: Properties | None) -> dict[str, int | None] | None:
    return None if given is None else {key: whole(value) for key, value in lowered(given).items()}


def _remote(given: Properties | None) -> Any:
    return lowered(given)


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


class Addon(_OfEks):
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
        context.call("eks", "CreateAddon", **self._given(p), tags=context.tags(p.get("Tags")))
        return f"{p['ClusterName']}|{p['AddonName']}"

    def settled(self, context: Context, physical_id: str, p: Properties) -> bool:
        """Whether it is ACTIVE. Raises ResourceFailed."""
        return _settled(self._addon(context, physical_id), f"Addon {physical_id}")

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Arn": str(self._addon(context, physical_id)["addonArn"])}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdateAddon; tags."""
        shown = {"AddonVersion", "ConfigurationValues", "ServiceAccountRoleArn", "PodIdentityAssociations"}
        if shown & set(changed(old, new)):
            context.call("eks", "UpdateAddon", **self._given(new))
        arn = str(self._addon(context, physical_id)["addonArn"])
        self._retag(context, arn, context.tags(old.get("Tags")), context.tags(new.get("Tags")))

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteAddon."""
        cluster, _, name = physical_id.partition("|")
        preserve = flag(p.get("PreserveOnDelete"))
        context.call("eks", "DeleteAddon", clusterName=cluster, addonName=name, preserve=preserve)

    def gone(self, context: Context, physical_id: str, p: Properties) -> bool:
        """False while there is an answer; that there is none is told by ResourceNotFoundException."""
        _settled(self._addon(context, physical_id), f"Addon {physical_id}")
        return False

    def _given(self, p: Properties) -> dict[str, Any]:
        names = (
            "ClusterName", "AddonName", "AddonVersion", "ConfigurationValues", "ServiceAccountRoleArn", "ResolveConflicts",
        )  # fmt: skip
        found = {name[:1].lower() + name[1:]: p[name] for name in names if name in p}
        if p.get("PodIdentityAssociations"):
            found["podIdentityAssociations"] = lowered(p["PodIdentityAssociations"])
        return found

    def _addon(self, context: Context, physical_id: str) -> Mapping[str, Any]:
        cluster, _, name = physical_id.partition("|")
        found: Mapping[str, Any] = context.call("eks", "DescribeAddon", clusterName=cluster, addonName=name)[
            "addon"
        ]
        return found


class AccessEntry(_OfEks):
    """AWS::EKS::AccessEntry; Ref is PRINCIPAL|CLUSTER."""

    name = "AWS::EKS::AccessEntry"
    properties = properties(
        replace="ClusterName PrincipalArn Type",
        modify="KubernetesGroups Username AccessPolicies Tags",
        required="ClusterName PrincipalArn",
    )
    attributes = frozenset({"AccessEntryArn"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateAccessEntry, AssociateAccessPolicy."""
        plain = ("Type", "KubernetesGroups", "Username")
        context.call(
            "eks",
            "CreateAccessEntry",
            **self._where(p),
            tags=context.tags(p.get("Tags")),
            **{key[:1].lower() + key[1:]: p[key] for key in plain if key in p},
        )
        self._policies(context, {}, p)
        return f"{p['PrincipalArn']}|{p['ClusterName']}"

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"AccessEntryArn": str(self._entry(context, p)["accessEntryArn"])}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdateAccessEntry, policies, tags."""
        if {"KubernetesGroups", "Username"} & set(changed(old, new)):
            context.call(
                "eks",
                "UpdateAccessEntry",
                **self._where(new),
                kubernetesGroups=new.get("KubernetesGroups", []),
                username=new.get("Username"),
            )
        self._policies(context, old, new)
        arn = str(self._entry(context, new)["accessEntryArn"])
        self._retag(context, arn, context.tags(old.get("Tags")), context.tags(new.get("Tags")))

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteAccessEntry."""
        context.call("eks", "DeleteAccessEntry", **self._where(p))

    def _policies(self, context: Context, old: Properties, new: Properties) -> None:
        had = {one["PolicyArn"]: one for one in old.get("AccessPolicies") or ()}
        wanted = {one["PolicyArn"]: one for one in new.get("AccessPolicies") or ()}
        for arn in sorted(had.keys() - wanted.keys()):
            context.call("eks", "DisassociateAccessPolicy", **self._where(new), policyArn=arn)
        for arn, one in wanted.items():
            if had.get(arn) != one:
                scope = lowered(one["AccessScope"])
                context.call(
                    "eks", "AssociateAccessPolicy", **self._where(new), policyArn=arn, accessScope=scope
                )

    def _entry(self, context: Context, p: Properties) -> Mapping[str, Any]:
        found: Mapping[str, Any] = context.call("eks", "DescribeAccessEntry", **self._where(p))["accessEntry"]
        return found

    def _where(self, p: Properties) -> dict[str, Any]:
        return {"clusterName": p["ClusterName"], "principalArn": p["PrincipalArn"]}


class PodIdentity(_OfEks):
    """AWS::EKS::PodIdentityAssociation."""

    name = "AWS::EKS::PodIdentityAssociation"
    properties = properties(
        replace="ClusterName Namespace ServiceAccount",
        modify="RoleArn Tags",
        required="ClusterName Namespace ServiceAccount RoleArn",
    )
    attributes = frozenset({"AssociationArn", "AssociationId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreatePodIdentityAssociation."""
        made = context.call(
            "eks",
            "CreatePodIdentityAssociation",
            clusterName=p["ClusterName"],
            namespace=p["Namespace"],
            serviceAccount=p["ServiceAccount"],
            roleArn=p["RoleArn"],
            tags=context.tags(p.get("Tags")),
        )
        return str(made["association"]["associationId"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        found = context.call(
            "eks", "DescribePodIdentityAssociation", clusterName=p["ClusterName"], associationId=physical_id
        )
        return {"AssociationArn": str(found["association"]["associationArn"]), "AssociationId": physical_id}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """UpdatePodIdentityAssociation."""
        context.call(
            "eks",
            "UpdatePodIdentityAssociation",
            clusterName=new["ClusterName"],
            associationId=physical_id,
            roleArn=new["RoleArn"],
        )

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeletePodIdentityAssociation."""
        context.call(
            "eks", "DeletePodIdentityAssociation", clusterName=p["ClusterName"], associationId=physical_id
        )


TYPES: tuple[ResourceType, ...] = (Cluster(), Nodegroup(), Addon(), AccessEntry(), PodIdentity())
