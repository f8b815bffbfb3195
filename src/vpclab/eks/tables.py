"""What EKS knows, by name. One place writes, and tells the followers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from vpclab.eks.errors import no_addon, no_cluster, no_nodegroup
from vpclab.eks.values import (
    AccessEntry,
    Addon,
    Cluster,
    EksDelays,
    Issue,
    Nodegroup,
    PodIdentity,
    PolicyAssociation,
    Update,
)
from vpclab.region.draws import Draws
from vpclab.region.region import Region
from vpclab.region.values import Resource

Named = tuple[str, str]
"""A cluster's name, and of what is in it."""


TABLES = ("clusters", "nodegroups", "addons", "updates", "entries", "policies", "identities")
KEPT = ("delays", "draws", *TABLES)


class Tables:
    """The state. Values are replaced, never changed."""

    def __init__(self, region: Region, delays: EksDelays, seed: int) -> None:
        self.region = region
        self.delays = delays
        self.draws = Draws(seed, "eks")
        self.clusters: dict[str, Cluster] = {}
        self.nodegroups: dict[Named, Nodegroup] = {}
        self.addons: dict[Named, Addon] = {}
        self.updates: dict[str, Update] = {}
        self.entries: dict[Named, AccessEntry] = {}
        self.policies: dict[Named, dict[str, PolicyAssociation]] = {}
        """By cluster and principal, then by the policy's ARN."""
        self.identities: dict[str, PodIdentity] = {}

    def contents(self) -> dict[str, Any]:
        """All that is known, to be kept."""
        return {name: getattr(self, name) for name in KEPT}

    def fill(self, contents: Mapping[str, Any]) -> None:
        """Know again what was kept. Tables stay the same objects: others look into them."""
        self.delays, self.draws = contents["delays"], contents["draws"]
        for name in TABLES:
            table: dict[Any, Any] = getattr(self, name)
            table.clear()
            table.update(contents[name])

    @property
    def now(self) -> float:
        """The region's time."""
        return self.region.now

    def cluster(self, name: str) -> Cluster:
        """By name. Raises ApiError: ResourceNotFoundException."""
        if name not in self.clusters:
            raise no_cluster(name)
        return self.clusters[name]

    def nodegroup(self, cluster: str, name: str) -> Nodegroup:
        """By name. Raises ApiError: ResourceNotFoundException."""
        self.cluster(cluster)
        if (cluster, name) not in self.nodegroups:
            raise no_nodegroup(cluster, name)
        return self.nodegroups[cluster, name]

    def addon(self, cluster: str, name: str) -> Addon:
        """By name. Raises ApiError: ResourceNotFoundException."""
        self.cluster(cluster)
        if (cluster, name) not in self.addons:
            raise no_addon(cluster, name)
        return self.addons[cluster, name]

    def put_cluster(self, cluster: Cluster) -> Cluster:
        """Add or replace."""
        self.clusters[cluster.name] = cluster
        self.note(cluster.name)
        return cluster

    def put_nodegroup(self, group: Nodegroup) -> Nodegroup:
        """Add or replace."""
        self.nodegroups[group.cluster, group.name] = group
        self.note(f"{group.cluster}/{group.name}")
        return group

    def put_addon(self, addon: Addon) -> Addon:
        """Add or replace."""
        self.addons[addon.cluster, addon.name] = addon
        self.note(f"{addon.cluster}/{addon.name}")
        return addon

    def begin(
        self,
        cluster: str,
        kind: str,
        params: Iterable[tuple[str, str]],
        *,
        nodegroup: str = "",
        addon: str = "",
    ) -> Update:
        """An update that is under way from now on."""
        update = Update(
            self.draws.uuid(), cluster, kind, tuple(params), self.now, nodegroup=nodegroup, addon=addon
        )
        self.updates[update.id] = update
        return update

    def end(self, update_id: str, errors: Iterable[Issue] = ()) -> None:
        """It is over, well or not; one that is over stays so."""
        update = self.updates.get(update_id)
        if update is not None and update.status == "InProgress":
            problems = tuple(errors)
            status = "Failed" if problems else "Successful"
            self.updates[update_id] = replace(update, status=status, errors=problems)

    def later(self, delay: tuple[float, float], step: str, *arguments: Any) -> None:
        """Have a step of the region's schedule happen after a drawn delay; at once if that is none."""
        self.region.later(self.draws.uniform(*delay), step, *arguments)

    def note(self, what: str) -> None:
        """Tell whoever follows the region that something of EKS is different."""
        self.region.note(Resource.EKS, what)

    def arn(self, kind: str, *path: str) -> str:
        """The ARN of something of EKS's."""
        return f"arn:aws:eks:{self.region.name}:{self.region.account}:{'/'.join((kind, *path))}"
