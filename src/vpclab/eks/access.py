"""Access entries: who may use a cluster's Kubernetes API, and EKS's policies that say what they may do there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vpclab.eks.errors import bad_request, in_use, invalid, not_found
from vpclab.eks.tables import Tables
from vpclab.eks.values import AccessEntry, Cluster, Nodegroup, PolicyAssociation
from vpclab.region.values import NO_TAGS, Tags, frozen

PREFIX = "arn:aws:eks::aws:cluster-access-policy/"
POLICIES = (
    "AmazonEKSAdminPolicy",
    "AmazonEKSAdminViewPolicy",
    "AmazonEKSClusterAdminPolicy",
    "AmazonEKSEditPolicy",
    "AmazonEKSViewPolicy",
)
CLUSTER_ADMIN = f"{PREFIX}AmazonEKSClusterAdminPolicy"
TYPES = ("STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX", "HYPERPOD_LINUX")
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):(user|role|assumed-role|root)/?(.*)\Z")


class Access:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(
        self,
        cluster: str,
        principal: str,
        *,
        type_: str = "STANDARD",
        username: str | None = None,
        groups: Sequence[str] = (),
        tags: Tags = NO_TAGS,
    ) -> AccessEntry:
        """An entry. Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException, InvalidRequestException."""
        if self._tables.cluster(cluster).authentication_mode == "CONFIG_MAP":
            raise bad_request(
                "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation."
            )
        if not _PRINCIPAL.match(principal):
            raise invalid(f"The specified principalArn is invalid: invalid principal: {principal}")
        if (cluster, principal) in self._tables.entries:
            raise in_use(
                "The specified access entry resource is already in use on this cluster.", clusterName=cluster
            )
        if type_ not in TYPES:
            raise invalid(f"The access entry type {type_} is none of {', '.join(TYPES)}")
        if type_ != "STANDARD" and (username or groups):
            raise invalid(f"The kubernetesGroups and username are EKS's for type {type_}")
        reserved = [group for group in groups if group.startswith("system:")]
        if reserved:
            raise invalid(f"The kubernetes group name {reserved[0]} is invalid, it cannot start with system:")
        return self._put(cluster, principal, type_, username, tuple(groups), tags)

    def get(self, cluster: str, principal: str) -> AccessEntry:
        """By principal. Raises ApiError: ResourceNotFoundException."""
        self._tables.cluster(cluster)
        if (cluster, principal) not in self._tables.entries:
            raise not_found(
                f"The specified principalArn could not be found. You can view your available access entries "
                f"with 'list-access-entries': {principal}",
                clusterName=cluster,
            )
        return self._tables.entries[cluster, principal]

    def update(
        self, cluster: str, principal: str, *, username: str | None, groups: Sequence[str] | None
    ) -> AccessEntry:
        """Change what is given. Raises ApiError: ResourceNotFoundException, InvalidRequestException."""
        entry = self.get(cluster, principal)
        if entry.type != "STANDARD":
            raise bad_request(f"An access entry of type {entry.type} cannot be updated", clusterName=cluster)
        changed = replace(
            entry,
            username=entry.username if username is None else username,
            groups=entry.groups if groups is None else tuple(groups),
            modified_at=self._tables.now,
        )
        self._tables.entries[cluster, principal] = changed
        self._tables.note(cluster)
        return changed

    def delete(self, cluster: str, principal: str) -> None:
        """Take it away. Raises ApiError: ResourceNotFoundException."""
        self.get(cluster, principal)
        del self._tables.entries[cluster, principal]
        self._tables.policies.pop((cluster, principal), None)
        self._tables.note(cluster)

    def associate(
        self, cluster: str, principal: str, policy: str, scope: str, namespaces: Sequence[str] = ()
    ) -> PolicyAssociation:
        """Let it do what a policy says. Raises ApiError: ResourceNotFoundException, InvalidParameterException."""
        entry = self.get(cluster, principal)
        if policy.removeprefix(PREFIX) not in POLICIES or not policy.startswith(PREFIX):
            raise not_found(f"The policyArn {policy} could not be found", clusterName=cluster)
        if entry.type != "STANDARD":
            raise invalid(f"A policy cannot be associated with an access entry of type {entry.type}")
        if (scope == "namespace") != bool(namespaces) or scope not in ("cluster", "namespace"):
            raise invalid("The access scope is cluster, or namespace with at least one namespace")
        held = self._tables.policies.setdefault((cluster, principal), {})
        before = held.get(policy)
        now = self._tables.now
        since = now if before is None else before.associated_at
        held[policy] = PolicyAssociation(policy, scope, tuple(namespaces), since, now)
        self._tables.note(cluster)
        return held[policy]

    def disassociate(self, cluster: str, principal: str, policy: str) -> None:
        """Raises ApiError: ResourceNotFoundException."""
        self.get(cluster, principal)
        if self._tables.policies.get((cluster, principal), {}).pop(policy, None) is None:
            raise not_found(f"The policy {policy} is not associated with {principal}", clusterName=cluster)
        self._tables.note(cluster)

    def welcome_creator(self, cluster: Cluster, creator: str) -> None:
        """Who made a cluster may do everything in it."""
        if cluster.authentication_mode == "CONFIG_MAP":
            return
        self._put(cluster.name, creator, "STANDARD", None, (), NO_TAGS)
        self.associate(cluster.name, creator, CLUSTER_ADMIN, "cluster")

    def welcome_nodes(self, group: Nodegroup) -> None:
        """A managed group's nodes may join."""
        mode = self._tables.cluster(group.cluster).authentication_mode
        if mode != "CONFIG_MAP" and (group.cluster, group.node_role) not in self._tables.entries:
            self._put(
                group.cluster,
                group.node_role,
                "EC2_LINUX",
                "system:node:{{EC2PrivateDNSName}}",
                ("system:nodes",),
                NO_TAGS,
            )

    def _put(
        self,
        cluster: str,
        principal: str,
        type_: str,
        username: str | None,
        groups: tuple[str, ...],
        tags: Tags,
    ) -> AccessEntry:
        entry = AccessEntry(
            cluster=cluster,
            principal=principal,
            uid=self._tables.draws.uuid(),
            created_at=self._tables.now,
            modified_at=self._tables.now,
            type=type_,
            username=username or _username(principal),
            groups=groups,
            tags=frozen(tags),
        )
        self._tables.entries[cluster, principal] = entry
        self._tables.note(cluster)
        return entry

    def arn(self, entry: AccessEntry) -> str:
        """An entry's ARN."""
        match = _PRINCIPAL.match(entry.principal)
        account, kind, name = match.groups() if match else ("", "user", entry.principal)
        return self._tables.arn("access-entry", entry.cluster, kind, account, name, entry.uid)


def _username(principal: str) -> str:
    """What EKS calls a principal in Kubernetes if nobody says: a role is told apart by its session."""
    match = _PRINCIPAL.match(principal)
    if match and match[2] == "role":
        return (
            f"{principal.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{{{{SessionName}}}}"
        )
    return principal
