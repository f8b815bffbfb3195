"""The lab: a region, its fabric, its machines, and the loop that keeps the packets as the region says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from vpclab.aws import CallLog, Serving, ec2_app, imds_app, serve
from vpclab.fabric import AWS_API, IMDS, Fabric, Place
from vpclab.fabric.paths import Ends, bring_up
from vpclab.lab.behind import behind
from vpclab.lab.bulk import in_parallel, report
from vpclab.lab.layout import add_networks, fill, welcome_neighbours
from vpclab.lab.pod_pings import ping_pods
from vpclab.lab.pods import LabPods
from vpclab.lab.settings import PATHS, LabSettings
from vpclab.lab.state import LabError, known_names
from vpclab.lab.view import calls_view, lab_view, pod_view
from vpclab.node import (
    AgentProcess,
    Machine,
    Node,
    NodeNotReadyError,
    Runtime,
    agent_environment,
    boot_place,
    configure_network,
    install_image,
    write_hosts,
)
from vpclab.region import ApiError, Delays, Latency, Region, launch_bastion, launch_node, study_region
from vpclab.region.faults import FaultBook
from vpclab.region.paths import Paths, launch_private_node, node_port, paths_region
from vpclab.region.values import Instance

Progress = Callable[[str], None]
NO_DELAYS = Delays(attach=(0.0, 0.0), detach=(0.0, 0.0))
REAL_DELAYS = Delays(imds=(0.1, 0.7))
"""IMDS lacked a new ENI for 0.1 to 0.3 s and its addresses for 0.4 s more (aws-emulation 4.5)."""
REAL_LATENCY = Latency(
    every=(0.02, 0.1),
    by_action={
        "CreateNetworkInterface": (0.2, 0.4),
        "AttachNetworkInterface": (0.2, 0.4),
        "AssignPrivateIpAddresses": (0.4, 0.6),
        "UnassignPrivateIpAddresses": (0.4, 0.6),
    },
)
"""Seconds of calls: 0.2 s for a create, 0.4 to 0.6 s for an assign (aws-emulation 4.5); the others are estimates."""


class Lab:
    """Everything that runs. One owner: the daemon's loop."""

    def __init__(self, settings: LabSettings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        real = settings.real_delays
        region = Region(
            seed=settings.seed,
            delays=REAL_DELAYS if real else NO_DELAYS,
            now=time.time(),
            throttle=real,
        )
        if real:
            region.gate.latency = REAL_LATENCY
        self.paths: Paths | None = None
        if settings.topology == PATHS:
            self.region, self.paths = paths_region(region, settings.subnet_bits)
            self.study = self.paths.study
            welcome_neighbours(self.region, self.paths)
        else:
            self.region, self.study = study_region(region, settings.subnet_bits)
        add_networks(self.region, self.study, settings)
        self.faults = FaultBook(region)
        self.fabric = Fabric()
        self.calls = CallLog()
        self._ends: Ends | None = None
        self._stir = asyncio.Event()
        self._servers: list[Serving] = []
        self._follower: asyncio.Task[None] | None = None
        self.machines: dict[str, Machine] = {}
        self.pods = LabPods(lambda: self.nodes)

    @property
    def nodes(self) -> dict[str, Node]:
        """The machines that run pods."""
        return {name: machine for name, machine in self.machines.items() if isinstance(machine, Node)}

    # --- up and down ----------------------------------------------------------------------------------------

    async def up(self, progress: Progress) -> None:
        """Bring everything up; returns when every node can run pods."""
        began = time.monotonic()

        def say(text: str) -> None:
            progress(f"{time.monotonic() - began:5.1f} s  {text}")

        await self.fabric.start(self.region.vpcs.values())
        await self._serve()
        say("the VPC's router, the internet gateway and AWS's API are up")
        await self._boot()
        say(f"{len(self.machines)} instances have booted: {', '.join(self.machines)}")
        self._follower = asyncio.get_running_loop().create_task(
            self.fabric.follow(self.region, self._changes())
        )
        for node in self.nodes.values():
            await install_image(node.place)
            node.agent.start()
        for node in self.nodes.values():
            try:
                await node.wait_ready()
            except NodeNotReadyError as error:
                raise LabError(str(error)) from error
            say(f"{node.name} is ready")

    async def down(self) -> None:
        """End what was started; the namespaces go with this process."""
        if self._follower is not None:
            self._follower.cancel()
        await asyncio.gather(*(node.agent.stop(signal.SIGKILL) for node in self.nodes.values()))

    async def _boot(self) -> None:
        instances = {"bastion": launch_bastion(self.region, self.study)}
        for index in range(self.settings.nodes):
            instance = launch_node(self.region, self.study, index, self.settings.instance_type)
            instances[f"node{index + 1}"] = instance
        if self.paths is not None:
            for index in range(self.settings.private_nodes):
                instance = launch_private_node(self.region, self.paths, index, self.settings.instance_type)
                instances[f"node{self.settings.nodes + index + 1}"] = instance
        if self.settings.free is not None:
            used = [self.region.instance(one.id).subnet_id for one in instances.values()]
            fill(self.region, used, self.settings.free, scattered=self.settings.scattered)
        for text in self.settings.faults:
            self.faults.add(text)
        root = self._directory / "machines"
        places = await asyncio.gather(*(boot_place(name, root / name) for name in instances))
        for place, instance in zip(places, instances.values(), strict=True):
            self.machines[place.name] = self._machine(place, instance)
            await self.fabric.add_instance(instance, place)
        await self.fabric.sync(self.region)
        if self.paths is not None:
            await self._boot_ends(self.paths, root)
        addresses = [
            (self.region.enis_of(machine.instance_id)[0].primary, machine.name)
            for machine in self.machines.values()
        ]
        await asyncio.gather(
            *(
                configure_network(self.machines[p.name].place, self.machines[p.name].instance_id, self.region)
                for p in places
            ),
            *(write_hosts(place, self.region.name, addresses) for place in places),
        )

    async def _boot_ends(self, paths: Paths, root: Path) -> None:
        """Instances without an agent, and servers there, on site and in the internet."""
        ends = await bring_up(self.fabric, self.region, paths, root)
        for name, place in ends.places.items():
            if name not in self.fabric.places:
                [eni] = (eni for eni in self.region.enis.values() if eni.primary == ends.addresses[name])
                assert eni.attachment is not None  # noqa: S101 -- an instance's primary ENI
                self.machines[name] = Machine(name, eni.attachment.instance_id, place)
        self._ends = ends

    def _machine(self, place: Place, instance: Instance) -> Machine:
        if place.name == "bastion":
            return Machine(place.name, instance.id, place)
        environment = agent_environment(place.name, self.region.name, self.settings.env)
        agent = AgentProcess(place, environment)
        return Node(place.name, instance.id, place, agent, Runtime(place))

    async def _serve(self) -> None:
        api = ec2_app(
            self.region, time.time, instance_of=self._instance_of, log=self.calls, on_change=self._stir.set
        )
        imds = imds_app(self.region, time.time, self._instance_of)
        places = self.fabric.places
        for place, address, app in ((places["router"], IMDS, imds), (places["internet"], AWS_API, api)):
            self._servers.append(await serve(app, await place.listen(address, 80)))

    async def _changes(self) -> AsyncIterator[None]:
        """An item whenever the region has changed, by an API call or by time passing."""
        while True:
            due = self.region.next_due()
            wait = None if due is None else max(0.0, due - time.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stir.wait()
            self._stir.clear()
            self.region.advance(time.time())
            if self.region.drain_changes():
                yield

    def _instance_of(self, client: str) -> str | None:
        """Whose a private or public address is."""
        address = IPv4Address(client)
        for eni in self.region.enis.values():
            if eni.attachment is not None and (
                eni.public_ip == address or any(address in n for n in eni.networks)
            ):
                return eni.attachment.instance_id
        return None

    # --- what one asks of it ----------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """A node by name. Raises LabError."""
        if name not in self.nodes:
            raise known_names("node", name, self.nodes)
        return self.nodes[name]

    async def add_pod(
        self, name: str, namespace: str, node_name: str | None, ports: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        """Run a pod, on the emptiest node if none is named. Raises LabError."""
        return pod_view(self.region, *await self.pods.add(name, namespace, node_name, ports))

    async def delete_pod(self, name: str, namespace: str | None) -> dict[str, Any]:
        """End a pod. Raises LabError."""
        view = pod_view(self.region, *self.pods.find(name, namespace))
        await self.pods.delete(name, namespace)
        return view

    def status(self) -> dict[str, Any]:
        """Everything, from EC2's view."""
        return lab_view(self.settings.name, self.region, self.machines.values(), self.calls)

    def way_in(self, name: str) -> dict[str, int]:
        """The daemon's descriptors of a machine's, a pod's or a part of the fabric's namespaces. Raises LabError."""
        places: dict[str, Place] = {
            **self.fabric.places,
            **{machine.name: machine.place for machine in self.machines.values()},
        }
        if name in places:
            inside = places[name].namespaces
            return {"net": inside.net, "mount": inside.mount, "uts": inside.uts}
        known = self.pods.names()
        if name not in known and all(name != pod.partition("/")[2] for pod in known):
            raise known_names("machine or pod", name, [*places, *known])
        node, record = self.pods.find(name)
        return {
            "net": record.netns_fd,
            "mount": node.place.namespaces.mount,
            "uts": node.place.namespaces.uts,
        }

    def balance(self, port: int, node_port_: int, names: Sequence[str]) -> dict[str, Any]:
        """Have the load balancer pass a port on to a port of these nodes. Raises LabError."""
        if self.paths is None:
            raise LabError(f"this lab has no load balancer: vpc-lab up --topology {PATHS} makes one")
        addresses = [self.region.enis_of(self.node(name).instance_id)[0].primary for name in names]
        try:
            public = node_port(self.region, self.paths, port, node_port_, addresses)
        except ApiError as error:
            raise LabError(str(error)) from None
        self._stir.set()
        return {"address": str(public), "port": port, "nodePort": node_port_, "nodes": list(names)}

    async def kill_agent(self, name: str, number: int, *, start: bool) -> dict[str, Any]:
        """End a node's agent with a signal; start it again or leave it down. Raises LabError."""
        agent = self.node(name).agent
        await agent.stop(number)
        if start:
            agent.start()
        return {"node": name, "running": start}

    def start_agent(self, name: str) -> dict[str, Any]:
        """Start a node's agent that was left down. Raises LabError."""
        self.node(name).agent.start()
        return {"node": name, "running": True}

    async def change_environment(self, name: str, changes: Mapping[str, str | None]) -> list[str]:
        """Give a node's agent ("all": every node's) other variables (None: not that one) and restart it. Raises LabError."""
        nodes = list(self.nodes.values()) if name == "all" else [self.node(name)]
        for node in nodes:
            node.agent.change_environment(changes)
        await asyncio.gather(*(self._restart(node.agent) for node in nodes))
        return [node.name for node in nodes]

    async def _restart(self, agent: AgentProcess) -> None:
        await agent.stop()
        agent.start()

    async def add_pods(
        self, names: Sequence[str], namespace: str, node_name: str | None, parallel: int
    ) -> dict[str, Any]:
        """Run many pods, `parallel` at a time."""
        began = time.monotonic()
        done = await in_parallel(names, parallel, lambda name: self.pods.add(name, namespace, node_name, ()))
        return report(done, time.monotonic() - began)

    async def delete_pods(self, names: Sequence[str], parallel: int) -> dict[str, Any]:
        """End many pods, given as namespace/name, `parallel` at a time."""
        began = time.monotonic()
        done = await in_parallel(names, parallel, lambda name: self.pods.delete(name, None))
        return report(done, time.monotonic() - began)

    async def ping(self, *, every: bool, seconds: float) -> dict[str, Any]:
        """Every pod pings every other, or the next one (of another node where there is one)."""
        return await ping_pods(self.nodes.values(), every=every, seconds=seconds)

    def behind(self, name: str, what: str, eni: str | None, addresses: Sequence[str], count: int) -> str:
        """Change a node's ENIs behind its agent's back. Raises LabError."""
        node = self.node(name)
        in_use = {IPv4Address(record.address) for record in node.pods.values()}
        self.region.advance(time.time())
        try:
            return behind(
                self.region, node.instance_id, what,
                eni=eni, addresses=addresses, count=count, in_use=in_use,
            )  # fmt: skip
        finally:
            self._stir.set()

    def delete_available(self, eni_id: str) -> bool:
        """Delete an ENI that is on no instance, as whoever detached it would; whether there was one."""
        self.region.advance(time.time())
        eni = self.region.enis.get(eni_id)
        if eni is None or eni.attachment is not None:
            return False
        self.region.delete_network_interface(eni_id)
        self._stir.set()
        return True

    def calls_since(self, answered: int, name: str | None, since: float | None) -> dict[str, Any]:
        """EC2 calls after so many, of one machine and from one moment on if given. Raises LabError."""
        if name is not None and name not in self.machines:
            raise known_names("machine", name, self.machines)
        by_instance = {machine.instance_id: machine.name for machine in self.machines.values()}
        found = calls_view(self.calls.after(answered), by_instance, name, since)
        return {"next": self.calls.answered, "calls": found}
