"""Add-ons: those of clusters, and what is offered."""

from __future__ import annotations

from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, page, paged, tags
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation
from vpclab.eks.addons import offered_version
from vpclab.eks.catalogue import AMD64, ARM64, OFFERED, AddonVersion, OfferedAddon, offered
from vpclab.eks.errors import not_found
from vpclab.eks.schemas import schema_text
from vpclab.eks.versions import minor_of

OWNER = "aws"
PUBLISHER = "eks"


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateAddon."""
    state = eks(context)
    made = state.create_addon(
        p["clusterName"],
        p["addonName"],
        version=p.get("addonVersion"),
        configuration=p.get("configurationValues", ""),
        service_account_role=p.get("serviceAccountRoleArn", ""),
        resolve=p.get("resolveConflicts", "NONE"),
        pod_identities=_identities(p) or {},
        tags=tags(p),
    )
    return {"addon": items.addon(state, made)}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeAddon."""
    state = eks(context)
    return {"addon": items.addon(state, state.addon(p["clusterName"], p["addonName"]))}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListAddons."""
    state = eks(context)
    state.cluster(p["clusterName"])
    return page(p, "addons", (name for of, name in state.addons if of == p["clusterName"]))


def update(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateAddon."""
    begun = eks(context).update_addon(
        p["clusterName"],
        p["addonName"],
        version=p.get("addonVersion"),
        configuration=p.get("configurationValues"),
        service_account_role=p.get("serviceAccountRoleArn"),
        resolve=p.get("resolveConflicts", "NONE"),
        pod_identities=_identities(p),
    )
    return {"update": items.update(begun)}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteAddon; preserved or not, what runs on the nodes of a lab stays."""
    state = eks(context)
    return {"addon": items.addon(state, state.delete_addon(p["clusterName"], p["addonName"]))}


def describe_versions(_: Context, p: Parameters) -> dict[str, Any]:
    """DescribeAddonVersions."""
    kubernetes = p.get("kubernetesVersion")
    name = p.get("addonName")
    if name is not None and name not in OFFERED:
        raise not_found(f"Addon {name} not found", addonName=name)
    found = {
        one.name: _offered(one, kubernetes)
        for one in offered(kubernetes, name)
        if (not p.get("types") or one.type in p["types"])
        and (not p.get("owners") or OWNER in p["owners"])
        and (not p.get("publishers") or PUBLISHER in p["publishers"])
    }
    return paged(p, "addons", found)


def describe_configuration(_: Context, p: Parameters) -> dict[str, Any]:
    """DescribeAddonConfiguration."""
    one = offered_version(p["addonName"], p["addonVersion"])
    account = {"serviceAccount": one.service_account, "recommendedManagedPolicies": list(one.policies)}
    return {
        "addonName": one.name,
        "addonVersion": p["addonVersion"],
        "configurationSchema": schema_text(one.name),
        "podIdentityConfiguration": [account] if one.service_account else None,
    }


def _offered(one: OfferedAddon, kubernetes: str | None) -> dict[str, Any]:
    fitting = [version for version in one.versions if kubernetes is None or version.fits(kubernetes)]
    return {
        "addonName": one.name,
        "type": one.type,
        "addonVersions": [_version(one, version, kubernetes) for version in fitting],
        "publisher": PUBLISHER,
        "owner": OWNER,
        "defaultNamespace": one.namespace,
    }


def _version(one: OfferedAddon, version: AddonVersion, kubernetes: str | None) -> dict[str, Any]:
    clusters = version.clusters if kubernetes is None else (kubernetes,)
    return {
        "addonVersion": version.version,
        "architecture": [AMD64, ARM64],
        "computeTypes": list(one.computes),
        "compatibilities": [
            {
                "clusterVersion": cluster,
                "platformVersions": ["*"],
                "defaultVersion": one.default(cluster) == version.version,
            }
            for cluster in sorted(clusters, key=minor_of, reverse=True)
        ],
        "requiresConfiguration": False,
        "requiresIamPermissions": bool(one.policies),
    }


def _identities(p: Parameters) -> dict[str, str] | None:
    given = p.get("podIdentityAssociations")
    return None if given is None else {one["serviceAccount"]: one["roleArn"] for one in given}


OPERATIONS = {
    "CreateAddon": operation(
        create, "clusterName", "addonName", "addonVersion", "serviceAccountRoleArn", "resolveConflicts", "tags",
        "configurationValues", "podIdentityAssociations",
    ),
    "DescribeAddon": operation(describe, "clusterName", "addonName"),
    "ListAddons": operation(list_, "clusterName", *PAGED),
    "UpdateAddon": operation(
        update, "clusterName", "addonName", "addonVersion", "serviceAccountRoleArn", "resolveConflicts",
        "configurationValues", "podIdentityAssociations",
    ),
    "DeleteAddon": operation(delete, "clusterName", "addonName", "preserve"),
    "DescribeAddonVersions": operation(
        describe_versions, "kubernetesVersion", "addonName", "types", "publishers", "owners", *PAGED
    ),
    "DescribeAddonConfiguration": operation(describe_configuration, "addonName", "addonVersion"),
}  # fmt: skip
