"""Add-ons of clusters: created, updated, deleted; what a change means on the nodes is carried out by somebody else.

A change makes a rollout: whoever attends to them (the lab) does it and says how it ended. Until then the add-on is CREATING or
UPDATING; a rollout that failed leaves it DEGRADED, or UPDATE_FAILED where it conflicts with what somebody changed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from vpclab.eks.catalogue import OFFERED, OfferedAddon
from vpclab.eks.clusters import check_role
from vpclab.eks.configuration import read_configuration
from vpclab.eks.errors import bad_request, in_use, invalid, not_found
from vpclab.eks.tables import Named, Tables
from vpclab.eks.values import Addon, Issue, Status, Update
from vpclab.region.values import NO_TAGS, Tags, frozen

GONE, ROLLOUT = "eks-addon-gone", "eks-addon-rollout"
RESOLUTIONS = ("OVERWRITE", "NONE", "PRESERVE")


@dataclass(frozen=True, slots=True)
class Rollout:
    """A change of an add-on that is to reach the nodes."""

    cluster: str
    addon: str
    version: str
    values: Mapping[str, Any]
    """The whole configuration."""
    resolve: str
    """What becomes of changes made by hand: OVERWRITE, NONE (then it fails) or PRESERVE."""
    update_id: str = ""
    """Empty for an add-on that is new."""


class Addons:
    """Operations on them."""

    def __init__(
        self,
        tables: Tables,
        identify: Callable[[Addon, Mapping[str, str]], tuple[str, ...]],
        *,
        attended: bool,
    ) -> None:
        """`identify` makes an add-on's pod identity associations, service account -> role; `attended`: who rolls out."""
        self._tables = tables
        self._identify = identify
        self.attended = attended
        """Whether somebody carries rollouts out."""
        self._rollouts: dict[Named, Rollout] = {}
        tables.region.means(GONE, self._gone)
        tables.region.means(ROLLOUT, self._roll)

    def fill(self, rollouts: Mapping[Named, Rollout]) -> None:
        """Have these to be carried out, which were kept."""
        self._rollouts = dict(rollouts)

    @property
    def rollouts(self) -> Mapping[Named, Rollout]:
        """Those to be carried out, by cluster and add-on."""
        return MappingProxyType(self._rollouts)

    def create(
        self,
        cluster_name: str,
        name: str,
        *,
        version: str | None = None,
        configuration: str = "",
        service_account_role: str = "",
        resolve: str = "NONE",
        pod_identities: Mapping[str, str] = NO_TAGS,
        tags: Tags = NO_TAGS,
    ) -> Addon:
        """An add-on, CREATING and after its rollout ACTIVE.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
        """
        cluster = self._tables.cluster(cluster_name)
        fields = {"clusterName": cluster_name, "addonName": name}
        if cluster.status is not Status.ACTIVE:
            raise bad_request(f"Cluster '{cluster_name}' is not in ACTIVE status", **fields)
        if (cluster_name, name) in self._tables.addons:
            raise in_use("Addon already exists.", **fields)
        offered = _offered(name)
        chosen = self._version(offered, version, cluster.version)
        values = read_configuration(name, configuration)
        _check_resolution(resolve, ("OVERWRITE", "NONE"))
        if service_account_role:
            check_role(service_account_role)
        addon = Addon(
            cluster=cluster_name,
            name=name,
            uid=self._tables.draws.uuid(),
            version=chosen,
            status=Status.CREATING,
            created_at=self._tables.now,
            modified_at=self._tables.now,
            configuration=configuration,
            service_account_role=service_account_role,
            tags=frozen(tags),
        )
        addon = replace(addon, pod_identities=self._identify(addon, pod_identities))
        self._tables.put_addon(addon)
        self._begin(Rollout(cluster_name, name, chosen, values, resolve))
        return self._tables.addons[cluster_name, name]

    def update(
        self,
        cluster: str,
        name: str,
        *,
        version: str | None = None,
        configuration: str | None = None,
        service_account_role: str | None = None,
        resolve: str = "NONE",
        pod_identities: Mapping[str, str] | None = None,
    ) -> Update:
        """Change what is given; the rest stays.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException, InvalidParameterException.
        """
        addon = self._tables.addon(cluster, name)
        if addon.status in (Status.CREATING, Status.UPDATING, Status.DELETING):
            raise in_use(
                f"Addon {name} cannot be updated as it is currently in {addon.status.value} state",
                clusterName=cluster,
                addonName=name,
            )
        kubernetes = self._tables.cluster(cluster).version
        chosen = addon.version if version is None else self._version(_offered(name), version, kubernetes)
        text = addon.configuration if configuration is None else configuration
        values = read_configuration(name, text)
        _check_resolution(resolve, RESOLUTIONS)
        if service_account_role:
            check_role(service_account_role)
        params = [
            (param, given)
            for param, given in (
                ("AddonVersion", version),
                ("ServiceAccountRoleArn", service_account_role),
                ("ResolveConflicts", resolve),
                ("ConfigurationValues", configuration),
            )
            if given is not None
        ]
        identities = addon.pod_identities
        if pod_identities is not None:
            identities = self._identify(addon, pod_identities)
            params.append(("PodIdentityAssociations", str(dict(pod_identities))))
        update = self._tables.begin(cluster, "AddonUpdate", params, addon=name)
        self._tables.put_addon(
            replace(
                addon,
                status=Status.UPDATING,
                version=chosen,
                configuration=text,
                service_account_role=addon.service_account_role
                if service_account_role is None
                else service_account_role,
                pod_identities=identities,
                modified_at=self._tables.now,
                issues=(),
            )
        )
        self._begin(Rollout(cluster, name, chosen, values, resolve, update.id))
        return self._tables.updates[update.id]

    def delete(self, cluster: str, name: str) -> Addon:
        """Take it away after a delay; what runs on the nodes stays, as with EKS's `--preserve`.

        Raises ApiError: ResourceNotFoundException, ResourceInUseException.
        """
        addon = self._tables.addon(cluster, name)
        if addon.status in (Status.CREATING, Status.UPDATING, Status.DELETING):
            raise in_use(f"Addon {name} is {addon.status.value}", clusterName=cluster, addonName=name)
        going = self._tables.put_addon(replace(addon, status=Status.DELETING))
        self._tables.later(self._tables.delays.addon, GONE, cluster, name)
        return going

    def _gone(self, cluster: str, name: str) -> None:
        addon = self._tables.addons.pop((cluster, name), None)
        if addon is not None:
            for arn in addon.pod_identities:
                self._tables.identities.pop(arn.rpartition("/")[2], None)
            self._tables.note(f"{cluster}/{name}")

    def rolled_out(self, rollout: Rollout, issue: Issue | None = None) -> None:
        """A rollout is over: well, or with this."""
        key = (rollout.cluster, rollout.addon)
        if self._rollouts.get(key) != rollout:
            return  # the cluster has gone meanwhile
        del self._rollouts[key]
        addon = self._tables.addons.get(key)
        if addon is None:
            return
        status = Status.ACTIVE
        if issue is not None:
            conflict = issue.code == "ConfigurationConflict"
            failed = Status.UPDATE_FAILED if rollout.update_id else Status.CREATE_FAILED
            status = failed if conflict else Status.DEGRADED
        self._tables.put_addon(
            replace(
                addon,
                status=status,
                issues=() if issue is None else (issue,),
                modified_at=self._tables.now,
            )
        )
        self._tables.end(rollout.update_id, () if issue is None else (issue,))

    def _begin(self, rollout: Rollout) -> None:
        self._tables.later(self._tables.delays.addon, ROLLOUT, rollout)

    def _roll(self, rollout: Rollout) -> None:
        key = (rollout.cluster, rollout.addon)
        if key not in self._tables.addons:
            return
        self._rollouts[key] = rollout
        if self.attended:
            self._tables.note("/".join(key))
        else:
            self.rolled_out(rollout)

    def _version(self, offered: OfferedAddon, wanted: str | None, kubernetes: str) -> str:
        if wanted is None:
            default = offered.default(kubernetes)
            if default is None:
                raise invalid(f"Addon {offered.name} has no version for Kubernetes {kubernetes}")
            return default
        known = offered.version(wanted)
        if known is None or not known.fits(kubernetes):
            raise invalid(
                f"Addon version specified is not supported: {offered.name} {wanted} for Kubernetes {kubernetes}",
                addonName=offered.name,
            )
        return wanted


def _offered(name: str) -> OfferedAddon:
    if name not in OFFERED:
        raise invalid(
            f"Addon {name} specified is not supported: there are {', '.join(OFFERED)}", addonName=name
        )
    return OFFERED[name]


def offered_version(name: str, version: str) -> OfferedAddon:
    """An add-on that has such a version. Raises ApiError: ResourceNotFoundException."""
    offered = OFFERED.get(name)
    if offered is None or offered.version(version) is None:
        raise not_found(f"Addon {name} with version {version} not found", addonName=name)
    return offered


def _check_resolution(given: str, allowed: Sequence[str]) -> None:
    if given not in allowed:
        raise invalid(f"resolveConflicts is one of {', '.join(allowed)}, not {given!r}")
