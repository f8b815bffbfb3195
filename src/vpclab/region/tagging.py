"""Tags on anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vpclab.region.metadata_options import check_told_tags
from vpclab.region.tables import Tables
from vpclab.region.values import ApiError, Tags, frozen

MAX_TAGS = 50
"""AWS's quota per resource."""


class Tagging:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def create(self, resource_ids: Iterable[str], tags: Tags) -> None:
        """Add or overwrite. Raises ApiError, with nothing changed: the id's NotFound, TagLimitExceeded, InvalidParameterValue."""
        merged = {key: {**self._tables.taggable(key).tags, **tags} for key in resource_ids}
        if any(len(all_tags) > MAX_TAGS for all_tags in merged.values()):
            raise ApiError(
                "TagLimitExceeded", f"The maximum number of {MAX_TAGS} tags per resource has been reached."
            )
        for key in merged.keys() & self._tables.instances.keys():
            if self._tables.instances[key].metadata.tags:
                check_told_tags(tags)
        for resource_id, all_tags in merged.items():
            self._tables.put_tags(resource_id, frozen(all_tags))

    def delete(self, resource_ids: Iterable[str], tags: Mapping[str, str | None]) -> None:
        """Remove these keys; with a value only if the tag has that value; all tags if none is named.

        Raises ApiError, with nothing changed: the id's NotFound.
        """
        left = {
            key: {
                name: value
                for name, value in self._tables.taggable(key).tags.items()
                if tags and (name not in tags or tags[name] not in (None, value))
            }
            for key in resource_ids
        }
        for resource_id, remaining in left.items():
            self._tables.put_tags(resource_id, frozen(remaining))

    def all(self) -> Iterable[tuple[str, str, str]]:
        """(resource id, key, value) of every tag."""
        tables = self._tables
        every: tuple[Mapping[str, Any], ...] = (
            tables.vpcs,
            tables.subnets,
            tables.gateways,
            tables.groups,
            tables.instances,
            tables.enis,
            *tables.further.values(),
        )
        for table in every:
            for resource_id, resource in table.items():
                for key, value in resource.tags.items():
                    yield resource_id, key, value
