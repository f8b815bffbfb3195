"""The lab: a region, its fabric, its machines, and the loop that keeps the packets as the region says."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from vpclab.aws import CallLog, Serving, ec2_app, imds_app, serve
from vpclab.fabric import AWS_API, IMDS, Fabric, Place
from vpclab.lab.state import LabError, known_names
from vpclab.node.node import Machine, Node, PodRecord, boot_machine, configure_network, make_node
from vpclab.node.runtime import CniError
from vpclab.region import Delays, Region, launch_bastion, launch_node, study_region

Progress = Callable[[str], None]
NO_DELAYS = Delays(attach=(0.0, 0.0), detach=(0.0, 0.0))


@dataclass(frozen=True, slots=True)
class LabSettings:
    """What `vpc-lab up` was asked for."""

    name: str
    nodes: int = 3
    instance_type: str = "t3.medium"
    env: Mapping[str, str] = field(default_factory=dict)
    delays: Delays = field(default_factory=Delays)
    throttle: bool = True


class Lab:
    """Everything that runs. One owner: the daemon's loop."""

    def __init__(self, settings: LabSettings, directory: Path) -> None:
        self.settings = settings
        self._directory = directory
        region = Region(delays=settings.delays, now=time.time(), throttle=settings.throttle)
        self.region, self.study = study_region(region)
        self.fabric = Fabric()
        self.calls = CallLog()
        self._stir = asyncio.Event()
        self._servers: list[Serving] = []
        self._follower: asyncio.Task[None] | None = None
        self.machines: dict[str, Machine] = {}

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
        names = ["bastion", *(f"node{number}" for number in range(1, self.settings.nodes + 1))]
        instances = [launch_bastion(self.region, self.study)]
        instances += [
            launch_node(self.region, self.study, index, self.settings.instance_type)
            for index in range(self.settings.nodes)
        ]
        machines = await asyncio.gather(
            *(
                boot_machine(name, instance.id, self.region, self._directory / "machines" / name)
                for name, instance in zip(names, instances, strict=True)
            )
        )
        for machine, instance in zip(machines, instances, strict=True):
            self.machines[machine.name] = machine
            await self.fabric.add_instance(instance, machine.place)
        await self.fabric.sync(self.region)
        await asyncio.gather(*(configure_network(machine, self.region) for machine in machines))
        say(f"{len(machines)} instances have booted: {', '.join(names)}")
        self._follower = asyncio.get_running_loop().create_task(self._follow())
        for name in names[1:]:
            node = await make_node(self.machines[name], self.region, self.settings.env)
            self.machines[name] = node
            node.start_agent()
        for node in self.nodes.values():
            try:
                await node.wait_ready()
            except TimeoutError:
                raise LabError(await self._why_not_ready(node)) from None
            say(f"{node.name} is ready")

    async def down(self) -> None:
        """End what was started; the namespaces go with this process."""
        if self._follower is not None:
            self._follower.cancel()
        await asyncio.gather(*(node.stop_agent(signal.SIGKILL) for node in self.nodes.values()))

    async def _serve(self) -> None:
        api = ec2_app(
            self.region, time.time, instance_of=self._instance_of, log=self.calls, on_change=self._stir.set
        )
        imds = imds_app(self.region, time.time, self._instance_of)
        places = self.fabric.places
        for place, address, app in ((places["router"], IMDS, imds), (places["internet"], AWS_API, api)):
            self._servers.append(await serve(app, await place.listen(address, 80)))

    async def _follow(self) -> None:
        """Keep the packets as the region says, whatever changes it: an API call, or time."""
        while True:
            due = self.region.next_due()
            wait = None if due is None else max(0.0, due - time.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stir.wait()
            self._stir.clear()
            self.region.advance(time.time())
            if self.region.drain_changes():
                await self.fabric.sync(self.region)

    def _instance_of(self, client: str) -> str | None:
        """Whose a private or public address is."""
        address = IPv4Address(client)
        for eni in self.region.enis.values():
            if eni.attachment is not None and (
                eni.public_ip == address or any(address in n for n in eni.networks)
            ):
                return eni.attachment.instance_id
        return None

    async def _why_not_ready(self, node: Node) -> str:
        def tail() -> str:
            lines: list[str] = []
            for name in ("ipamd.log", "agent.stderr"):
                path = Path("/var/log/aws-routed-eni") / name
                if path.exists():
                    lines += path.read_text(errors="replace").splitlines()[-8:]
            return "\n".join(lines)

        return (
            f"{node.name} did not become ready; the last lines of its agent:\n{await node.place.call(tail)}"
        )

    # --- pods -----------------------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """A node by name. Raises LabError."""
        if name not in self.nodes:
            raise known_names("node", name, self.nodes)
        return self.nodes[name]

    def find_pod(self, name: str, namespace: str | None = None) -> tuple[Node, PodRecord]:
        """A pod by name, or by namespace/name. Raises LabError."""
        if "/" in name:
            namespace, name = name.split("/", 1)
        found = [
            (node, record)
            for node in self.nodes.values()
            for (space, pod), record in node.pods.items()
            if pod == name and namespace in {None, space}
        ]
        if not found:
            every = [f"{space}/{pod}" for node in self.nodes.values() for space, pod in node.pods]
            raise known_names("pod", name, every)
        if len(found) > 1:
            raise LabError(f"there is more than one pod {name}: say namespace/{name}")
        return found[0]

    async def add_pod(self, name: str, namespace: str, node_name: str | None) -> dict[str, Any]:
        """Run a pod on a node, the emptiest if none is named. Raises LabError."""
        if any((namespace, name) in node.pods for node in self.nodes.values()):
            raise LabError(f"pod {namespace}/{name} is running already")
        node = self.node(node_name) if node_name else min(self.nodes.values(), key=lambda n: len(n.pods))
        try:
            record = await node.add_pod(namespace, name)
        except CniError as error:
            raise LabError(f"pod {namespace}/{name} on {node.name}: {error}") from error
        return self.pod_view(node, record)

    async def delete_pod(self, name: str, namespace: str | None) -> dict[str, Any]:
        """End a pod. Raises LabError."""
        node, record = self.find_pod(name, namespace)
        view = self.pod_view(node, record)
        try:
            await node.delete_pod(record.sandbox.namespace, record.sandbox.name)
        except CniError as error:
            raise LabError(f"pod {name} on {node.name}: {error}") from error
        return view

    # --- what there is ----------------------------------------------------------------------------------------

    def pod_view(self, node: Node, record: PodRecord) -> dict[str, Any]:
        """A pod as a person is told of it."""
        address = IPv4Address(record.address)
        enis = [
            eni for eni in self.region.enis_of(node.instance_id) if any(address in n for n in eni.networks)
        ]
        return {
            "namespace": record.sandbox.namespace,
            "name": record.sandbox.name,
            "node": node.name,
            "ip": record.address,
            "eni": enis[0].id if enis else None,
            "device": f"eth{enis[0].attachment.device_index}" if enis and enis[0].attachment else None,
            "hostVeth": record.host_veth,
        }

    def pods(self) -> list[dict[str, Any]]:
        """Every pod."""
        return [self.pod_view(node, record) for node in self.nodes.values() for record in node.pods.values()]

    def status(self) -> dict[str, Any]:
        """Everything, from EC2's view."""
        calls: Counter[str] = Counter()
        for (action, _), count in self.calls.counts.items():
            calls[action] += count
        return {
            "name": self.settings.name,
            "region": self.region.name,
            "vpc": str(self.study.vpc.cidrs[0]),
            "subnets": [
                {
                    "id": subnet.id,
                    "zone": subnet.zone,
                    "cidr": str(subnet.cidr),
                    "free": self.region.free_addresses(subnet.id),
                }
                for subnet in self.region.subnets.values()
            ],
            "machines": [self._machine_view(machine) for machine in self.machines.values()],
            "pods": self.pods(),
            "ec2Calls": dict(sorted(calls.items())),
        }

    def _machine_view(self, machine: Machine) -> dict[str, Any]:
        instance = self.region.instances[machine.instance_id]
        enis = self.region.enis_of(machine.instance_id)
        view: dict[str, Any] = {
            "name": machine.name,
            "instanceId": machine.instance_id,
            "type": instance.type,
            "zone": instance.zone,
            "privateIp": str(enis[0].primary),
            "publicIp": str(enis[0].public_ip) if enis[0].public_ip else None,
            "enis": [
                {
                    "id": eni.id,
                    "device": f"eth{eni.attachment.device_index}" if eni.attachment else None,
                    "status": eni.status.value,
                    "primary": str(eni.primary),
                    "secondary": [str(address) for address in eni.secondary],
                    "prefixes": [str(prefix) for prefix in eni.prefixes],
                }
                for eni in enis
            ],
        }
        if isinstance(machine, Node):
            view["agent"] = {"pid": machine.agent_pid, "starts": machine.starts}
            view["pods"] = len(machine.pods)
        return view

    def way_in(self, name: str) -> dict[str, Any]:
        """How a process outside enters a machine, a pod, or a part of the fabric. Raises LabError."""
        parts: dict[str, Place] = {
            **self.fabric.places,
            **{machine.name: machine.place for machine in self.machines.values()},
        }
        if name in parts:
            namespaces = parts[name].namespaces
            return {"net": namespaces.net, "mount": namespaces.mount, "uts": namespaces.uts}
        try:
            node, record = self.find_pod(name)
        except LabError as error:
            raise known_names(
                "machine or pod", name, [*parts, *(f"{p['namespace']}/{p['name']}" for p in self.pods())]
            ) from error
        return {
            "net": record.netns_fd,
            "mount": node.place.namespaces.mount,
            "uts": node.place.namespaces.uts,
        }

    async def kill_agent(self, name: str, number: int, *, start: bool) -> dict[str, Any]:
        """End a node's agent with a signal; start it again or leave it down. Raises LabError."""
        node = self.node(name)
        await node.stop_agent(number)
        if start:
            node.start_agent()
        return {"node": name, "running": start}

    def start_agent(self, name: str) -> dict[str, Any]:
        """Start a node's agent that was left down. Raises LabError."""
        node = self.node(name)
        if node.agent_pid is None:
            node.start_agent()
        return {"node": name, "running": True}
