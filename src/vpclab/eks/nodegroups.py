"""Managed node groups: made, scaled, updated, deleted. What becomes of their nodes is members.py's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vpclab.eks.clusters import check_role
from vpclab.eks.errors import bad_request, in_use, invalid
from vpclab.eks.members import LOOK
from vpclab.eks.tables import Tables
from vpclab.eks.values import Cluster, Nodegroup, Scaling, Status, Update
from vpclab.eks.versions import VERSIONS, minor_of
from vpclab.region.values import NO_TAGS, ApiError, MetadataOptions, Tags, frozen

NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,62}\Z")
DEFAULT_TYPE = "t3.medium"
DEFAULT_DISK = 20
"""GiB."""
RELEASE_DATE = "20251120"
"""Of the images that the lab's node groups are made of, in words: there is one image."""
TAINT_EFFECTS = ("NO_SCHEDULE", "NO_EXECUTE", "PREFER_NO_SCHEDULE")
Taint = tuple[str, str, str]


class Nodegroups:
    """Operations on them."""

    def __init__(self, tables: Tables, created: Callable[[Nodegroup], None]) -> None:
        """`created` is called with each new group."""
        self._tables = tables
        self._created = created

    def create(
        self,
        cluster_name: str,
        name: str,
        node_role: str,
        subnet_ids: Sequence[str],
        *,
        scaling: Scaling | None = None,
        instance_types: Sequence[str] = (),
        ami_type: str = "AL2_x86_64",
        capacity_type: str = "ON_DEMAND",
        disk_size: int = DEFAULT_DISK,
        version: str | None = None,
        max_unavailable: int = 1,
        group_ids: Sequence[str] = (),
        labels: Mapping[str, str] = NO_TAGS,
        taints: Sequence[Taint] = (),
        ssh_key: str | None = None,
        metadata: MetadataOptions | None = None,
        tags: Tags = NO_TAGS,
    ) -> Nodegroup:
        """A node group, CREATING until its nodes are ready. `group_ids`: the nodes' beside the cluster's own group.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException,
        InvalidRequestException.
        """
        cluster = self._tables.cluster(cluster_name)
        fields = {"clusterName": cluster_name, "nodegroupName": name}
        if not NAME.match(name):
            raise invalid(f"The node group name {name!r} does not match {NAME.pattern[:-2]}", **fields)
        if (cluster_name, name) in self._tables.nodegroups:
            raise in_use(
                f"NodeGroup already exists with name {name} and cluster name {cluster_name}", **fields
            )
        if cluster.status is not Status.ACTIVE:
            raise bad_request(f"Cluster '{cluster_name}' is not in ACTIVE status", **fields)
        check_role(node_role)
        wanted = scaling or Scaling()
        self._check(cluster, name, wanted, subnet_ids, instance_types or (DEFAULT_TYPE,))
        check_taints(taints)
        if version is not None and (version not in VERSIONS or minor_of(version) > minor_of(cluster.version)):
            raise invalid(
                f"Requested Nodegroup kubernetes version {version} is invalid. Requested version {version} can't be "
                f"greater than cluster version {cluster.version}",
                **fields,
            )
        kubernetes = version or cluster.version
        group = self._tables.put_nodegroup(
            Nodegroup(
                cluster=cluster_name,
                name=name,
                uid=self._tables.draws.uuid(),
                version=kubernetes,
                release=release_of(kubernetes),
                scaling=wanted,
                instance_types=tuple(instance_types) or (DEFAULT_TYPE,),
                subnet_ids=tuple(subnet_ids),
                group_ids=(*group_ids, cluster.cluster_security_group_id),
                node_role=node_role,
                ami_type=ami_type,
                capacity_type=capacity_type,
                disk_size=disk_size,
                max_unavailable=max_unavailable,
                status=Status.CREATING,
                created_at=self._tables.now,
                modified_at=self._tables.now,
                labels=dict(labels),
                taints=tuple(taints),
                ssh_key=ssh_key,
                metadata=metadata or MetadataOptions(),
                tags=frozen(tags),
            )
        )
        self._created(group)
        self._tables.later(self._tables.delays.nodegroup, LOOK)
        return self._tables.nodegroups[cluster_name, name]

    def update_config(
        self,
        cluster: str,
        name: str,
        *,
        scaling: Mapping[str, int] | None = None,
        add_labels: Mapping[str, str] | None = None,
        remove_labels: Sequence[str] = (),
        add_taints: Sequence[Taint] = (),
        remove_taints: Sequence[Taint] = (),
        max_unavailable: int | None = None,
    ) -> Update:
        """Change what is given; `scaling` has minSize, maxSize, desiredSize, each if given.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
        """
        group = self._changeable(cluster, name)
        wanted = Scaling(
            (scaling or {}).get("minSize", group.scaling.minimum),
            (scaling or {}).get("maxSize", group.scaling.maximum),
            (scaling or {}).get("desiredSize", group.scaling.desired),
        )
        check_scaling(wanted)
        check_taints((*add_taints, *remove_taints))
        gone = {(key, effect) for key, _, effect in (*add_taints, *remove_taints)}
        taints = (*(t for t in group.taints if (t[0], t[2]) not in gone), *add_taints)
        labels = {k: v for k, v in {**group.labels, **(add_labels or {})}.items() if k not in remove_labels}
        params: list[tuple[str, str]] = []
        for param, key in (("MinSize", "minSize"), ("MaxSize", "maxSize"), ("DesiredSize", "desiredSize")):
            if scaling and key in scaling:
                params.append((param, str(scaling[key])))
        if add_labels:
            params.append(("LabelsToAdd", _pairs(add_labels)))
        if remove_labels:
            params.append(("LabelsToRemove", ",".join(remove_labels)))
        if add_taints:
            params.append(("TaintsToAdd", str(list(add_taints))))
        if remove_taints:
            params.append(("TaintsToRemove", str(list(remove_taints))))
        if max_unavailable is not None:
            params.append(("MaxUnavailable", str(max_unavailable)))
        if not params:
            raise invalid("No changes provided for update", clusterName=cluster, nodegroupName=name)
        return self._change(
            replace(
                group,
                scaling=wanted,
                labels=labels,
                taints=taints,
                max_unavailable=max_unavailable or group.max_unavailable,
            ),
            "ConfigUpdate",
            params,
        )

    def update_version(self, cluster: str, name: str, version: str | None = None) -> Update:
        """Replace the nodes by ones of another version (the cluster's if none is given), some at a time.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
        """
        group = self._changeable(cluster, name)
        to = version or self._tables.cluster(cluster).version
        if to not in VERSIONS or not minor_of(group.version) <= minor_of(to) <= minor_of(
            self._tables.cluster(cluster).version
        ):
            raise invalid(
                f"Requested Nodegroup kubernetes version {to} is invalid: from {group.version} to the cluster's "
                f"{self._tables.cluster(cluster).version}, please",
                clusterName=cluster,
                nodegroupName=name,
            )
        params = [("Version", to), ("ReleaseVersion", release_of(to))]
        return self._change(replace(group, version=to, release=release_of(to)), "VersionUpdate", params)

    def delete(self, cluster: str, name: str) -> Nodegroup:
        """Drain and end its nodes, then take it away; what it was.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException (it is going already).
        """
        group = self._tables.nodegroup(cluster, name)
        if group.status is Status.DELETING:
            raise in_use(f"Nodegroup {name} is being deleted", clusterName=cluster, nodegroupName=name)
        going = self._tables.put_nodegroup(
            replace(group, status=Status.DELETING, modified_at=self._tables.now)
        )
        self._tables.later(self._tables.delays.nodegroup, LOOK)
        return going

    def _changeable(self, cluster: str, name: str) -> Nodegroup:
        group = self._tables.nodegroup(cluster, name)
        if group.status not in (Status.ACTIVE, Status.DEGRADED):
            raise in_use(
                f"Nodegroup cannot be updated as it is currently not in Active State: {name} is {group.status.value}",
                clusterName=cluster,
                nodegroupName=name,
            )
        return group

    def _change(self, group: Nodegroup, kind: str, params: Sequence[tuple[str, str]]) -> Update:
        update = self._tables.begin(group.cluster, kind, params, nodegroup=group.name)
        self._tables.put_nodegroup(replace(group, status=Status.UPDATING, modified_at=self._tables.now))
        self._tables.later(self._tables.delays.nodegroup, LOOK)
        return self._tables.updates[update.id]

    def _check(
        self, cluster: Cluster, name: str, scaling: Scaling, subnet_ids: Sequence[str], types: Sequence[str]
    ) -> None:
        fields = {"clusterName": cluster.name, "nodegroupName": name}
        check_scaling(scaling)
        region = self._tables.region
        for subnet_id in subnet_ids:
            if subnet_id not in region.subnets:
                raise invalid(f"The subnet ID '{subnet_id}' does not exist", **fields)
            if region.subnet(subnet_id).vpc_id != cluster.vpc_id:
                raise invalid(f"Subnet {subnet_id} is not in the cluster's VPC {cluster.vpc_id}", **fields)
        if not subnet_ids:
            raise invalid("Subnets are not specified", **fields)
        for instance_type in types:
            try:
                region.limits(instance_type)
            except ApiError:
                raise invalid(
                    f"The following supplied instance types do not exist: [{instance_type}]", **fields
                ) from None


def check_scaling(scaling: Scaling) -> None:
    """Raises ApiError: InvalidParameterException."""
    if scaling.maximum < 1 or scaling.minimum < 0:
        raise invalid(
            f"Minimum capacity {scaling.minimum} or maximum {scaling.maximum} is out of range: 0 and 1 at least"
        )
    if scaling.minimum > scaling.desired:
        raise invalid(
            f"Minimum capacity {scaling.minimum} can't be greater than desired size {scaling.desired}"
        )
    if scaling.desired > scaling.maximum:
        raise invalid(f"desired capacity {scaling.desired} can't be greater than max size {scaling.maximum}")


def check_taints(taints: Sequence[Taint]) -> None:
    """Raises ApiError: InvalidParameterException."""
    for key, _, effect in taints:
        if not key or effect not in TAINT_EFFECTS:
            raise invalid(f"Taint {key}: the effect is one of {', '.join(TAINT_EFFECTS)}, not {effect!r}")


def release_of(version: str) -> str:
    """The image release that a node of this version is made of."""
    return f"{VERSIONS[version].patch}-{RELEASE_DATE}"


def _pairs(of: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in of.items())
