"""As whom an IAM principal is known in the cluster: by its access entry, else by the ConfigMap aws-auth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from vpclab.aws.keys import Key
from vpclab.eks.values import AccessEntry, PolicyAssociation

POLICY_GROUP = "eks:access-policy:"
"""Whom an access policy lets do something is in a group of the policy's name, with `:NAMESPACE` if it is for one alone."""
ROLES: Mapping[str, str] = {
    "AmazonEKSClusterAdminPolicy": "cluster-admin",
    "AmazonEKSAdminPolicy": "admin",
    "AmazonEKSEditPolicy": "edit",
    "AmazonEKSViewPolicy": "view",
    "AmazonEKSAdminViewPolicy": "eks:admin-view",
}
"""The Kubernetes role that comes to what the policy allows."""
RBAC = "rbac.authorization.k8s.io"
_ASSUMED = re.compile(r"arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/(.+)")
_ROLE_PATH = re.compile(r":role/.*/")


@dataclass(frozen=True, slots=True)
class Principal:
    """A key's owner: the role or user, and the session if it is a role's."""

    arn: str
    account: str
    session: str = ""

    @classmethod
    def of(cls, key: Key) -> Principal:
        """A role's session is the role's."""
        if match := _ASSUMED.fullmatch(key.arn):
            partition, account, role, session = match.groups()
            return cls(f"arn:{partition}:iam::{account}:role/{role}", account, session)
        return cls(key.arn, key.arn.split(":")[4])


@dataclass(frozen=True, slots=True)
class Known:
    """As whom."""

    username: str
    groups: tuple[str, ...]


def entry_of(principal: Principal, entries: Iterable[AccessEntry]) -> AccessEntry | None:
    """The principal's."""
    return next((entry for entry in entries if _plain(entry.principal) == principal.arn), None)


def by_entry(principal: Principal, entry: AccessEntry, node_name: str | None) -> Known:
    """What the entry says; `node_name` is that of the instance whose role it is."""
    groups = tuple(filled(group, principal, node_name) for group in entry.groups)
    return Known(filled(entry.username, principal, node_name), groups)


def by_config_map(principal: Principal, data: Mapping[str, str], node_name: str | None) -> Known | None:
    """The principal's line in aws-auth; what cannot be read there lets nobody in."""
    for name, field in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        for line in _lines(data.get(name, "")):
            if _plain(str(line.get(field, ""))) == principal.arn:
                groups = line.get("groups") or []
                return Known(
                    filled(str(line.get("username") or principal.arn), principal, node_name),
                    tuple(filled(str(group), principal, node_name) for group in groups),
                )
    return None


def filled(text: str, principal: Principal, node_name: str | None) -> str:
    """The names in double braces replaced."""
    values = {
        "{{SessionName}}": principal.session.replace("@", "-"),
        "{{SessionNameRaw}}": principal.session,
        "{{AccountID}}": principal.account,
        "{{EC2PrivateDNSName}}": node_name or principal.session,
    }
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def policy_groups(
    policies: Iterable[PolicyAssociation], namespaces: Sequence[str]
) -> dict[str, tuple[str, str] | None]:
    """Groups that an entry's policies put it into; with each the namespace and the role, if it is bound there alone."""
    groups: dict[str, tuple[str, str] | None] = {}
    for one in policies:
        policy = one.policy.rpartition("/")[2]
        if one.scope == "cluster":
            groups[f"{POLICY_GROUP}{policy}"] = None
            continue
        for namespace in namespaces:
            if any(fnmatchcase(namespace, pattern) for pattern in one.namespaces):
                groups[f"{POLICY_GROUP}{policy}:{namespace}"] = namespace, ROLES[policy]
    return groups


def cluster_objects() -> list[dict[str, Any]]:
    """What lets the policies' groups do what the policies say, everywhere."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "eks:admin-view"}, "rules": [everything]},
        *(_binding("ClusterRoleBinding", f"{POLICY_GROUP}{policy}", role) for policy, role in ROLES.items()),
    ]  # fmt: skip


def namespace_objects(groups: Mapping[str, tuple[str, str] | None]) -> list[dict[str, Any]]:
    """The same in single namespaces."""
    return [
        _binding("RoleBinding", group, role, namespace)
        for group, bound in groups.items()
        if bound is not None
        for namespace, role in (bound,)
    ]


def _binding(kind: str, group: str, role: str, namespace: str | None = None) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": {"name": group, **where},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
    }


def _plain(arn: str) -> str:
    """A role's ARN without its path: a session's does not tell it."""
    return _ROLE_PATH.sub(":role/", arn)


def _lines(text: str) -> list[Mapping[str, Any]]:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return []
    return [line for line in found if isinstance(line, Mapping)] if isinstance(found, list) else []
