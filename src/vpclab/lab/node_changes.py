"""What a person does to the instances of a lab by hand, and waits for: stop, start, reboot, terminate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from vpclab.lab.hypervisor import Hypervisor
from vpclab.lab.state import LabError, known_names
from vpclab.lab.view import instance_view
from vpclab.node import NodeNotReadyError
from vpclab.region import ApiError, Instance, InstanceState, Region

LOOK_EVERY = 0.05
PATIENCE = 120.0
"""Seconds for a machine to be as it was asked to be."""
_ENDS: Mapping[str, InstanceState] = {
    "stop": InstanceState.STOPPED,
    "start": InstanceState.RUNNING,
    "reboot": InstanceState.RUNNING,
    "terminate": InstanceState.TERMINATED,
}


async def change_instance(
    region: Region, hypervisor: Hypervisor, name: str, what: str, changed: Callable[[], None]
) -> dict[str, Any]:
    """Do it by EC2's operation of that name, and wait until the machine is there: up and ready, or down.

    Args:
        region: the lab's.
        hypervisor: the lab's.
        name: of the machine.
        what: stop, start, reboot or terminate.
        changed: tells the lab that the region is different.

    Raises:
        LabError: there is no such machine, EC2 refuses, or it took too long.
    """
    instance_id = instance_named(hypervisor, name)
    operations: dict[str, Callable[[str], Instance]] = {
        "stop": region.stop_instance,
        "start": region.start_instance,
        "reboot": region.reboot_instance,
        "terminate": region.terminate_instance,
    }
    try:
        operations[what](instance_id)
    except ApiError as error:
        raise LabError(f"EC2 refuses: {error}") from None
    view = instance_view(region, name, instance_id) if region.enis_of(instance_id) else {"name": name}
    changed()
    await until_settled(region, hypervisor, instance_id, _ENDS[what])
    if region.enis_of(instance_id):
        view = instance_view(region, name, instance_id)
    return {**view, "instanceId": instance_id, "state": region.instance(instance_id).state.value}


async def until_settled(
    region: Region, hypervisor: Hypervisor, instance_id: str, state: InstanceState
) -> None:
    """Until the instance is in that state and its machine follows, ready if it is up. Raises LabError."""
    try:
        async with asyncio.timeout(PATIENCE):
            while region.instance(instance_id).state is not state:  # noqa: ASYNC110 -- time passes in the lab's loop
                await asyncio.sleep(LOOK_EVERY)
            hypervisor.look()
            await hypervisor.settled((instance_id,))
            machine = hypervisor.of(instance_id)
            if machine is not None:
                await machine.wait_ready()
    except NodeNotReadyError as error:
        raise LabError(str(error)) from error
    except TimeoutError:
        name = hypervisor.names.get(instance_id, instance_id)
        why = hypervisor.failures.get(name, "the lab's daemon.log may say why")
        raise LabError(f"{name} is not {state.value} after {PATIENCE:.0f} s: {why}") from None


def instance_named(hypervisor: Hypervisor, name: str) -> str:
    """The instance that the lab calls so, or of that id. Raises LabError."""
    for instance_id, known in hypervisor.names.items():
        if name in (known, instance_id):
            return instance_id
    raise known_names("machine", name, hypervisor.names.values())
