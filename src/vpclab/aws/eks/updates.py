"""Updates that are under way or over, and the lists of what a lab never has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, page
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeUpdate."""
    state = eks(context)
    found = state.update(p["name"], p["updateId"], nodegroup=p.get("nodegroupName"), addon=p.get("addonName"))
    return {"update": items.update(found)}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListUpdates."""
    state = eks(context)
    state.cluster(p["name"])
    of = (p["name"], p.get("nodegroupName", ""), p.get("addonName", ""))
    found = (one.id for one in state.updates.values() if (one.cluster, one.nodegroup, one.addon) == of)
    return page(p, "updateIds", found)


def _none(member: str) -> Callable[[Context, Parameters], dict[str, Any]]:
    def empty(context: Context, p: Parameters) -> dict[str, Any]:
        eks(context).cluster(p["clusterName"])
        return page(p, member, ())

    return empty


OPERATIONS = {
    "DescribeUpdate": operation(describe, "name", "updateId", "nodegroupName", "addonName"),
    "ListUpdates": operation(list_, "name", "nodegroupName", "addonName", *PAGED),
    "ListFargateProfiles": operation(_none("fargateProfileNames"), "clusterName", *PAGED),
    "ListIdentityProviderConfigs": operation(_none("identityProviderConfigs"), "clusterName", *PAGED),
}
