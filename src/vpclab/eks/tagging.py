"""Tags of clusters, node groups, add-ons, access entries and pod identity associations, by their ARNs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from vpclab.eks.errors import bad_request, not_found
from vpclab.eks.tables import Tables
from vpclab.eks.values import AccessEntry, Addon, Cluster, Nodegroup, PodIdentity
from vpclab.region.values import Tags, frozen

MOST = 50
Tagged = Cluster | Nodegroup | Addon | AccessEntry | PodIdentity


class Tagging:
    """Operations on them."""

    def __init__(
        self,
        tables: Tables,
        entry_arn: Callable[[AccessEntry], str],
        identity_arn: Callable[[PodIdentity], str],
    ) -> None:
        self._tables = tables
        self._entry_arn = entry_arn
        self._identity_arn = identity_arn

    def of(self, arn: str) -> Tags:
        """A resource's tags. Raises ApiError: NotFoundException."""
        return self._find(arn).tags

    def add(self, arn: str, tags: Tags) -> None:
        """Add or overwrite. Raises ApiError: NotFoundException, BadRequestException."""
        merged = {**self.of(arn), **tags}
        if len(merged) > MOST:
            raise bad_request(f"A resource has {MOST} tags at most")
        self._put(self._find(arn), merged)

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        """Those that are not there are fine. Raises ApiError: NotFoundException."""
        gone = set(keys)
        self._put(self._find(arn), {k: v for k, v in self.of(arn).items() if k not in gone})

    def arn(self, resource: Tagged) -> str:
        """A resource's ARN."""
        match resource:
            case Cluster():
                return self._tables.arn("cluster", resource.name)
            case Nodegroup():
                return self._tables.arn("nodegroup", resource.cluster, resource.name, resource.uid)
            case Addon():
                return self._tables.arn("addon", resource.cluster, resource.name, resource.uid)
            case AccessEntry():
                return self._entry_arn(resource)
            case PodIdentity():
                return self._identity_arn(resource)

    def _every(self) -> Iterator[Tagged]:
        tables = self._tables
        yield from tables.clusters.values()
        yield from tables.nodegroups.values()
        yield from tables.addons.values()
        yield from tables.entries.values()
        yield from tables.identities.values()

    def _find(self, arn: str) -> Tagged:
        for resource in self._every():
            if self.arn(resource) == arn:
                return resource
        raise not_found(f"Resource {arn} not found")

    def _put(self, resource: Tagged, tags: Mapping[str, str]) -> None:
        kept = frozen(tags)
        match resource:
            case Cluster():
                self._tables.put_cluster(replace(resource, tags=kept))
            case Nodegroup():
                self._tables.put_nodegroup(replace(resource, tags=kept))
            case Addon():
                self._tables.put_addon(replace(resource, tags=kept))
            case AccessEntry():
                self._tables.entries[resource.cluster, resource.principal] = replace(resource, tags=kept)
            case PodIdentity():
                self._tables.identities[resource.id] = replace(resource, tags=kept)
