"""Describing what the region keeps in a mapping of its own: ids, filters, pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from vpclab.aws.operations import arguments as args
from vpclab.aws.operations.arguments import Parameters
from vpclab.region.errors import not_found
from vpclab.region.filters import Described, Page, Reader, matching, paged

T = TypeVar("T", bound=Described)


def listed(
    p: Parameters, ids: str, kind: str, table: Mapping[str, T], readers: Mapping[str, Reader[T]]
) -> Page[T]:
    """What a Describe call asks for. Raises ApiError: the id's NotFound, InvalidParameterValue."""
    asked = args.query(p, ids)
    asked.check_page()
    for wanted in asked.ids:
        if wanted not in table:
            raise not_found(wanted, kind)
    chosen = matching((table[key] for key in asked.ids or table), asked.filters, readers)
    # A mapping keeps the order in which things were made; pages go by it.
    ordinals = {key: place for place, key in enumerate(table)}
    return paged(chosen, ordinals, asked.max_results, asked.next_token)
