"""AWS::IAM: roles, instance profiles, policies, identity providers, by IAM's own calls. The lab does not enforce policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from vpclab.cloudformation.resource_type import Context, ResourceType, changed, properties
from vpclab.cloudformation.types.shapes import whole
from vpclab.cloudformation.values import Properties
from vpclab.region.values import ApiError


def _document(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given, default=str)


def _tags(context: Context, p: Properties) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in context.tags(p.get("Tags")).items()]


def _retag(context: Context, kind: str, of: Mapping[str, str], old: Properties, new: Properties) -> None:
    """What the template no longer has goes; `of` is what the calls name the bearer by."""
    tags = _tags(context, new)
    gone = {str(one["Key"]) for one in old.get("Tags") or ()} - {one["Key"] for one in tags}
    if gone:
        context.call("iam", f"Untag{kind}", **of, TagKeys=sorted(gone))
    if tags:
        context.call("iam", f"Tag{kind}", **of, Tags=tags)


def _difference(
    old: Iterable[str], new: Iterable[str], take: Callable[[str], object], give: Callable[[str], object]
) -> None:
    before, after = list(dict.fromkeys(old)), list(dict.fromkeys(new))
    for one in before:
        if one not in after:
            take(one)
    for one in after:
        if one not in before:
            give(one)


def _tolerant(call: Callable[[], object]) -> None:
    """What is gone already, by hand or with what bore it, is as good as taken away."""
    try:
        call()
    except ApiError as error:
        if error.code != "NoSuchEntity":
            raise


class Role(ResourceType):
    """AWS::IAM::Role."""

    name = "AWS::IAM::Role"
    properties = properties(
        replace="RoleName Path",
        modify="AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Policies Tags",
        required="AssumeRolePolicyDocument",
        inert="PermissionsBoundary",
    )
    attributes = frozenset({"Arn", "RoleId"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateRole, AttachRolePolicy, PutRolePolicy; nothing is left of it if one of them is refused."""
        name = str(p.get("RoleName") or context.name(64))
        context.call(
            "iam",
            "CreateRole",
            RoleName=name,
            Path=p.get("Path"),
            AssumeRolePolicyDocument=_document(p["AssumeRolePolicyDocument"]),
            Description=p.get("Description"),
            MaxSessionDuration=whole(p.get("MaxSessionDuration")),
            Tags=_tags(context, p) or None,
        )
        try:
            self._policies(context, name, {}, p)
        except ApiError:
            self.delete(context, name, p)
            raise
        return name

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        role = context.call("iam", "GetRole", RoleName=physical_id)["Role"]
        return {"Arn": role["Arn"], "RoleId": role["RoleId"]}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """What is different, by the call that is for it."""
        of = {"RoleName": physical_id}
        different = changed(old, new)
        if "AssumeRolePolicyDocument" in different:
            trust = _document(new["AssumeRolePolicyDocument"])
            context.call("iam", "UpdateAssumeRolePolicy", **of, PolicyDocument=trust)
        if {"Description", "MaxSessionDuration"} & set(different):
            context.call(
                "iam",
                "UpdateRole",
                **of,
                Description=str(new.get("Description", "")),
                MaxSessionDuration=whole(new.get("MaxSessionDuration", 3600)),
            )
        self._policies(context, physical_id, old, new)
        _retag(context, "Role", of, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """Its policies, then DeleteRole, which is refused while anything else is on it."""
        self._policies(context, physical_id, p, {})
        _tolerant(lambda: context.call("iam", "DeleteRole", RoleName=physical_id))

    def _policies(self, context: Context, role: str, old: Properties, new: Properties) -> None:
        _difference(
            old.get("ManagedPolicyArns") or (),
            new.get("ManagedPolicyArns") or (),
            lambda arn: _tolerant(
                lambda: context.call("iam", "DetachRolePolicy", RoleName=role, PolicyArn=arn)
            ),
            lambda arn: context.call("iam", "AttachRolePolicy", RoleName=role, PolicyArn=arn),
        )
        before, after = _inline(old), _inline(new)
        for name in before.keys() - after.keys():
            _take(context, role, name)
        for name, text in after.items():
            if before.get(name) != text:
                _give(context, role, name, text)


def _inline(p: Properties) -> dict[str, str]:
    return {str(one["PolicyName"]): _document(one["PolicyDocument"]) for one in p.get("Policies") or ()}


def _give(context: Context, role: str, name: str, text: str) -> None:
    context.call("iam", "PutRolePolicy", RoleName=role, PolicyName=name, PolicyDocument=text)


def _take(context: Context, role: str, name: str) -> None:
    _tolerant(lambda: context.call("iam", "DeleteRolePolicy", RoleName=role, PolicyName=name))


class _OfRoles(ResourceType):
    """What is made by itself and then given to roles, by a call for each: to all of them, or it is not made."""

    id_parameter: ClassVar[str]
    """What the calls have its physical id in."""
    give: ClassVar[str]
    take: ClassVar[str]

    def given(self, context: Context, physical_id: str, p: Properties) -> str:
        """Once it is made, to its roles; -> its physical id. Raises ApiError: a role is refused, and it is deleted again."""
        try:
            self.roles(context, physical_id, {}, p)
        except ApiError:
            self.delete(context, physical_id, p)
            raise
        return physical_id

    def roles(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Take it from those that are not to have it any more, give it to those that are to have it now."""

        def call(action: str, role: str) -> None:
            context.call("iam", action, **{self.id_parameter: physical_id}, RoleName=role)

        _difference(
            old.get("Roles") or (),
            new.get("Roles") or (),
            lambda role: _tolerant(lambda: call(self.take, role)),
            lambda role: call(self.give, role),
        )


class InstanceProfile(_OfRoles):
    """AWS::IAM::InstanceProfile."""

    name = "AWS::IAM::InstanceProfile"
    properties = properties(replace="InstanceProfileName Path", modify="Roles", required="Roles")
    attributes = frozenset({"Arn"})
    id_parameter = "InstanceProfileName"
    give, take = "AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"

    def create(self, context: Context, p: Properties) -> str:
        """CreateInstanceProfile, AddRoleToInstanceProfile."""
        name = str(p.get("InstanceProfileName") or context.name(128))
        context.call("iam", "CreateInstanceProfile", InstanceProfileName=name, Path=p.get("Path"))
        return self.given(context, name, p)

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        found = context.call("iam", "GetInstanceProfile", InstanceProfileName=physical_id)
        return {"Arn": found["InstanceProfile"]["Arn"]}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Another role."""
        self.roles(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """RemoveRoleFromInstanceProfile, DeleteInstanceProfile."""
        self.roles(context, physical_id, p, {})
        _tolerant(lambda: context.call("iam", "DeleteInstanceProfile", InstanceProfileName=physical_id))


class ManagedPolicy(_OfRoles):
    """AWS::IAM::ManagedPolicy; Ref is its ARN."""

    name = "AWS::IAM::ManagedPolicy"
    properties = properties(
        replace="ManagedPolicyName Path Description",
        modify="PolicyDocument Roles",
        required="PolicyDocument",
        inert="Users Groups",
    )
    attributes = frozenset({"PolicyArn", "PolicyId"})
    id_parameter = "PolicyArn"
    give, take = "AttachRolePolicy", "DetachRolePolicy"

    def create(self, context: Context, p: Properties) -> str:
        """CreatePolicy, AttachRolePolicy; -> its ARN."""
        made = context.call(
            "iam",
            "CreatePolicy",
            PolicyName=str(p.get("ManagedPolicyName") or context.name(128)),
            Path=p.get("Path"),
            Description=p.get("Description"),
            PolicyDocument=_document(p["PolicyDocument"]),
        )
        return self.given(context, str(made["Policy"]["Arn"]), p)

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        policy = context.call("iam", "GetPolicy", PolicyArn=physical_id)["Policy"]
        return {"PolicyArn": physical_id, "PolicyId": policy["PolicyId"]}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """CreatePolicyVersion in the place of the one before; the roles that have it."""
        if "PolicyDocument" in changed(old, new):
            before = context.call("iam", "GetPolicy", PolicyArn=physical_id)["Policy"]["DefaultVersionId"]
            context.call(
                "iam",
                "CreatePolicyVersion",
                PolicyArn=physical_id,
                PolicyDocument=_document(new["PolicyDocument"]),
                SetAsDefault=True,
            )
            context.call("iam", "DeletePolicyVersion", PolicyArn=physical_id, VersionId=before)
        self.roles(context, physical_id, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DetachRolePolicy, DeletePolicy."""
        self.roles(context, physical_id, p, {})
        _tolerant(lambda: context.call("iam", "DeletePolicy", PolicyArn=physical_id))


class Policy(ResourceType):
    """AWS::IAM::Policy: an inline policy of roles."""

    name = "AWS::IAM::Policy"
    properties = properties(
        modify="PolicyName PolicyDocument Roles", required="PolicyName PolicyDocument", inert="Users Groups"
    )
    attributes = frozenset({"Id"})

    def create(self, context: Context, p: Properties) -> str:
        """PutRolePolicy on each role."""
        try:
            self._put(context, p)
        except ApiError:
            self._drop(context, p)
            raise
        return context.name(128)

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Id": physical_id}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Put it anew; the roles that it is not for any more, and its old name, lose it."""
        self._put(context, new)
        renamed = old["PolicyName"] != new["PolicyName"]
        for role in old.get("Roles") or ():
            if renamed or role not in (new.get("Roles") or ()):
                _take(context, role, old["PolicyName"])

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteRolePolicy on each role."""
        self._drop(context, p)

    def _put(self, context: Context, p: Properties) -> None:
        for role in p.get("Roles") or ():
            _give(context, role, str(p["PolicyName"]), _document(p["PolicyDocument"]))

    def _drop(self, context: Context, p: Properties) -> None:
        for role in p.get("Roles") or ():
            _take(context, role, str(p["PolicyName"]))


class OidcProvider(ResourceType):
    """AWS::IAM::OIDCProvider; Ref is its ARN."""

    name = "AWS::IAM::OIDCProvider"
    properties = properties(replace="Url", modify="ClientIdList ThumbprintList Tags", required="Url")
    attributes = frozenset({"Arn"})

    def create(self, context: Context, p: Properties) -> str:
        """CreateOpenIDConnectProvider; -> its ARN."""
        made = context.call(
            "iam",
            "CreateOpenIDConnectProvider",
            Url=str(p["Url"]),
            ClientIDList=p.get("ClientIdList"),
            ThumbprintList=p.get("ThumbprintList"),
            Tags=_tags(context, p) or None,
        )
        return str(made["OpenIDConnectProviderArn"])

    def read(self, context: Context, physical_id: str, p: Properties) -> dict[str, Any]:
        """Its attributes."""
        return {"Arn": physical_id}

    def update(self, context: Context, physical_id: str, old: Properties, new: Properties) -> None:
        """Its clients, thumbprints and tags, by the calls that are for them."""
        of = {"OpenIDConnectProviderArn": physical_id}

        def call(action: str, **given: Any) -> None:
            context.call("iam", action, **of, **given)

        _difference(
            old.get("ClientIdList") or (),
            new.get("ClientIdList") or (),
            lambda one: call("RemoveClientIDFromOpenIDConnectProvider", ClientID=one),
            lambda one: call("AddClientIDToOpenIDConnectProvider", ClientID=one),
        )
        if "ThumbprintList" in changed(old, new):
            call("UpdateOpenIDConnectProviderThumbprint", ThumbprintList=new.get("ThumbprintList") or [])
        _retag(context, "OpenIDConnectProvider", of, old, new)

    def delete(self, context: Context, physical_id: str, p: Properties) -> None:
        """DeleteOpenIDConnectProvider."""
        context.call("iam", "DeleteOpenIDConnectProvider", OpenIDConnectProviderArn=physical_id)


TYPES: tuple[ResourceType, ...] = (Role(), InstanceProfile(), ManagedPolicy(), Policy(), OidcProvider())
