"""EKS's values as its Describe calls show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vpclab.aws.eks.arguments import moment
from vpclab.eks import AccessEntry, Addon, Cluster, Eks, Issue, Nodegroup, PodIdentity, Update
from vpclab.eks.catalogue import OFFERED
from vpclab.eks.clusters import LOG_TYPES
from vpclab.eks.values import PolicyAssociation, Status
from vpclab.eks.versions import VERSIONS

Item = dict[str, Any]


def cluster(eks: Eks, value: Cluster) -> Item:
    """One of DescribeCluster. Endpoint and authority are there from ACTIVE on."""
    region = eks.region.name
    item: Item = {
        "name": value.name,
        "arn": eks.tagging.arn(value),
        "createdAt": moment(value.created_at),
        "version": value.version,
        "roleArn": value.role_arn,
        "resourcesVpcConfig": {
            "subnetIds": list(value.subnet_ids),
            "securityGroupIds": list(value.security_group_ids),
            "clusterSecurityGroupId": value.cluster_security_group_id,
            "vpcId": value.vpc_id,
            "endpointPublicAccess": value.public_access,
            "endpointPrivateAccess": value.private_access,
            "publicAccessCidrs": list(value.public_access_cidrs),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": str(value.service_cidr),
            "ipFamily": "ipv4",
            "elasticLoadBalancing": {"enabled": False},
        },
        "logging": {"clusterLogging": _logging(value)},
        "identity": {"oidc": {"issuer": f"https://oidc.eks.{region}.amazonaws.com/id/{value.oidc_id}"}},
        "status": value.status.value,
        "certificateAuthority": {},
        "platformVersion": VERSIONS[value.version].platform,
        "tags": dict(value.tags),
        "health": {"issues": []},
        "accessConfig": {"authenticationMode": value.authentication_mode},
        "upgradePolicy": {"supportType": "EXTENDED"},
        "deletionProtection": False,
    }
    if value.status is not Status.CREATING:
        url, authority = eks.endpoint(value.name)
        item |= {"endpoint": url, "certificateAuthority": {"data": authority}}
    return item


def nodegroup(eks: Eks, value: Nodegroup) -> Item:
    """One of DescribeNodegroup; eksctl reads scalingConfig, createdAt, nodeRole and status unchecked (aws-emulation 1b.2)."""
    return {
        "nodegroupName": value.name,
        "nodegroupArn": eks.tagging.arn(value),
        "clusterName": value.cluster,
        "version": value.version,
        "releaseVersion": value.release,
        "createdAt": moment(value.created_at),
        "modifiedAt": moment(value.modified_at),
        "status": value.status.value,
        "capacityType": value.capacity_type,
        "scalingConfig": {
            "minSize": value.scaling.minimum,
            "maxSize": value.scaling.maximum,
            "desiredSize": value.scaling.desired,
        },
        "instanceTypes": list(value.instance_types),
        "subnets": list(value.subnet_ids),
        "remoteAccess": {"ec2SshKey": value.ssh_key} if value.ssh_key else None,
        "amiType": value.ami_type,
        "nodeRole": value.node_role,
        "labels": dict(value.labels),
        "taints": [{"key": k, "value": v, "effect": effect} for k, v, effect in value.taints] or None,
        "resources": {"autoScalingGroups": [{"name": value.asg_name}]},
        "diskSize": value.disk_size,
        "health": {"issues": issues(value.issues)},
        "updateConfig": {"maxUnavailable": value.max_unavailable},
        "tags": dict(value.tags),
    }


def addon(eks: Eks, value: Addon) -> Item:
    """One of DescribeAddon."""
    return {
        "addonName": value.name,
        "clusterName": value.cluster,
        "status": value.status.value,
        "addonVersion": value.version,
        "health": {"issues": issues(value.issues)},
        "addonArn": eks.tagging.arn(value),
        "createdAt": moment(value.created_at),
        "modifiedAt": moment(value.modified_at),
        "serviceAccountRoleArn": value.service_account_role or None,
        "configurationValues": value.configuration or None,
        "podIdentityAssociations": list(value.pod_identities) or None,
        "namespaceConfig": {"namespace": OFFERED[value.name].namespace},
        "tags": dict(value.tags),
    }


def update(value: Update) -> Item:
    """One of DescribeUpdate."""
    return {
        "id": value.id,
        "status": value.status,
        "type": value.type,
        "params": [{"type": kind, "value": given} for kind, given in value.params],
        "createdAt": moment(value.created_at),
        "errors": [
            {"errorCode": one.code, "errorMessage": one.message, "resourceIds": list(one.resource_ids)}
            for one in value.errors
        ],
    }


def access_entry(eks: Eks, value: AccessEntry) -> Item:
    """One of DescribeAccessEntry."""
    return {
        "clusterName": value.cluster,
        "principalArn": value.principal,
        "kubernetesGroups": list(value.groups),
        "accessEntryArn": eks.tagging.arn(value),
        "createdAt": moment(value.created_at),
        "modifiedAt": moment(value.modified_at),
        "tags": dict(value.tags),
        "username": value.username,
        "type": value.type,
    }


def policy(value: PolicyAssociation) -> Item:
    """One of ListAssociatedAccessPolicies."""
    return {
        "policyArn": value.policy,
        "accessScope": {"type": value.scope, "namespaces": list(value.namespaces)},
        "associatedAt": moment(value.associated_at),
        "modifiedAt": moment(value.modified_at),
    }


def identity(eks: Eks, value: PodIdentity) -> Item:
    """One of DescribePodIdentityAssociation."""
    return identity_summary(eks, value) | {
        "roleArn": value.role_arn,
        "tags": dict(value.tags),
        "createdAt": moment(value.created_at),
        "modifiedAt": moment(value.modified_at),
        "disableSessionTags": value.disable_session_tags,
    }


def identity_summary(eks: Eks, value: PodIdentity) -> Item:
    """One of ListPodIdentityAssociations."""
    return {
        "clusterName": value.cluster,
        "namespace": value.namespace,
        "serviceAccount": value.service_account,
        "associationArn": eks.tagging.arn(value),
        "associationId": value.id,
        "ownerArn": value.owner or None,
    }


def issues(of: Iterable[Issue]) -> list[Item]:
    """Health issues."""
    return [{"code": one.code, "message": one.message, "resourceIds": list(one.resource_ids)} for one in of]


def _logging(value: Cluster) -> list[Item]:
    written = [kind for kind in LOG_TYPES if value.logging.get(kind)]
    unwritten = [kind for kind in LOG_TYPES if kind not in written]
    return [
        {"types": kinds, "enabled": enabled}
        for kinds, enabled in ((written, True), (unwritten, False))
        if kinds
    ]
