"""Clusters, and the versions that they may have."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Network
from typing import Any

from vpclab.aws.eks import items
from vpclab.aws.eks.arguments import PAGED, eks, moment, page, paged, tags
from vpclab.aws.protocols import Parameters
from vpclab.aws.service import Context, operation
from vpclab.eks.errors import invalid
from vpclab.eks.versions import DEFAULT, VERSIONS, KubernetesVersion


def create(context: Context, p: Parameters) -> dict[str, Any]:
    """CreateCluster."""
    network = p["resourcesVpcConfig"]
    access = p.get("accessConfig", {})
    cidr = p.get("kubernetesNetworkConfig", {}).get("serviceIpv4Cidr")
    if p.get("kubernetesNetworkConfig", {}).get("ipFamily", "ipv4") != "ipv4":
        raise invalid("The lab's clusters are of IPv4.", clusterName=p["name"])
    state = eks(context)
    made = state.create_cluster(
        p["name"],
        p["roleArn"],
        network.get("subnetIds", ()),
        creator=context.caller.arn,
        version=p.get("version", DEFAULT),
        security_group_ids=network.get("securityGroupIds", ()),
        service_cidr=None if cidr is None else _network(cidr),
        authentication_mode=access.get("authenticationMode", "API_AND_CONFIG_MAP"),
        tags=tags(p),
    )
    return {"cluster": items.cluster(state, made)}


def describe(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeCluster."""
    state = eks(context)
    return {"cluster": items.cluster(state, state.cluster(p["name"]))}


def list_(context: Context, p: Parameters) -> dict[str, Any]:
    """ListClusters; `include` asks for clusters of elsewhere, too: there are none."""
    return page(p, "clusters", eks(context).clusters)


def update_config(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateClusterConfig: access to the endpoint, the mode of authentication, logs."""
    network = p.get("resourcesVpcConfig", {})
    logging = p.get("logging", {}).get("clusterLogging")
    update = eks(context).update_cluster_config(
        p["name"],
        public_access=network.get("endpointPublicAccess"),
        private_access=network.get("endpointPrivateAccess"),
        public_access_cidrs=network.get("publicAccessCidrs"),
        authentication_mode=p.get("accessConfig", {}).get("authenticationMode"),
        logging=None
        if logging is None
        else {kind: bool(one.get("enabled")) for one in logging for kind in one.get("types", ())},
    )
    return {"update": items.update(update)}


def update_version(context: Context, p: Parameters) -> dict[str, Any]:
    """UpdateClusterVersion."""
    return {"update": items.update(eks(context).update_cluster_version(p["name"], p["version"]))}


def delete(context: Context, p: Parameters) -> dict[str, Any]:
    """DeleteCluster."""
    state = eks(context)
    return {"cluster": items.cluster(state, state.delete_cluster(p["name"]))}


def describe_versions(context: Context, p: Parameters) -> dict[str, Any]:
    """DescribeClusterVersions: the supported ones, if nobody asks for all."""
    today = moment(context.region.now).date()
    wanted = p.get("clusterVersions", ())
    status = p.get("versionStatus") or p.get("status", "").upper().replace("-", "_")
    chosen = {
        one.version: _version(one, today)
        for one in VERSIONS.values()
        if (not wanted or one.version in wanted)
        and (not p.get("defaultOnly") or one.version == DEFAULT)
        and (not status or one.status(today) == status)
        and (wanted or status or p.get("includeAll") or one.status(today) != "UNSUPPORTED")
    }
    return paged(p, "clusterVersions", chosen)


def _version(one: KubernetesVersion, today: dt.date) -> dict[str, Any]:
    status = one.status(today)
    return {
        "clusterVersion": one.version,
        "clusterType": "eks",
        "defaultPlatformVersion": one.platform,
        "defaultVersion": one.version == DEFAULT,
        "releaseDate": _midnight(one.released),
        "endOfStandardSupportDate": _midnight(one.standard_until),
        "endOfExtendedSupportDate": _midnight(one.extended_until),
        "status": status.lower().replace("_", "-"),
        "versionStatus": status,
        "kubernetesPatchVersion": one.patch,
    }


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise invalid(f"serviceIpv4Cidr: {error}") from None


OPERATIONS = {
    "CreateCluster": operation(
        create, "name", "version", "roleArn", "resourcesVpcConfig", "kubernetesNetworkConfig", "tags", "accessConfig",
        "bootstrapSelfManagedAddons", "upgradePolicy", "logging",
    ),
    "DescribeCluster": operation(describe, "name"),
    "ListClusters": operation(list_, "include", *PAGED),
    "UpdateClusterConfig": operation(update_config, "name", "resourcesVpcConfig", "accessConfig", "logging"),
    "UpdateClusterVersion": operation(update_version, "name", "version"),
    "DeleteCluster": operation(delete, "name"),
    "DescribeClusterVersions": operation(
        describe_versions, "clusterType", "defaultOnly", "includeAll", "clusterVersions", "status", "versionStatus", *PAGED
    ),
}  # fmt: skip
