"""Roles and the policies on them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from vpclab.aws.iam.records import Records, Role, conflict, document, exists, paged, tag_list, tags_of
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.aws.times import moment
from vpclab.region.values import ApiError

PAGED = ("Marker", "MaxItems")


def role_item(records: Records, role: Role) -> dict[str, Any]:
    """One of GetRole and ListRoles."""
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": records.arn("role", role.path, role.name),
        "CreateDate": moment(role.created),
        "AssumeRolePolicyDocument": quote(role.trust, safe=""),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session,
        "Tags": tag_list(role.tags),
    }


def create_role(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateRole."""
    records = context.kept(Records)
    name = p["RoleName"]
    if name in records.roles:
        raise exists(f"Role with name {name}")
    trust = document(p["AssumeRolePolicyDocument"])
    role = Role(
        name,
        p.get("Path", "/"),
        records.new_id("AROA"),
        trust,
        context.region.now,
        p.get("Description", ""),
        p.get("MaxSessionDuration", 3600),
        tags_of(p),
    )
    records.roles[name] = role
    return {"Role": role_item(records, role)}


def get_role(context: Context, p: Parameters) -> dict[str, Any]:
    """GetRole."""
    records = context.kept(Records)
    return {"Role": role_item(records, records.role(p["RoleName"]))}


def list_roles(context: Context, p: Parameters) -> dict[str, Any]:
    """ListRoles."""
    records = context.kept(Records)
    prefix = p.get("PathPrefix", "/")
    page, rest = paged((one for one in records.roles.values() if one.path.startswith(prefix)), p)
    return {"Roles": [role_item(records, one) for one in page], **rest}


def delete_role(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteRole."""
    records = context.kept(Records)
    role = records.role(p["RoleName"])
    if any(role.name in profile.roles for profile in records.profiles.values()):
        raise conflict("Cannot delete entity, must remove roles from instance profile first.")
    if role.attached:
        raise conflict("Cannot delete entity, must detach all policies first.")
    if role.inline:
        raise conflict("Cannot delete entity, must delete policies first.")
    del records.roles[role.name]
    return {}


def update_trust(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateAssumeRolePolicy."""
    context.kept(Records).role(p["RoleName"]).trust = document(p["PolicyDocument"])
    return {}


def update_role(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateRole."""
    role = context.kept(Records).role(p["RoleName"])
    role.description = p.get("Description", role.description)
    role.max_session = p.get("MaxSessionDuration", role.max_session)
    return {}


def tag_role(context: Context, p: Parameters) -> dict[str, Any]:
    """TagRole."""
    context.kept(Records).role(p["RoleName"]).tags.update(tags_of(p))
    return {}


def untag_role(context: Context, p: Parameters) -> dict[str, Any]:
    """UntagRole."""
    role = context.kept(Records).role(p["RoleName"])
    role.tags = {key: value for key, value in role.tags.items() if key not in p["TagKeys"]}
    return {}


def list_role_tags(context: Context, p: Parameters) -> dict[str, Any]:
    """ListRoleTags."""
    page, rest = paged(tag_list(context.kept(Records).role(p["RoleName"]).tags), p)
    return {"Tags": page, **rest}


def attach(context: Context, p: Parameters) -> dict[str, Any]:
    """AttachRolePolicy."""
    records = context.kept(Records)
    role = records.role(p["RoleName"])
    records.policy(p["PolicyArn"])
    if p["PolicyArn"] not in role.attached:
        role.attached.append(p["PolicyArn"])
    return {}


def detach(context: Context, p: Parameters) -> dict[str, Any]:
    """DetachRolePolicy."""
    role = context.kept(Records).role(p["RoleName"])
    if p["PolicyArn"] not in role.attached:
        raise ApiError("NoSuchEntity", f"Policy {p['PolicyArn']} was not found.", 404)
    role.attached.remove(p["PolicyArn"])
    return {}


def list_attached(context: Context, p: Parameters) -> dict[str, Any]:
    """ListAttachedRolePolicies."""
    page, rest = paged(context.kept(Records).role(p["RoleName"]).attached, p)
    return {
        "AttachedPolicies": [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in page],
        **rest,
    }


def put_inline(context: Context, p: Parameters) -> dict[str, Any]:
    """PutRolePolicy."""
    context.kept(Records).role(p["RoleName"]).inline[p["PolicyName"]] = document(p["PolicyDocument"])
    return {}


def get_inline(context: Context, p: Parameters) -> dict[str, Any]:
    """GetRolePolicy."""
    role = context.kept(Records).role(p["RoleName"])
    return {
        "RoleName": role.name,
        "PolicyName": p["PolicyName"],
        "PolicyDocument": quote(role.inline[_inline(role, p["PolicyName"])], safe=""),
    }


def delete_inline(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteRolePolicy."""
    role = context.kept(Records).role(p["RoleName"])
    del role.inline[_inline(role, p["PolicyName"])]
    return {}


def list_inline(context: Context, p: Parameters) -> dict[str, Any]:
    """ListRolePolicies."""
    page, rest = paged(context.kept(Records).role(p["RoleName"]).inline, p)
    return {"PolicyNames": page, **rest}


def _inline(role: Role, name: str) -> str:
    if name not in role.inline:
        raise ApiError("NoSuchEntity", f"The role policy with name {name} cannot be found.", 404)
    return name


OPERATIONS = {
    "CreateRole": operation(
        create_role,
        "RoleName",
        "Path",
        "AssumeRolePolicyDocument",
        "Description",
        "MaxSessionDuration",
        "PermissionsBoundary",
        "Tags",
    ),
    "GetRole": operation(get_role, "RoleName"),
    "ListRoles": operation(list_roles, "PathPrefix", *PAGED),
    "DeleteRole": operation(delete_role, "RoleName"),
    "UpdateRole": operation(update_role, "RoleName", "Description", "MaxSessionDuration"),
    "UpdateAssumeRolePolicy": operation(update_trust, "RoleName", "PolicyDocument"),
    "TagRole": operation(tag_role, "RoleName", "Tags"),
    "UntagRole": operation(untag_role, "RoleName", "TagKeys"),
    "ListRoleTags": operation(list_role_tags, "RoleName", *PAGED),
    "AttachRolePolicy": operation(attach, "RoleName", "PolicyArn"),
    "DetachRolePolicy": operation(detach, "RoleName", "PolicyArn"),
    "ListAttachedRolePolicies": operation(list_attached, "RoleName", *PAGED),
    "PutRolePolicy": operation(put_inline, "RoleName", "PolicyName", "PolicyDocument"),
    "GetRolePolicy": operation(get_inline, "RoleName", "PolicyName"),
    "DeleteRolePolicy": operation(delete_inline, "RoleName", "PolicyName"),
    "ListRolePolicies": operation(list_inline, "RoleName", *PAGED),
}
