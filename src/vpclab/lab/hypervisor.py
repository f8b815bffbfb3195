"""Instances of the region as machines of the lab: whatever runs there is up here, and nothing else is.

The region says what should be (level-triggered: `look` is called after every change), and each instance has one task at
a time that brings its machine there. A machine that comes back from a stop or a reboot is a new one in its instance's
directory: files on its disk are as they were, /run and /etc are the image's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from vpclab.fabric import CommandError, Fabric, Place
from vpclab.lab.kinds import NodeKind
from vpclab.lab.names import also_called, cluster_of, name_for
from vpclab.node import Machine, NodeNotReadyError, boot_place, configure_network, write_hosts
from vpclab.region import ApiError, Instance, InstanceState, Region

log = logging.getLogger(__name__)
RETRY = 2.0
"""Seconds until a machine that did not boot is tried again."""
MEMORY = "run"
"""What of a machine's directory is in memory on a real one: gone after a boot."""


class Hypervisor:
    """Owns the lab's machines. Used from the lab's loop."""

    def __init__(
        self,
        region: Region,
        fabric: Fabric,
        root: Path,
        kind: NodeKind,
        booted: Callable[[Machine], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        """The fabric has looked at this region; machines get directories in `root`; `booted` is awaited with each network.

        `changed` is called when a machine has come, has become ready or has gone.
        """
        self.kind = kind
        self.machines: dict[str, Machine] = {}
        """Those that are up, by name."""
        self.names: dict[str, str] = {}
        """Of every instance that is not terminated, by id."""
        self.failures: dict[str, str] = {}
        """Why an instance's machine is not up, by name, until it is."""
        self._region = region
        self._fabric = fabric
        self._root = root
        self._booted = booted
        self._changed = changed
        self._up: dict[str, tuple[Machine, int]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._settled = asyncio.Condition()
        self._readiness: dict[str, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Begin what makes the machines as the region says."""
        fresh: list[Instance] = []
        for instance in self._region.instances.values():
            if instance.state is not InstanceState.TERMINATED and instance.id not in self.names:
                self.names[instance.id] = name_for(instance, self.names.values())
            if instance.id in self._busy:
                continue
            up = self._up.get(instance.id)
            if up is not None and (instance.state is not InstanceState.RUNNING or up[1] != instance.boots):
                self._do((instance.id,), self._take_down(up[0]))
            elif up is None and instance.state is InstanceState.RUNNING:
                fresh.append(instance)
        if fresh:
            self._do([one.id for one in fresh], self._bring_up(fresh))
        for instance_id in [key for key in self.names if self._gone(key)]:
            shutil.rmtree(self._root / self.names.pop(instance_id), ignore_errors=True)

    def also_called(self) -> dict[str, str]:
        """Names that lead to an instance beside `names`: see there."""
        return also_called(self._region.instances, self.names)

    def of(self, instance_id: str) -> Machine | None:
        """The machine that an instance is, if it is up."""
        up = self._up.get(instance_id)
        return None if up is None else up[0]

    def is_ready(self, instance_id: str) -> bool:
        """Whether its machine is up and does what it is for."""
        task = self._readiness.get(instance_id)
        return task is not None and task.done() and not task.cancelled() and task.exception() is None

    async def wait_ready(self, instance_id: str) -> None:
        """Until it is. Raises NodeNotReadyError: it does not get so, or is not up."""
        task = self._readiness.get(instance_id)
        if task is None:
            raise NodeNotReadyError(f"{self.names.get(instance_id, instance_id)} is not up")
        await asyncio.shield(task)

    async def settled(self, instance_ids: Iterable[str] = ()) -> None:
        """Until these instances' machines (all, if none is named) are as the region says, or have failed to be."""
        wanted = set(instance_ids)
        async with self._settled:
            await self._settled.wait_for(lambda: not (wanted & self._busy.keys() if wanted else self._busy))

    async def close(self) -> None:
        """End what runs on the machines; their namespaces go with this process."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        for task in self._readiness.values():
            task.cancel()
        await asyncio.gather(*self._readiness.values(), return_exceptions=True)
        await asyncio.gather(*(machine.stop() for machine in self.machines.values()))

    def _gone(self, instance_id: str) -> bool:
        instance = self._region.instances.get(instance_id)
        ended = instance is None or instance.state is InstanceState.TERMINATED
        return ended and instance_id not in self._up and instance_id not in self._busy

    def _do(self, instance_ids: Iterable[str], work: Awaitable[None]) -> None:
        ids = tuple(instance_ids)

        async def run() -> None:
            try:
                await work
            except (CommandError, OSError, ApiError) as error:
                log.exception("machines of %s did not follow their instances", ", ".join(ids))
                self.failures |= {self.names[one]: str(error) for one in ids if one in self.names}
                await self._wake(ids, retry=True)
            else:
                await self._wake(ids, retry=False)

        task = asyncio.get_running_loop().create_task(run())
        self._busy |= dict.fromkeys(ids, task)

    async def _wake(self, ids: Iterable[str], *, retry: bool) -> None:
        for instance_id in ids:
            del self._busy[instance_id]
        if retry:
            asyncio.get_running_loop().call_later(RETRY, self.look)
        else:
            self.look()
        self._changed()
        async with self._settled:
            self._settled.notify_all()

    async def _bring_up(self, instances: list[Instance]) -> None:
        """Boot several together: one look of the fabric's for all."""
        places: dict[str, Place] = {}
        try:
            for instance in instances:
                name = self.names[instance.id]
                places[instance.id] = await self._power_on(name)
            await self._fabric.add_instances(places)
            await asyncio.gather(*(configure_network(places[i.id], i.id, self._region) for i in instances))
        except BaseException:
            with contextlib.suppress(CommandError):
                await self._fabric.remove_instances(places)
            for place in places.values():
                place.close()
            raise
        for instance in instances:
            name = self.names[instance.id]
            machine = self._machine(name, instance, places[instance.id])
            self._up[instance.id] = machine, instance.boots
            self.machines[name] = machine
            self.failures.pop(name, None)
        self.machines = dict(sorted(self.machines.items(), key=lambda pair: _order(pair[0])))
        await self._tell_names()
        await asyncio.gather(*(self._start(self._up[instance.id][0]) for instance in instances))

    async def _start(self, machine: Machine) -> None:
        await self._booted(machine)
        await machine.start()
        self._readiness[machine.instance_id] = asyncio.get_running_loop().create_task(
            self._get_ready(machine)
        )

    async def _get_ready(self, machine: Machine) -> None:
        try:
            await machine.wait_ready()
        except NodeNotReadyError as error:
            log.warning("%s", error)
            raise
        finally:
            asyncio.get_running_loop().call_soon(self._changed)

    async def _power_on(self, name: str) -> Place:
        directory = self._root / name
        await asyncio.to_thread(shutil.rmtree, directory / MEMORY, ignore_errors=True)
        return await boot_place(name, directory)

    def _machine(self, name: str, instance: Instance, place: Place) -> Machine:
        if cluster_of(instance) is None:
            return Machine(name, instance.id, place)
        return self.kind.make(name, instance, place)

    async def _take_down(self, machine: Machine) -> None:
        del self._up[machine.instance_id], self.machines[machine.name]
        readiness = self._readiness.pop(machine.instance_id, None)
        if readiness is not None:
            readiness.cancel()
            await asyncio.gather(readiness, return_exceptions=True)
        try:
            await machine.stop()
            await asyncio.to_thread(kill_everything_in, machine.place)
        finally:
            await self._fabric.remove_instances((machine.instance_id,))
            machine.place.close()
        await self._tell_names()

    async def _tell_names(self) -> None:
        """Every machine knows every other by name, also those that are down; terminated ones have no address."""
        known = [
            (enis[0].primary, name)
            for instance_id, name in (
                *self.names.items(),
                *((other, name) for name, other in self.also_called().items()),
            )
            if (enis := self._region.enis_of(instance_id))
        ]
        await asyncio.gather(
            *(write_hosts(one.place, self._region.name, known) for one in self.machines.values())
        )


def kill_everything_in(place: Place) -> None:
    """End every process in a place's mount namespace: the power goes. Its caller must see the lab's /proc."""
    there = os.fstat(place.namespaces.mount)
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.path.samestat(os.stat(entry / "ns/mnt"), there):  # noqa: PTH116
                os.kill(int(entry.name), signal.SIGKILL)


def _order(name: str) -> tuple[int, int, str]:
    """The bastion, the nodes by number, the others."""
    number = name.removeprefix("node")
    if name == "bastion":
        return 0, 0, name
    return (1, int(number), name) if number.isdigit() else (2, 0, name)
