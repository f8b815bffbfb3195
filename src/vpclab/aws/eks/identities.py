"""Pod identity associations, and tags."""

from __future__ import annotations

from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, paged, tags
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreatePodIdentityAssociation."""
    state = eks(context)
    made = state.identities.create(
        p["clusterName"],
        p["namespace"],
        p["serviceAccount"],
        p["roleArn"],
        disable_session_tags=p.get("disableSessionTags", False),
        tags=tags(p),
    )
    return {"association": items.identity(state, made)}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribePodIdentityAssociation."""
    state = eks(context)
    return {"association": items.identity(state, state.identities.get(p["clusterName"], p["associationId"]))}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListPodIdentityAssociations."""
    state = eks(context)
    state.cluster(p["clusterName"])
    found = {
        one.id: items.identity_summary(state, one)
        for one in state.pod_identities.values()
        if one.cluster == p["clusterName"]
        and p.get("namespace") in (None, one.namespace)
        and p.get("serviceAccount") in (None, one.service_account)
    }
    return paged(p, "associations", found)


def update(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdatePodIdentityAssociation."""
    state = eks(context)
    changed = state.identities.update(p["clusterName"], p["associationId"], p.get("roleArn"))
    return {"association": items.identity(state, changed)}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeletePodIdentityAssociation."""
    state = eks(context)
    gone = state.identities.get(p["clusterName"], p["associationId"])
    said = items.identity(state, gone)
    state.identities.delete(gone.cluster, gone.id)
    return {"association": said}


def list_tags(context: Context, p: Parameters) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"tags": dict(eks(context).tagging.of(p["resourceArn"]))}


def tag(context: Context, p: Parameters) -> dict[str, Any]:
    """TagResource."""
    eks(context).tagging.add(p["resourceArn"], tags(p))
    return {}


def untag(context: Context, p: Parameters) -> dict[str, Any]:
    """UntagResource."""
    eks(context).tagging.remove(p["resourceArn"], p["tagKeys"])
    return {}


OPERATIONS = {
    "CreatePodIdentityAssociation": operation(
        create, "clusterName", "namespace", "serviceAccount", "roleArn", "tags", "disableSessionTags"
    ),
    "DescribePodIdentityAssociation": operation(describe, "clusterName", "associationId"),
    "ListPodIdentityAssociations": operation(list_, "clusterName", "namespace", "serviceAccount", *PAGED),
    "UpdatePodIdentityAssociation": operation(update, "clusterName", "associationId", "roleArn"),
    "DeletePodIdentityAssociation": operation(delete, "clusterName", "associationId"),
    "ListTagsForResource": operation(list_tags, "resourceArn"),
    "TagResource": operation(tag, "resourceArn", "tags"),
    "UntagResource": operation(untag, "resourceArn", "tagKeys"),
}
