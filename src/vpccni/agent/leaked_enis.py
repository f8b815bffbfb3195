"""Looks once an hour for ENIs that nodes left behind, and deletes what is surely such (spec 6.9)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from vpccni.aws.errors import Ec2Error
from vpccni.aws.values import DescribedEni
from vpccni.ipam.leaks import Maker, Stray, Verdict, dated, judge
from vpccni.ipam.values import EniId

log = logging.getLogger(__name__)

EVERY = 3600.0
FIRST_WITHIN = 300.0
"""Seconds within which the first look happens, at a moment of each node's own."""


class Strays(Protocol):
    """EC2, as this needs it; blocking; failures are Ec2Error."""

    def strays(self) -> tuple[DescribedEni, ...]:
        """ENIs of our making that are attached to nothing."""

    def tag(self, eni: EniId, tags: dict[str, str]) -> None:
        """Add tags."""

    def delete_eni(self, eni: EniId) -> None:
        """Delete; one that is gone is fine."""


def clean_up(
    cloud: Strays, cluster: str, clock: Callable[[], float], maker: Maker | None = None
) -> tuple[EniId, ...]:
    """One look; what was deleted. One that cannot be deleted does not keep the others. Raises Ec2Error of the look."""
    deleted: list[EniId] = []
    for found in cloud.strays():
        now = clock()
        stray = Stray(found.id, found.status, found.description, found.tags)
        verdict = judge(stray, cluster=cluster, now=now, maker=maker)
        try:
            if verdict is Verdict.DELETE:
                cloud.delete_eni(found.id)
                deleted.append(found.id)
                log.info("%s (%s) was left behind by a node and is deleted", found.id, found.description)
            elif verdict is Verdict.DATE:
                cloud.tag(found.id, dict(dated(now)))
                log.info("%s (%s) does not say when it was made; dated now", found.id, found.description)
        except Ec2Error as error:
            # another node may have been faster, or it has just been attached
            log.warning("%s was left behind and stays for now: %s", found.id, error)
    return tuple(deleted)
