"""What an instance's metadata options may be."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vpclab.region.errors import invalid
from vpclab.region.values import MetadataOptions

USUAL_METADATA = MetadataOptions()
FARTHEST = 64
"""Hops (EC2 API, HttpPutResponseHopLimit)."""
_TAG = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}\Z")
_RESERVED = frozenset({".", "..", "_index"})


def check_metadata(options: MetadataOptions, tags: Iterable[str]) -> None:
    """Whether an instance with these tags can have them. Raises ApiError: InvalidParameterValue."""
    if not 1 <= options.hop_limit <= FARTHEST:
        raise invalid(
            f"Value ({options.hop_limit}) for parameter HttpPutResponseHopLimit is invalid. "
            f"It must be from 1 to {FARTHEST}."
        )
    if options.tags:
        check_told_tags(tags)


def check_told_tags(tags: Iterable[str]) -> None:
    """Whether the metadata service can tell these tags: a key is a part of a path. Raises ApiError: InvalidParameterValue."""
    for key in tags:
        if not _TAG.match(key) or key in _RESERVED:
            raise invalid(
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), "
                "and must not be a reserved name ('.', '..', '_index')"
            )
