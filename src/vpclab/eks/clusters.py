"""Clusters: made with a security group of EKS's, updated, deleted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from vpclab.eks.errors import bad_request, in_use, invalid, no_cluster
from vpclab.eks.tables import Tables
from vpclab.eks.values import Cluster, Status, Update
from vpclab.eks.versions import DEFAULT, VERSIONS, minor_of
from vpclab.region.values import NO_TAGS, ApiError, SecurityGroupRule, Subnet, Tags, frozen

NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9_-]{0,99}\Z")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+\Z")
SERVICES_USUAL, SERVICES_ELSE = IPv4Network("10.100.0.0/16"), IPv4Network("172.20.0.0/16")
"""The Services' CIDR: the first, unless the VPC is in 10.0.0.0/8."""
MODES = ("CONFIG_MAP", "API_AND_CONFIG_MAP", "API")
"""Of authentication; a cluster goes from left to right only."""
LOG_TYPES = ("api", "audit", "authenticator", "controllerManager", "scheduler")


ACTIVE, DELETED = "eks-cluster-active", "eks-cluster-deleted"


class Clusters:
    """Operations on them."""

    def __init__(self, tables: Tables, created: Callable[[Cluster, str], None]) -> None:
        """`created` is called with each new cluster and the ARN of who made it."""
        self._tables = tables
        self._created = created
        tables.region.means(ACTIVE, self._active)
        tables.region.means(DELETED, self._deleted)

    def create(
        self,
        name: str,
        role_arn: str,
        subnet_ids: Sequence[str],
        *,
        creator: str,
        version: str = DEFAULT,
        security_group_ids: Sequence[str] = (),
        service_cidr: IPv4Network | None = None,
        authentication_mode: str = "API_AND_CONFIG_MAP",
        tags: Tags = NO_TAGS,
    ) -> Cluster:
        """A cluster, CREATING and after a delay ACTIVE.

        Raises ApiError: ResourceInUseException (there is one of this name), InvalidParameterException.
        """
        if not NAME.match(name):
            raise invalid(f"The cluster name {name!r} does not match {NAME.pattern[:-2]}", clusterName=name)
        if name in self._tables.clusters:
            raise in_use(f"Cluster already exists with name: {name}", clusterName=name)
        if version not in VERSIONS:
            raise invalid(f"unsupported Kubernetes version {version}", clusterName=name)
        check_role(role_arn)
        if authentication_mode not in MODES:
            raise invalid(f"unknown authentication mode {authentication_mode}", clusterName=name)
        subnets = self._subnets(subnet_ids, name)
        region = self._tables.region
        vpc = region.vpc(subnets[0].vpc_id)
        for group_id in security_group_ids:
            if group_id not in region.groups or region.groups[group_id].vpc_id != vpc.id:
                raise invalid(f"The security group {group_id} is not in VPC {vpc.id}", clusterName=name)
        within_ten = vpc.cidrs[0].subnet_of(IPv4Network("10.0.0.0/8"))
        usual = SERVICES_ELSE if within_ten else SERVICES_USUAL
        services = service_cidr or usual
        if any(services.overlaps(cidr) for cidr in vpc.cidrs):
            raise invalid(f"The service CIDR {services} overlaps the VPC's {vpc.cidrs[0]}", clusterName=name)
        cluster = self._tables.put_cluster(
            Cluster(
                name=name,
                version=version,
                role_arn=role_arn,
                vpc_id=vpc.id,
                subnet_ids=tuple(subnet_ids),
                security_group_ids=tuple(security_group_ids),
                cluster_security_group_id=self._security_group(name, vpc.id),
                service_cidr=services,
                oidc_id=f"{self._tables.draws.bits(128):032X}",
                status=Status.CREATING,
                created_at=self._tables.now,
                authentication_mode=authentication_mode,
                tags=frozen(tags),
            )
        )
        self._created(cluster, creator)
        self._tables.later(self._tables.delays.cluster, ACTIVE, name)
        return self._tables.clusters[name]

    def update_config(
        self,
        name: str,
        *,
        public_access: bool | None = None,
        private_access: bool | None = None,
        public_access_cidrs: Sequence[str] | None = None,
        authentication_mode: str | None = None,
        logging: Mapping[str, bool] | None = None,
    ) -> Update:
        """Change what is given, of one kind at a time.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
        """
        cluster = self._changeable(name)
        access = (public_access, private_access, public_access_cidrs)
        kinds = [access != (None, None, None), authentication_mode is not None, logging is not None]
        if sum(kinds) != 1:
            raise invalid("Only one type of update can be allowed at a time.", clusterName=name)
        if authentication_mode is not None:
            return self._change_mode(cluster, authentication_mode)
        if logging is not None:
            unknown = sorted(set(logging) - set(LOG_TYPES))
            if unknown:
                raise invalid(f"unknown log types: {', '.join(unknown)}", clusterName=name)
            changed = replace(cluster, logging={**cluster.logging, **logging})
            return self._change(changed, "LoggingUpdate", [("ClusterLogging", str(dict(logging)))])
        changed = replace(
            cluster,
            public_access=cluster.public_access if public_access is None else public_access,
            private_access=cluster.private_access if private_access is None else private_access,
            public_access_cidrs=tuple(public_access_cidrs or cluster.public_access_cidrs),
        )
        if changed == cluster:
            raise invalid("Cluster is already at the desired configuration", clusterName=name)
        if not (changed.public_access or changed.private_access):
            raise invalid("Private and public endpoint access cannot be disabled", clusterName=name)
        params = [
            ("EndpointPublicAccess", str(changed.public_access).lower()),
            ("EndpointPrivateAccess", str(changed.private_access).lower()),
            ("PublicAccessCidrs", ",".join(changed.public_access_cidrs)),
        ]
        return self._change(changed, "EndpointAccessUpdate", params)

    def update_version(self, name: str, version: str) -> Update:
        """To the next minor version.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException, InvalidRequestException.
        """
        cluster = self._changeable(name)
        if version not in VERSIONS:
            raise invalid(f"unsupported Kubernetes version {version}", clusterName=name)
        if minor_of(version) != minor_of(cluster.version) + 1:
            raise invalid(
                f"Unsupported Kubernetes minor version update from {cluster.version} to {version}",
                clusterName=name,
            )
        behind = [
            group.name
            for (of, _), group in self._tables.nodegroups.items()
            if of == name and minor_of(group.version) < minor_of(version) - 3
        ]
        if behind:
            raise bad_request(
                f"Nodegroups {', '.join(behind)} must be updated to match cluster version {cluster.version} "
                "before updating cluster version",
                clusterName=name,
            )
        params = [("Version", version), ("PlatformVersion", VERSIONS[version].platform)]
        return self._change(replace(cluster, version=version), "VersionUpdate", params)

    def delete(self, name: str) -> Cluster:
        """Take it away, after a delay; what it was.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException (it has node groups, or is changing).
        """
        cluster = self._tables.cluster(name)
        if any(of == name for of, _ in self._tables.nodegroups):
            raise in_use("Cluster has nodegroups attached", clusterName=name)
        if cluster.status in (Status.CREATING, Status.UPDATING):
            raise in_use(f"Cannot delete cluster {name} while it is {cluster.status.value}", clusterName=name)
        gone = self._tables.put_cluster(replace(cluster, status=Status.DELETING))
        self._tables.later(self._tables.delays.cluster, DELETED, name)
        return gone

    def _changeable(self, name: str) -> Cluster:
        cluster = self._tables.cluster(name)
        if cluster.status is not Status.ACTIVE:
            raise in_use(f"Cluster {name} is {cluster.status.value}, not ACTIVE", clusterName=name)
        return cluster

    def _change_mode(self, cluster: Cluster, mode: str) -> Update:
        if mode not in MODES:
            raise invalid(f"unknown authentication mode {mode}", clusterName=cluster.name)
        if MODES.index(mode) <= MODES.index(cluster.authentication_mode):
            raise invalid(
                f"Unsupported authentication mode update from {cluster.authentication_mode} to {mode}",
                clusterName=cluster.name,
            )
        changed = replace(cluster, authentication_mode=mode)
        return self._change(changed, "AccessConfigUpdate", [("AuthenticationMode", mode)])

    def _change(self, cluster: Cluster, kind: str, params: Sequence[tuple[str, str]]) -> Update:
        update = self._tables.begin(cluster.name, kind, params)
        self._tables.put_cluster(replace(cluster, status=Status.UPDATING))
        self._tables.later(self._tables.delays.cluster, ACTIVE, cluster.name, update.id)
        return self._tables.updates[update.id]

    def _active(self, name: str, update_id: str = "") -> None:
        cluster = self._tables.clusters.get(name)
        if cluster is not None and cluster.status in (Status.CREATING, Status.UPDATING):
            self._tables.put_cluster(replace(cluster, status=Status.ACTIVE))
        self._tables.end(update_id)

    def _deleted(self, name: str) -> None:
        cluster = self._tables.clusters.pop(name)
        for table in (self._tables.addons, self._tables.entries, self._tables.policies):
            for key in [key for key in table if key[0] == name]:
                del table[key]
        for identity in [one for one in self._tables.identities.values() if one.cluster == name]:
            del self._tables.identities[identity.id]
        for update in [one for one in self._tables.updates.values() if one.cluster == name]:
            del self._tables.updates[update.id]
        with contextlib.suppress(ApiError):  # somebody uses it still: it stays, as with AWS
            self._tables.region.delete_security_group(cluster.cluster_security_group_id)
        self._tables.note(name)

    def _subnets(self, subnet_ids: Sequence[str], name: str) -> list[Subnet]:
        known = self._tables.region.subnets
        missing = [one for one in subnet_ids if one not in known]
        if missing:
            raise invalid(f"The subnet ID '{missing[0]}' does not exist", clusterName=name)
        subnets = [known[one] for one in subnet_ids]
        if len({subnet.zone for subnet in subnets}) < 2:
            raise invalid("Subnets specified must be in at least two different AZs", clusterName=name)
        if len({subnet.vpc_id for subnet in subnets}) > 1:
            raise invalid("Subnets specified must be in the same VPC", clusterName=name)
        return subnets

    def _security_group(self, name: str, vpc_id: str) -> str:
        number = self._tables.draws.bits(30)
        region = self._tables.region
        group = region.create_security_group(
            vpc_id,
            f"eks-cluster-sg-{name}-{number}",
            "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, "
            "as well as any managed workloads.",
            tags={
                "Name": f"eks-cluster-sg-{name}-{number}",
                f"kubernetes.io/cluster/{name}": "owned",
                "aws:eks:cluster-name": name,
            },
        )
        region.authorize_ingress(group.id, (SecurityGroupRule(group_id=group.id),))
        return group.id


def check_role(arn: str) -> None:
    """Raises ApiError: InvalidParameterException."""
    if not ROLE.match(arn):
        raise invalid(f"Role ARN {arn!r} is not valid: arn:aws:iam::ACCOUNT:role/NAME, please")


def known(tables: Tables, name: str) -> Cluster:
    """A cluster that is not going. Raises ApiError: ResourceNotFoundException."""
    cluster = tables.cluster(name)
    if cluster.status is Status.DELETING:
        raise no_cluster(name)
    return cluster
