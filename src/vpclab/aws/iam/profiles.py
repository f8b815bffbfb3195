"""Instance profiles."""

from __future__ import annotations

from typing import Any

from vpclab.aws.iam.records import Profile, Records, conflict, exists, paged, tag_list, tags_of
from vpclab.aws.iam.roles import PAGED, role_item
from vpclab.aws.protocols.form import Parameters
from vpclab.aws.service import Context, operation
from vpclab.aws.times import moment
from vpclab.region.values import ApiError


def _item(records: Records, profile: Profile) -> dict[str, Any]:
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": records.arn("instance-profile", profile.path, profile.name),
        "CreateDate": moment(profile.created),
        "Roles": [role_item(records, records.roles[name]) for name in profile.roles if name in records.roles],
        "Tags": tag_list(profile.tags),
    }


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateInstanceProfile."""
    records = context.kept(Records)
    name = p["InstanceProfileName"]
    if name in records.profiles:
        raise exists(f"Instance Profile {name}")
    profile = Profile(name, p.get("Path", "/"), records.new_id("AIPA"), context.region.now, tags=tags_of(p))
    records.profiles[name] = profile
    return {"InstanceProfile": _item(records, profile)}


def get(context: Context, p: Parameters) -> dict[str, Any]:
    """GetInstanceProfile."""
    records = context.kept(Records)
    return {"InstanceProfile": _item(records, records.profile(p["InstanceProfileName"]))}


def list_profiles(context: Context, p: Parameters) -> dict[str, Any]:
    """ListInstanceProfiles."""
    records = context.kept(Records)
    page, rest = paged(records.profiles.values(), p)
    return {"InstanceProfiles": [_item(records, one) for one in page], **rest}


def of_role(context: Context, p: Parameters) -> dict[str, Any]:
    """ListInstanceProfilesForRole."""
    records = context.kept(Records)
    role = records.role(p["RoleName"])
    page, rest = paged((one for one in records.profiles.values() if role.name in one.roles), p)
    return {"InstanceProfiles": [_item(records, one) for one in page], **rest}


def add_role(context: Context, p: Parameters) -> dict[str, Any]:
    """AddRoleToInstanceProfile: one role at most."""
    records = context.kept(Records)
    profile, role = records.profile(p["InstanceProfileName"]), records.role(p["RoleName"])
    if profile.roles:
        raise ApiError("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409)
    profile.roles.append(role.name)
    return {}


def remove_role(context: Context, p: Parameters) -> dict[str, Any]:
    """RemoveRoleFromInstanceProfile."""
    records = context.kept(Records)
    profile, role = records.profile(p["InstanceProfileName"]), records.role(p["RoleName"])
    if role.name not in profile.roles:
        raise ApiError("NoSuchEntity", f"Role {role.name} not found in Instance Profile {profile.name}.", 404)
    profile.roles.remove(role.name)
    return {}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteInstanceProfile."""
    records = context.kept(Records)
    profile = records.profile(p["InstanceProfileName"])
    if profile.roles:
        raise conflict("Cannot delete entity, must remove roles from instance profile first.")
    del records.profiles[profile.name]
    return {}


OPERATIONS = {
    "CreateInstanceProfile": operation(create, "InstanceProfileName", "Path", "Tags"),
    "GetInstanceProfile": operation(get, "InstanceProfileName"),
    "ListInstanceProfiles": operation(list_profiles, *PAGED),
    "ListInstanceProfilesForRole": operation(of_role, "RoleName", *PAGED),
    "AddRoleToInstanceProfile": operation(add_role, "InstanceProfileName", "RoleName"),
    "RemoveRoleFromInstanceProfile": operation(remove_role, "InstanceProfileName", "RoleName"),
    "DeleteInstanceProfile": operation(delete, "InstanceProfileName"),
}
