"""The lab: a region, its fabric, its machines, and the loop that keeps the packets as the region says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

from vpclab.aws import CallLog, Endpoint, Serving, serve
from vpclab.aws.lasting import CloudDumps
from vpclab.eks import Eks
from vpclab.fabric import AWS_API, Fabric, Place
from vpclab.fabric.paths import Ends, witnessed
from vpclab.lab.api_access import client_environment
from vpclab.lab.behind import behind
from vpclab.lab.bulk import in_parallel, report
from vpclab.lab.cluster import Attendant, split_environment
from vpclab.lab.front import front
from vpclab.lab.hypervisor import Hypervisor
from vpclab.lab.kept import KeptLab
from vpclab.lab.kinds import BareKind, cluster_for
from vpclab.lab.memory import Memory, recall
from vpclab.lab.memory import remember as parts_of
from vpclab.lab.metadata import Metadata
from vpclab.lab.node_changes import add_node, change_instance
from vpclab.lab.page import LabPage
from vpclab.lab.pod_pings import ping_pods
from vpclab.lab.pods import LabPods
from vpclab.lab.settings import PATHS, LabSettings
from vpclab.lab.state import LabError, known_names
from vpclab.lab.view import calls_view, lab_view, pod_view
from vpclab.lab.world import World, empty_cloud, make_world
from vpclab.node import PATIENCE, Machine, Node, NodeNotReadyError
from vpclab.page import Watch, page_app
from vpclab.region import ApiError
from vpclab.region.faults import FaultBook
from vpclab.region.paths import Paths, node_port

Progress = Callable[[str], None]


class Lab:
    """Everything that runs. One owner: the daemon's loop."""

    def __init__(self, settings: LabSettings, directory: Path, api: socket.socket) -> None:
        """A new lab, or if its directory has a file of one, that lab again. Raises LabError: it cannot be read."""
        self.settings = settings
        self._file = KeptLab(directory)
        self._dumps = CloudDumps()
        self._before = recall(self._file.read()) if self._file.there else None
        self.cloud = empty_cloud(settings) if self._before is None else self._before.cloud
        self.region = self.cloud.region
        self._world = World() if self._before is None else self._before.world
        self.faults = FaultBook(self.region) if self._before is None else self._before.faults
        self.fabric = Fabric()
        self.calls = CallLog()
        self._ends: Ends | None = None
        self._stir = asyncio.Event()
        self._api_socket = api
        self.api_url = "http://{}:{}".format(*api.getsockname())
        """Of AWS's API, from the machine itself."""
        self._servers: list[Serving] = []
        self._watch: Watch | None = None
        self._follower: asyncio.Task[None] | None = None
        self.pods = LabPods(lambda: self.nodes)
        self.eks = self.cloud.kept(Eks)
        configured, always = split_environment(settings.agent_env)
        machines = directory / "machines"
        self.cluster = cluster_for(
            settings, self.eks, self.cloud.keys, self.fabric, machines, configured, always
        )
        kind = self.cluster or BareKind(self.region.name, configured, self.pods, always=always)
        self.hypervisor = Hypervisor(self.region, self.fabric, machines, kind, self._booted, self._stir.set)
        self._attendant: Attendant | None = None
        self._metadata = Metadata(self.region, self.fabric)

    @property
    def machines(self) -> Mapping[str, Machine]:
        """The instances that are up."""
        return self.hypervisor.machines

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

        await self.fabric.start()
        await self._serve()
        say("the internet and AWS's API are up")
        if self._before is None:
            self._world = make_world(self.cloud, self.settings)
            for text in self.settings.faults:
                self.faults.add(text)
        else:
            say("the region is as it was")
            self.hypervisor.names.update(self._before.names)
        world = self._world
        await self.fabric.sync(self.region)
        await self._metadata.serve()
        if self.cluster is not None and world.study is not None:
            await self.cluster.start(world.study, say)
        self._attendant = Attendant(self.eks, self.hypervisor, self._stir.set)
        if self._before is not None:
            await self._attendant.resume(self._before.by_hand)
        self.remember()
        self.hypervisor.look()
        await self.hypervisor.settled()
        for name, why in self.hypervisor.failures.items():
            raise LabError(f"{name} did not boot: {why}")
        say(f"{len(self.machines)} instances have booted: {', '.join(self.machines)}")
        if world.paths is not None and world.plain is not None:
            places = {name: self.machines[name].place for name in world.plain.by_name()}
            self._ends = await witnessed(self.fabric, self.region, world.paths, world.plain, places)
        self._follower = asyncio.get_running_loop().create_task(
            self.fabric.follow(self.region, self._changes())
        )
        for machine in tuple(self.machines.values()):
            try:
                await self.hypervisor.wait_ready(machine.instance_id)
            except NodeNotReadyError as error:
                raise LabError(str(error)) from error
            if machine.name.startswith("node"):
                say(f"{machine.name} is ready")

    async def down(self) -> None:
        """End what was started; the namespaces go with this process."""
        if self._follower is not None:
            self._follower.cancel()
        if self._attendant is not None:
            await self._attendant.close()
        if self._watch is not None:
            await self._watch.stop()
        if self.cluster is None:  # else hundreds of containers end with this process, at once
            await self.hypervisor.close()
        self._file.close()

    @property
    def paths(self) -> Paths | None:
        """What the topology of every path has; None in others."""
        return self._world.paths

    def remember(self) -> None:
        """Keep the lab as it is now: before whoever changed it is answered."""
        by_hand = {} if self._attendant is None else self._attendant.by_hand
        memory = Memory(self.cloud, self.faults, self._world, self.hypervisor.names, by_hand)
        settings = replace(self.settings, api_port=self._api_socket.getsockname()[1])
        self._file.write(parts_of(memory, settings, self._dumps))

    async def _booted(self, machine: Machine) -> None:
        """What is there before a machine starts: IMDS in its VPC, and what the topology and the cluster have on it."""
        await self._metadata.serve()
        if self.cluster is not None:
            await self.cluster.booted(machine)
        ends = self._ends
        if ends is not None and machine.name in ends.places:
            await ends.witness.listen(machine.place, ends.addresses[machine.name])

    async def _serve(self) -> None:
        api = Endpoint(
            self.cloud,
            time.time,
            instance_of=self._instance_of,
            log=self.calls,
            on_change=self._stir.set,
            performed=self.remember,
            strict_auth=self.settings.strict_auth,
        )
        page, self._watch = page_app(LabPage(self))
        self._servers.append(await serve(front(page, api), self._api_socket))
        internet = self.fabric.places["internet"]
        self._servers.append(await serve(api, await internet.listen(AWS_API, 80)))

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
            if self._attendant is not None:
                self._attendant.look()
            if self.region.drain_changes():
                self.hypervisor.look()
                self.remember()
                yield
                await self._metadata.serve()

    def _instance_of(self, client: str) -> str | None:
        """Whose a private or public address is."""
        eni = self.region.eni_at(ip_address(client))
        return None if eni is None or eni.attachment is None else eni.attachment.instance_id

    # --- what one asks of it ----------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """A node by name. Raises LabError."""
        if name not in self.nodes:
            raise known_names("node", name, self.nodes)
        return self.nodes[name]

    async def add_pod(
        self,
        name: str,
        namespace: str,
        node_name: str | None,
        ports: Iterable[Mapping[str, Any]] = (),
        patience: float = PATIENCE,
    ) -> dict[str, Any]:
        """Run a pod, on the emptiest node if none is named; tried again for `patience` seconds. Raises LabError."""
        return pod_view(self.region, *await self.pods.add(name, namespace, node_name, ports, patience))

    async def delete_pod(self, name: str, namespace: str | None) -> dict[str, Any]:
        """End a pod. Raises LabError."""
        view = pod_view(self.region, *self.pods.find(name, namespace))
        await self.pods.delete(name, namespace)
        return view

    def status(self) -> dict[str, Any]:
        """Everything, from EC2's view."""
        view = lab_view(
            self.settings.name, self.region, self.machines.values(), self.hypervisor.names, self.calls
        )
        if self.cluster is not None:
            agents = self.cluster.agent_views(self.machines.values())
            for machine in view["machines"]:
                if machine["name"] in agents:
                    machine |= {"agent": agents[machine["name"]], "pods": None}
        return view | {"api": self.api_url}

    async def api_server(self, *, up: bool) -> None:
        """Begin or end an outage of the cluster's API server. Raises LabError."""
        if self.cluster is None:
            raise LabError("this lab has no API server: vpc-lab up --kubernetes has one")
        await self.cluster.api_server(up=up)

    def environment(self) -> dict[str, str]:
        """The variables with which AWS's clients on the machine itself work on this lab."""
        admin = self.cloud.keys.admin
        return client_environment(
            self.api_url, self.region.name, self.region.account, key_id=admin.id, secret=admin.secret
        )

    def way_in(self, name: str) -> dict[str, int]:
        """The daemon's descriptors of a machine's, a pod's or a part of the fabric's namespaces. Raises LabError."""
        places: dict[str, Place] = {
            **self.fabric.places,
            **(self.cluster.places if self.cluster is not None else {}),
            **{machine.name: machine.place for machine in self.machines.values()},
            **{
                name: machine.place
                for name, instance_id in self.hypervisor.also_called().items()
                if (machine := self.hypervisor.of(instance_id)) is not None
            },
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
        await self.hypervisor.kind.override(changes, nodes)
        if self._attendant is not None:
            self._attendant.changed_by_hand(changes, nodes)
        return [node.name for node in nodes]

    async def change_instance(self, name: str, what: str) -> dict[str, Any]:
        """Stop, start, reboot or terminate a machine, and wait until it is there. Raises LabError."""
        return await change_instance(self.region, self.hypervisor, name, what, self._stir.set)

    async def add_node(self, instance_type: str | None, zone: str | None) -> dict[str, Any]:
        """One node more, ready: of the node group, unless a type or a zone is asked for. Raises LabError."""
        return await add_node(self.eks, self.hypervisor, (instance_type, zone), self._stir.set)

    async def add_pods(
        self,
        names: Sequence[str],
        namespace: str,
        node_name: str | None,
        parallel: int,
        patience: float = PATIENCE,
    ) -> dict[str, Any]:
        """Run many pods, `parallel` at a time, each tried again for `patience` seconds."""
        began = time.monotonic()
        done = await in_parallel(
            names, parallel, lambda name: self.pods.add(name, namespace, node_name, (), patience)
        )
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
        in_use = {IPv4Address(r.address) for r in node.pods.values() if ":" not in r.address}
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

    def calls_since(
        self, answered: int, name: str | None, since: float | None, service: str | None = None
    ) -> dict[str, Any]:
        """AWS calls after so many, of one machine, one service and from one moment on if given. Raises LabError."""
        if name is not None and name not in self.machines:
            raise known_names("machine", name, self.machines)
        by_instance = {machine.instance_id: machine.name for machine in self.machines.values()}
        recent = (call for call in self.calls.after(answered) if service in (None, call.service))
        found = calls_view(recent, by_instance, name, since)
        return {"next": self.calls.answered, "calls": found}
