"""What a person does to the instances of a lab by hand, and waits for: stop, start, reboot, terminate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vpclab.eks import Eks
from vpclab.lab.hypervisor import Hypervisor
from vpclab.lab.state import LabError, known_names
from vpclab.lab.view import instance_view
from vpclab.node import NodeNotReadyError
from vpclab.region import ApiError, Instance, InstanceState, Region
from vpclab.region.study import CLUSTER, NODE_GROUP

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
            if hypervisor.of(instance_id) is not None:
                await hypervisor.wait_ready(instance_id)
    except NodeNotReadyError as error:
        raise LabError(str(error)) from error
    except TimeoutError:
        name = hypervisor.names.get(instance_id, instance_id)
        why = hypervisor.failures.get(name, "the lab's daemon.log may say why")
        raise LabError(f"{name} is not {state.value} after {PATIENCE:.0f} s: {why}") from None


async def add_node(
    eks: Eks,
    hypervisor: Hypervisor,
    wanted: tuple[str | None, str | None],
    changed: Callable[[], None],
) -> dict[str, Any]:
    """One node more, ready: of the node group, or of nobody's where a type or a zone is asked for.

    Args:
        eks: the lab's.
        hypervisor: the lab's.
        wanted: an instance type and a zone, each if it matters.
        changed: tells the lab that the region is different.

    Raises:
        LabError: AWS refuses, or it took too long.
    """
    region, key = eks.region, (CLUSTER, NODE_GROUP)
    instance_type, zone = wanted
    try:
        if instance_type is None and zone is None:
            before = {one.id for one in eks.nodes_of(key)}
            desired = eks.nodegroup(*key).scaling.desired + 1
            eks.update_nodegroup_config(*key, scaling={"desiredSize": desired})
            changed()
            made = await _next_node(eks, before)
        else:
            group = eks.nodegroup(*key)
            subnets = [region.subnet(one) for one in group.subnet_ids]
            chosen = [one for one in subnets if zone is None or one.zone[-1] == zone[-1:]]
            if not chosen:
                raise known_names("zone", zone or "", [one.zone for one in subnets])
            made = region.run_instance(
                instance_type or group.instance_types[0],
                chosen[0].id,
                groups=group.group_ids,
                name=f"{CLUSTER}-self-managed-Node",
                tags={f"kubernetes.io/cluster/{CLUSTER}": "owned"},
            ).id
            changed()
    except ApiError as error:
        raise LabError(f"AWS refuses: {error}") from None
    await until_settled(region, hypervisor, made, InstanceState.RUNNING)
    return instance_view(region, hypervisor.names[made], made)


async def _next_node(eks: Eks, before: Collection[str]) -> str:
    key = (CLUSTER, NODE_GROUP)
    try:
        async with asyncio.timeout(PATIENCE):
            while not (fresh := [one.id for one in eks.nodes_of(key) if one.id not in before]):
                issues = eks.nodegroup(*key).issues
                if issues:
                    raise LabError("; ".join(one.message for one in issues))
                await asyncio.sleep(LOOK_EVERY)
    except TimeoutError:
        raise LabError(f"the node group launched no instance in {PATIENCE:.0f} s") from None
    return fresh[0]


def instance_named(hypervisor: Hypervisor, name: str) -> str:
    """The instance that the lab calls so, or of that id. Raises LabError."""
    others = hypervisor.also_called()
    if name in others:
        return others[name]
    for instance_id, known in hypervisor.names.items():
        if name in (known, instance_id):
            return instance_id
    raise known_names("machine", name, hypervisor.names.values())
