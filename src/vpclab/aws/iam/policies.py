"""Managed policies."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from vpclab.aws.iam.records import Policy, Records, conflict, document, exists, paged, tag_list, tags_of
from vpclab.aws.iam.roles import PAGED
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.aws.times import moment
from vpclab.region.values import ApiError

MOST_VERSIONS = 5
"""Of a policy (IAM user guide, quotas)."""


def _item(records: Records, arn: str, policy: Policy) -> dict[str, Any]:
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default,
        "AttachmentCount": sum(arn in role.attached for role in records.roles.values()),
        "IsAttachable": True,
        "Description": policy.description or None,
        "CreateDate": moment(policy.created),
        "UpdateDate": moment(policy.created),
        "Tags": tag_list(policy.tags),
    }


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreatePolicy."""
    records = context.kept(Records)
    path = p.get("Path", "/")
    arn = records.arn("policy", path, p["PolicyName"])
    if arn in records.policies:
        raise exists(f"A policy called {p['PolicyName']}")
    versions = {"v1": document(p["PolicyDocument"])}
    policy = Policy(
        p["PolicyName"],
        path,
        records.new_id("ANPA"),
        context.region.now,
        p.get("Description", ""),
        versions,
        tags=tags_of(p),
    )
    records.policies[arn] = policy
    return {"Policy": _item(records, arn, policy)}


def get(context: Context, p: Parameters) -> dict[str, Any]:
    """GetPolicy."""
    records = context.kept(Records)
    return {"Policy": _item(records, p["PolicyArn"], records.policy(p["PolicyArn"]))}


def get_version(context: Context, p: Parameters) -> dict[str, Any]:
    """GetPolicyVersion."""
    policy = context.kept(Records).policy(p["PolicyArn"])
    version = p["VersionId"]
    if version not in policy.versions:
        raise ApiError("NoSuchEntity", f"Policy {p['PolicyArn']} version {version} does not exist", 404)
    return {
        "PolicyVersion": {
            "Document": quote(policy.versions[version], safe=""),
            "VersionId": version,
            "IsDefaultVersion": version == policy.default,
            "CreateDate": moment(policy.created),
        }
    }


def create_version(context: Context, p: Parameters) -> dict[str, Any]:
    """CreatePolicyVersion: of the account's own, five at a time."""
    policy = _own(context.kept(Records), p["PolicyArn"])
    if len(policy.versions) >= MOST_VERSIONS:
        raise ApiError(
            "LimitExceeded",
            f"A managed policy can have up to {MOST_VERSIONS} versions. Before you create a new version, "
            "you must delete an existing version.",
            409,
        )
    version = f"v{max(int(one[1:]) for one in policy.versions) + 1}"
    policy.versions[version] = document(p["PolicyDocument"])
    if p.get("SetAsDefault"):
        policy.default = version
    return {
        "PolicyVersion": {
            "VersionId": version,
            "IsDefaultVersion": version == policy.default,
            "CreateDate": moment(context.region.now),
        }
    }


def delete_version(context: Context, p: Parameters) -> dict[str, Any]:
    """DeletePolicyVersion: not the default one."""
    policy = _own(context.kept(Records), p["PolicyArn"])
    version = p["VersionId"]
    if version not in policy.versions:
        raise ApiError("NoSuchEntity", f"Policy {p['PolicyArn']} version {version} does not exist", 404)
    if version == policy.default:
        raise conflict("Cannot delete the default version of a policy.")
    del policy.versions[version]
    return {}


def _own(records: Records, arn: str) -> Policy:
    records.policy(arn)
    if arn not in records.policies:
        raise ApiError("AccessDenied", f"{arn} is AWS's own policy.", 403)
    return records.policies[arn]


def list_policies(context: Context, p: Parameters) -> dict[str, Any]:
    """ListPolicies: the account's own; AWS's are not listed."""
    records = context.kept(Records)
    own = () if p.get("Scope") == "AWS" else records.policies.items()
    page, rest = paged(own, p)
    return {"Policies": [_item(records, arn, policy) for arn, policy in page], **rest}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeletePolicy."""
    records = context.kept(Records)
    arn = p["PolicyArn"]
    _own(records, arn)
    if any(arn in role.attached for role in records.roles.values()):
        raise conflict("Cannot delete a policy attached to entities.")
    del records.policies[arn]
    return {}


OPERATIONS = {
    "CreatePolicy": operation(create, "PolicyName", "Path", "PolicyDocument", "Description", "Tags"),
    "GetPolicy": operation(get, "PolicyArn"),
    "GetPolicyVersion": operation(get_version, "PolicyArn", "VersionId"),
    "CreatePolicyVersion": operation(create_version, "PolicyArn", "PolicyDocument", "SetAsDefault"),
    "DeletePolicyVersion": operation(delete_version, "PolicyArn", "VersionId"),
    "ListPolicies": operation(list_policies, "Scope", *PAGED),
    "DeletePolicy": operation(delete, "PolicyArn"),
}
