"""What a lab knows that is to outlive its process, as parts of its file, and again from them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vpclab.aws.lasting import CloudDumps, load_cloud
from vpclab.aws.service import Cloud
from vpclab.lab.settings import LabSettings
from vpclab.lab.state import LabError
from vpclab.lab.world import World
from vpclab.region.faults import FaultBook
from vpclab.region.state import dump, load


@dataclass(frozen=True, slots=True)
class Memory:
    """A lab, but for what runs."""

    cloud: Cloud
    faults: FaultBook
    world: World = field(default_factory=World)
    names: Mapping[str, str] = field(default_factory=dict)
    """The machines' names, by instance."""
    by_hand: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """Variables that people gave to nodes' agents, by instance."""


def remember(memory: Memory, settings: LabSettings, dumps: CloudDumps) -> dict[str, bytes]:
    """The parts of the file; `dumps` are those of the lab's cloud."""
    rest: dict[str, Any] = {
        "faults": memory.faults.lasting(),
        "world": memory.world,
        "names": dict(memory.names),
        "by_hand": {one: dict(changes) for one, changes in memory.by_hand.items()},
    }
    return {
        "settings": settings.to_json().encode(),
        **dumps.of(memory.cloud),
        "lab": dump(rest),
    }


def recall(parts: Mapping[str, bytes]) -> Memory:
    """What was remembered; the time since has passed in it. Raises LabError: it cannot be read."""
    try:
        cloud = load_cloud(parts)
        rest = load(parts["lab"])
    except Exception as error:
        raise LabError(
            f"what was kept of this lab cannot be read ({error!r}): vpc-lab down removes it, vpc-lab up makes one anew"
        ) from error
    faults = FaultBook.restored(cloud.region, rest["faults"])
    cloud.region.advance(time.time())
    return Memory(cloud, faults, rest["world"], rest["names"], rest["by_hand"])
