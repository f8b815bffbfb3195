"""Which ENIs somebody left behind, and may be deleted (spec 6.9).

A node that ends while an ENI is between being made and being tied to it leaves that ENI: it costs an address, and quota, and
keeps subnets and security groups from being deleted. Careful, for a wrong deletion cannot be undone.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.values import EniId

CREATED_AT = "node.k8s.amazonaws.com/createdAt"
CLUSTER = "cluster.k8s.amazonaws.com/name"
DESCRIPTION = "aws-K8S-"
OLD_ENOUGH = 300.0
"""Seconds that an ENI may be on its way to an instance (spec 6.9)."""
TELLS = 1.0
"""Seconds that the tag of an ENI's time cannot tell apart."""


class Verdict(enum.Enum):
    """What to do with an ENI that is attached to nothing."""

    LEAVE = "leave"
    DATE = "date"
    """Nobody knows how old it is: it is tagged with today's time, and judged by that later."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Stray:
    """An ENI as EC2 describes it, in what decides its fate."""

    id: EniId
    status: str
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Maker:
    """The agent that judges: it knows of itself that it is making none of what was made before it began."""

    instance: str
    since: float
    """When it began; seconds since 1970."""


def judge(stray: Stray, *, cluster: str, now: float, maker: Maker | None = None) -> Verdict:
    """Only what one of our agents made for this cluster, and long enough ago, is deleted.

    `maker` need not wait so long for what an earlier agent of its own node left behind.
    The original deletes an ENI at once whose time cannot be read (spec 11.4 number 35); here such a time counts as none.
    """
    if stray.status != "available" or INSTANCE not in stray.tags:
        return Verdict.LEAVE
    if not stray.description.startswith(DESCRIPTION) or stray.tags.get(CLUSTER, "") != cluster:
        return Verdict.LEAVE
    made = _time(stray.tags.get(CREATED_AT, ""))
    if made is None or made > now + OLD_ENOUGH:  # from the future: a clock was wrong, perhaps ours
        return Verdict.DATE
    abandoned = maker is not None and stray.tags[INSTANCE] == maker.instance and made + TELLS <= maker.since
    return Verdict.DELETE if abandoned or now - made >= OLD_ENOUGH else Verdict.LEAVE


def dated(now: float) -> tuple[tuple[str, str], ...]:
    """The tag that says how old an ENI is."""
    return ((CREATED_AT, datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")),)


def _time(text: str) -> float | None:
    try:
        made = datetime.fromisoformat(text)
    except ValueError:
        return None
    return made.timestamp() if made.tzinfo is not None else None
