"""Access entries and their policies."""

from __future__ import annotations

from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, page, paged, tags
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation
from vpclab.eks.access import POLICIES, PREFIX


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateAccessEntry."""
    state = eks(context)
    entry = state.access.create(
        p["clusterName"],
        p["principalArn"],
        type_=p.get("type", "STANDARD"),
        username=p.get("username"),
        groups=p.get("kubernetesGroups", ()),
        tags=tags(p),
    )
    return {"accessEntry": items.access_entry(state, entry)}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeAccessEntry."""
    state = eks(context)
    return {"accessEntry": items.access_entry(state, state.access.get(p["clusterName"], p["principalArn"]))}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListAccessEntries."""
    state = eks(context)
    state.cluster(p["clusterName"])
    policy = p.get("associatedPolicyArn")
    found = [
        principal
        for of, principal in state.entries
        if of == p["clusterName"] and (policy is None or policy in state.policies.get((of, principal), {}))
    ]
    return page(p, "accessEntries", found)


def update(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateAccessEntry."""
    state = eks(context)
    entry = state.access.update(
        p["clusterName"],
        p["principalArn"],
        username=p.get("username"),
        groups=p.get("kubernetesGroups"),
    )
    return {"accessEntry": items.access_entry(state, entry)}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteAccessEntry."""
    eks(context).access.delete(p["clusterName"], p["principalArn"])
    return {}


def associate(context: Context, p: Parameters) -> dict[str, Any]:
    """AssociateAccessPolicy."""
    scope = p["accessScope"]
    made = eks(context).access.associate(
        p["clusterName"],
        p["principalArn"],
        p["policyArn"],
        scope.get("type", ""),
        scope.get("namespaces", ()),
    )
    return {
        "clusterName": p["clusterName"],
        "principalArn": p["principalArn"],
        "associatedAccessPolicy": items.policy(made),
    }


def disassociate(context: Context, p: Parameters) -> dict[str, Any]:
    """DisassociateAccessPolicy."""
    eks(context).access.disassociate(p["clusterName"], p["principalArn"], p["policyArn"])
    return {}


def list_associated(context: Context, p: Parameters) -> dict[str, Any]:
    """ListAssociatedAccessPolicies."""
    state = eks(context)
    state.access.get(p["clusterName"], p["principalArn"])
    held = state.policies.get((p["clusterName"], p["principalArn"]), {})
    listed = paged(p, "associatedAccessPolicies", {arn: items.policy(one) for arn, one in held.items()})
    return {"clusterName": p["clusterName"], "principalArn": p["principalArn"], **listed}


def list_policies(_: Context, p: Parameters) -> dict[str, Any]:
    """ListAccessPolicies."""
    return paged(p, "accessPolicies", {name: {"name": name, "arn": PREFIX + name} for name in POLICIES})


_ENTRY = ("clusterName", "principalArn")
OPERATIONS = {
    "CreateAccessEntry": operation(create, *_ENTRY, "kubernetesGroups", "tags", "username", "type"),
    "DescribeAccessEntry": operation(describe, *_ENTRY),
    "ListAccessEntries": operation(list_, "clusterName", "associatedPolicyArn", *PAGED),
    "UpdateAccessEntry": operation(update, *_ENTRY, "kubernetesGroups", "username"),
    "DeleteAccessEntry": operation(delete, *_ENTRY),
    "AssociateAccessPolicy": operation(associate, *_ENTRY, "policyArn", "accessScope"),
    "DisassociateAccessPolicy": operation(disassociate, *_ENTRY, "policyArn"),
    "ListAssociatedAccessPolicies": operation(list_associated, *_ENTRY, *PAGED),
    "ListAccessPolicies": operation(list_policies, *PAGED),
}
