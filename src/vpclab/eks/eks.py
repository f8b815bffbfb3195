"""EKS of one region and account: the façade over its tables and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vpclab.eks.access import Access
from vpclab.eks.addons import Addons
from vpclab.eks.catalogue import OFFERED
from vpclab.eks.clusters import Clusters
from vpclab.eks.errors import not_found
from vpclab.eks.identities import Identities
from vpclab.eks.members import Members
from vpclab.eks.nodegroups import Nodegroups
from vpclab.eks.tables import Named, Tables
from vpclab.eks.tagging import Tagging
from vpclab.eks.values import (
    AccessEntry,
    Addon,
    Cluster,
    EksDelays,
    Nodegroup,
    PodIdentity,
    PolicyAssociation,
    Update,
)
from vpclab.region.region import Region

NO_DELAYS = EksDelays()
NOWHERE = "https://{name}.no-api-server.invalid"
"""Endpoint of a cluster that has no API server: names under .invalid lead nowhere (RFC 2606)."""
NO_AUTHORITY = "bm8gQVBJIHNlcnZlcjogYSBiYXJlIGxhYg=="
"""In base64: "no API server: a bare lab"."""


class Eks:
    """Clusters and what belongs to them. Time and schedule are the region's; `look` after anything that changed there.

    The operations are those of clusters.py, nodegroups.py, addons.py, access.py and identities.py; each raises ApiError with
    EKS's error type and then has changed nothing.
    """

    def __init__(
        self,
        region: Region,
        *,
        delays: EksDelays = NO_DELAYS,
        seed: int = 0,
        ready: Callable[[str], bool] | None = None,
        attended: bool = False,
    ) -> None:
        """A region's EKS.

        Args:
            region: where nodes are launched.
            delays: EKS's own.
            seed: of ids.
            ready: whether an instance that runs is a node that is ready; every one is, if not given.
            attended: whether somebody carries out `leaving` (and says `drained`) and `rollouts` (and says `rolled_out`);
                if not, each is done at once.
        """
        tables = self._tables = Tables(region, delays, seed)
        access = self.access = Access(tables)
        identities = self.identities = Identities(tables)
        members = Members(tables, ready, attended=attended)
        clusters = Clusters(tables, access.welcome_creator)
        nodegroups = Nodegroups(tables, access.welcome_nodes)

        def identify(addon: Addon, wanted: Mapping[str, str]) -> tuple[str, ...]:
            return identities.of_addon(OFFERED[addon.name].namespace, addon, wanted)

        addons = Addons(tables, identify, attended=attended)
        self.tagging = Tagging(tables, access.arn, identities.arn)
        self.region = region
        self.endpoints: dict[str, tuple[str, str]] = {}
        """By cluster: its API server's URL and its authority's certificate in base64 PEM, where there is one."""

        self.clusters: Mapping[str, Cluster] = MappingProxyType(tables.clusters)
        self.nodegroups: Mapping[Named, Nodegroup] = MappingProxyType(tables.nodegroups)
        self.addons: Mapping[Named, Addon] = MappingProxyType(tables.addons)
        self.updates: Mapping[str, Update] = MappingProxyType(tables.updates)
        self.entries: Mapping[Named, AccessEntry] = MappingProxyType(tables.entries)
        self.policies: Mapping[Named, Mapping[str, PolicyAssociation]] = MappingProxyType(tables.policies)
        self.pod_identities: Mapping[str, PodIdentity] = MappingProxyType(tables.identities)
        self.cluster = tables.cluster
        self.nodegroup = tables.nodegroup
        self.addon = tables.addon
        self.arn = tables.arn

        self.create_cluster = clusters.create
        self.update_cluster_config = clusters.update_config
        self.update_cluster_version = clusters.update_version
        self.delete_cluster = clusters.delete
        self.create_nodegroup = nodegroups.create
        self.update_nodegroup_config = nodegroups.update_config
        self.update_nodegroup_version = nodegroups.update_version
        self.delete_nodegroup = nodegroups.delete
        self.create_addon = addons.create
        self.update_addon = addons.update
        self.delete_addon = addons.delete
        self.rolled_out = addons.rolled_out
        self.rollouts = addons.rollouts
        self.drained = members.drained
        self.leaving = members.leaving
        self.look = members.look
        self.nodes_of = members.of
        self._members = members
        self._addons = addons

    @property
    def changes(self) -> None:
        """Nobody counts."""

    def lasting(self) -> dict[str, Any]:
        """What there is to keep when the process ends."""
        return {
            "tables": self._tables.contents(),
            "members": self._members.contents(),
            "rollouts": dict(self._addons.rollouts),
            "endpoints": dict(self.endpoints),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Be again what `lasting` gave."""
        self._tables.fill(kept["tables"])
        self._members.fill(kept["members"])
        self._addons.fill(kept["rollouts"])
        self.endpoints.update(kept["endpoints"])

    def outside(self) -> Mapping[str, object]:
        """Values alone are kept."""
        return {}

    @property
    def delays(self) -> EksDelays:
        """Seconds that EKS takes; may be replaced at any time, for what begins after that."""
        return self._tables.delays

    @delays.setter
    def delays(self, delays: EksDelays) -> None:
        self._tables.delays = delays

    def attend(self, ready: Callable[[str], bool]) -> None:
        """From now on somebody drains nodes and rolls add-ons out, and knows which nodes are ready."""
        self._members.attend(ready)
        self._addons.attended = True

    def name_nodes(self, cluster: str, nodegroup: str, name: str) -> None:
        """The Name tag of a group's nodes that come, as a launch template's tags would give it."""
        self._members.node_names = {**self._members.node_names, (cluster, nodegroup): name}

    def endpoint(self, cluster: str) -> tuple[str, str]:
        """A cluster's API server and authority; a placeholder that says so where there is none."""
        return self.endpoints.get(cluster, (NOWHERE.format(name=cluster.lower()), NO_AUTHORITY))

    def update(self, cluster: str, update_id: str, **of: Any) -> Update:
        """An update by id, of a node group or an add-on if so named. Raises ApiError: ResourceNotFoundException."""
        self.cluster(cluster)
        found = self.updates.get(update_id)
        wanted = (of.get("nodegroup") or "", of.get("addon") or "")
        if found is None or found.cluster != cluster or (found.nodegroup, found.addon) != wanted:
            raise not_found(f"No update found for ID: {update_id}", clusterName=cluster)
        return found
