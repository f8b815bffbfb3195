"""The tags of our ENIs (spec 6.10)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from vpccni.ipam.leaks import CLUSTER, CREATED_AT
from vpccni.ipam.managed import INSTANCE

__all__ = ["CLUSTER", "CREATED_AT", "INSTANCE", "OWNED_BY", "OWNER", "description", "eni_tags"]

OWNER = "eks:eni:owner"
OWNED_BY = "amazon-vpc-cni"


def eni_tags(
    instance: str, cluster: str, now: float, additional: Iterable[tuple[str, str]] = ()
) -> tuple[tuple[str, str], ...]:
    """The tags of an ENI created now, sorted; additional ones may override ours, as in the original."""
    tags = {
        INSTANCE: instance,
        CREATED_AT: datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z"),
    }
    if cluster:
        tags |= {CLUSTER: cluster, OWNER: OWNED_BY}
    return tuple(sorted({**tags, **dict(additional)}.items()))


def description(instance: str) -> str:
    """The description that tells whose the ENI is."""
    return f"aws-K8S-{instance}"
