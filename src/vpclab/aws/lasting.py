"""The whole cloud as bytes, and again from them: the region, what each service keeps, the keys that were given out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vpclab.aws.service import Cloud, Lasting
from vpclab.aws.services import cloud_of
from vpclab.region import Region
from vpclab.region.state import dump, load

Kept = tuple[bytes, bytes]
"""The region, and the rest, which refers to it."""


def dump_cloud(cloud: Cloud) -> Kept:
    """All of it as it is now."""
    services = {name: one.lasting() for name, one in cloud.all_kept().items() if isinstance(one, Lasting)}
    rest = {"services": services, "keys": cloud.keys.lasting()}
    return dump(cloud.region.state), dump(rest, _outside(cloud))


def load_cloud(kept: Kept) -> Cloud:
    """A cloud that goes on where that one was. Raises what `pickle` does for bytes of another version."""
    region, rest = kept
    cloud = cloud_of(Region(state=load(region)))
    found: Mapping[str, Any] = load(rest, _outside(cloud))
    states = cloud.all_kept()
    for name, value in found["services"].items():
        state = states[name]
        if isinstance(state, Lasting):
            state.restore(value)
    cloud.keys.restore(found["keys"])
    return cloud


def _outside(cloud: Cloud) -> dict[str, object]:
    named: dict[str, object] = {"region": cloud.region, "cloud": cloud}
    for name, state in cloud.all_kept().items():
        if isinstance(state, Lasting):
            named |= {f"{name} {what}": one for what, one in state.outside().items()}
    return named
