"""The whole cloud as bytes, and again from them: the region, what each service keeps, the keys that were given out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from vpclab.aws.service import Cloud, Lasting
from vpclab.aws.services import cloud_of
from vpclab.region import Region
from vpclab.region.state import dump, load

REGION, KEYS = "region", "keys"


def part_of(service: str) -> str:
    """The name of a part, by the class of a service's state."""
    return f"service {service}"


class CloudDumps:
    """One cloud's parts, asked for again and again: a state that counts its changes is dumped only after one.

    Each part is loaded on its own: what two of them have in common is in each of them, and no longer the same.
    """

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, bytes]] = {}
        """By service: how many changes there had been, and the dump of then."""

    def of(self, cloud: Cloud) -> dict[str, bytes]:
        """All of it as it is now."""
        outside = _outside(cloud)
        parts = {REGION: dump(cloud.region.state), KEYS: dump(cloud.keys.lasting(), outside)}
        for name, state in _lasting(cloud).items():
            parts[part_of(name)] = self._service(name, state, outside)
        return parts

    def _service(self, name: str, state: Lasting, outside: Mapping[str, object]) -> bytes:
        changes = state.changes
        if changes is None:
            return dump(state.lasting(), outside)
        then, dumped = self._counted.get(name, (None, b""))
        if then != changes:
            dumped = dump(state.lasting(), outside)
            self._counted[name] = changes, dumped
        return dumped


def load_cloud(parts: Mapping[str, bytes]) -> Cloud:
    """A cloud that goes on where that one was. Raises what `pickle` does for bytes of another version; KeyError: no such part."""
    cloud = cloud_of(Region(state=load(parts[REGION])))
    outside = _outside(cloud)
    for name, state in _lasting(cloud).items():
        state.restore(load(parts[part_of(name)], outside))
    cloud.keys.restore(load(parts[KEYS], outside))
    return cloud


def _lasting(cloud: Cloud) -> dict[str, Lasting]:
    return {name: one for name, one in cloud.all_kept().items() if isinstance(one, Lasting)}


def _outside(cloud: Cloud) -> dict[str, object]:
    services = (
        ((f"{name} {what}", one) for what, one in state.outside().items())
        for name, state in _lasting(cloud).items()
    )
    return {"region": cloud.region, "cloud": cloud, **dict(chain.from_iterable(services))}
