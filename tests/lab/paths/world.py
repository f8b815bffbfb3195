"""A lab with every path: pods at every end, services, and this process in all of its corners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from tests.fabric.scenarios.ways import seen, silent
from tests.lab.conftest import LabUnderTest
from tests.lab.paths import table
from tests.lab.paths.kube_proxy import Service, restore_text
from tests.lab.paths.table import Mode, Row, Seen, Way
from vpclab.demo.visit import visit
from vpclab.fabric import IMDS
from vpclab.fabric.customer import server_of
from vpclab.fabric.internet import CHECKIP, SOMEBODY
from vpclab.fabric.namespaces import Place
from vpclab.fabric.witness import PORT, Witness, capture
from vpclab.region.paths import SITE

OPTIONS = ("--topology", "paths", "--nodes", "4", "--private-nodes", "1", "--env", "WARM_IP_TARGET=1")
ON_AN_ENI = 5
"""Pods that fit on an ENI of a t3.medium."""
LOCAL_PORT, CLUSTER_PORT, BALANCED_PORT = 30007, 30008, 8080
SERVICE, OWN_SERVICE, PORTED, PORTED_LOCAL = (f"10.100.0.{number}" for number in range(50, 54))
SERVED_AT = 80
READY_WITHIN = 60.0
MACHINES = {
    "another node": "node2",
    "an instance of the VPC": "neighbour",
    "an instance in a private subnet": "private",
    "an instance of a peered VPC": "peer",
    table.FAR: "far",
    "a host on site, by VPN": "onprem",
    table.INTERNET: "internet",
    table.BALANCED: "internet",
}
PODS = {
    "a pod of another node in the zone": "near",
    "a pod in another zone": "zone",
}
SENDERS = {table.FIRST: "first", table.SECOND: "second", table.HOST: "node1", table.BEHIND: "behind"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a row's sender asks."""

    address: IPv4Address
    hears: str
    """The place that gets it."""
    port: int = PORT
    beyond: IPv4Address | None = None
    """The far address on the node's wires, if it is another."""


class World:
    """One lab, its addresses and its corners."""

    def __init__(self, lab: LabUnderTest) -> None:
        self._lab = lab
        self._eyes = lab.eyes
        self.places: dict[str, Place] = {}
        self.addresses: dict[str, IPv4Address] = {}
        self._public = self._balancer = self._gateway = IPv4Address(0)

    async def build(self, stack: AsyncExitStack) -> None:
        """Pods, services, witnesses; all of this process's goes with `stack`."""
        pods = self._pods()
        status = self._lab.json("status")
        machines = {machine["name"]: machine for machine in status["machines"]}
        self._public = IPv4Address(machines["node1"]["publicIp"])
        self.addresses = {name: IPv4Address(pod["ip"]) for name, pod in pods.items()}
        self.addresses |= {name: IPv4Address(one["privateIp"]) for name, one in machines.items()}
        self.addresses |= {"onprem": server_of(SITE), "internet": CHECKIP}
        for name in (*pods, *machines, "onprem", "internet"):
            place = visit(self._eyes, pods[name]["name"] if name in pods else name)
            self.places[name] = place
            stack.callback(place.close)
        witness = await stack.enter_async_context(Witness())
        for name in (*pods, *(name for name in machines if name.startswith("node"))):
            await witness.listen(self.places[name], self.addresses[name])
        self._balancer = self._balanced()
        # what a NAT gateway's public address is shows where nothing else can have chosen it
        self._gateway = IPv4Address(
            self._lab("exec", "private", "--", "curl", "-s", f"http://{CHECKIP}/").stdout.strip()
        )
        await self._serve()

    def _pods(self) -> dict[str, dict[str, Any]]:
        found = [self._lab.pod(f"one-{number}", "--node", "node1") for number in range(2 * ON_AN_ENI)]
        by_device = {device: [pod for pod in found if pod["device"] == device] for device in ("eth0", "eth1")}
        assert all(len(pods) >= 2 for pods in by_device.values()), "two ENIs hold pods"
        first, second = by_device["eth0"], by_device["eth1"]
        pods = {"first": first[0], "first-other": first[1], "second": second[0], "second-other": second[1]}
        pods |= {
            name: self._lab.pod(name, "--node", node)
            for name, node in (("near", "node4"), ("zone", "node2"), ("behind", "node5"))
        }
        return pods

    def _balanced(self) -> IPv4Address:
        made = self._lab.json("balance", str(BALANCED_PORT), str(LOCAL_PORT), "node1")
        return IPv4Address(made["address"])

    async def _serve(self) -> None:
        here, there = (f"{self.addresses[name]}:{PORT}" for name in ("second", "zone"))
        services = [
            Service("zone", SERVICE, SERVED_AT, there),
            Service("own", OWN_SERVICE, SERVED_AT, f"{self.addresses['first-other']}:{PORT}"),
            Service("cluster", PORTED, SERVED_AT, there, CLUSTER_PORT),
        ]
        local = Service("local", PORTED_LOCAL, SERVED_AT, here, LOCAL_PORT, local=True)
        for node, known in (("node1", [*services, local]), ("node2", services)):
            done = await self.places[node].run(
                ("bash", "-c", f"iptables-restore --noflush <<'END'\n{restore_text(known)}END\n")
            )
            assert done.returncode == 0

    async def set(self, mode: Mode, layout: str) -> None:
        """Every agent in this mode; returns when all are ready in it."""
        every = sorted({key for one in table.MODES for key in one.env})
        changes = [f"{key}={mode.env[key]}" if key in mode.env else f"{key}-" for key in every]
        await asyncio.to_thread(self._lab, "env", "all", f"VPC_CNI_RULES={layout}", *changes)
        for name, place in self.places.items():
            if name.startswith("node"):
                await _ready(place)

    async def judge(self, row: Row, mode: Mode) -> list[str]:
        """What is not as the table says."""
        wanted = row.way(mode)
        target = self._target(row)
        sender = self.places[self._sender(row)]
        if wanted.seen is Seen.NOBODY:
            quiet = await silent(sender, target.address)
            return [] if quiet else [f"{row.sender} → {row.target}: it is answered"]
        if row.target == table.IMDS:
            url = f"http://{IMDS}/latest/"
            done = await sender.run(("curl", "-s", "-m", "3", "-o", "/dev/null", url), check=False)
            return [] if done.returncode == 0 else [f"{row.sender} → {row.target}: no answer"]
        return [
            f"{protocol}, {row.sender} → {row.target}: {text}"
            for protocol in row.protocols
            for text in await self._probed(row, wanted, target, protocol)
        ]

    async def _probed(self, row: Row, wanted: Way, target: Target, protocol: str) -> list[str]:
        node = self.places["node5" if row.sender == table.BEHIND else "node1"]
        sender, hears = self.places[self._sender(row)], self.places[target.hears]
        async with AsyncExitStack() as stack:
            devices = ("eth0", "eth1") if node.name == "node1" else ("eth0",)
            watched = {one: await stack.enter_async_context(capture(node, one)) for one in devices}
            saw = await seen(sender, hears, protocol, target.address, port=target.port)
            await asyncio.sleep(0)  # the captures read when the loop turns
        problems = []
        by = self._who(wanted.seen, row)
        if not saw or (by is not None and saw != str(by)):
            problems.append(f"seen as {saw or 'nobody'}, not as {by or 'anybody'}")
        far = target.beyond or target.address
        used = {
            (device, "out" if packet.outgoing else "in")
            for device, one in watched.items()
            for packet in one.packets
            if packet.protocol == protocol and far in (packet.source, packet.target)
        }
        expected = {(wanted.device, "out"), (wanted.device, "in")} if wanted.device else set()
        if used != expected:
            problems.append(f"by {sorted(used)}, not by {sorted(expected)}")
        return problems

    def _sender(self, row: Row) -> str:
        if row.sender in SENDERS:
            return SENDERS[row.sender]
        return self._machine(row.sender)

    def _machine(self, label: str) -> str:
        return MACHINES[label]

    def _target(self, row: Row) -> Target:
        if row.sender in SENDERS:
            return self._outward(SENDERS[row.sender], row.target)
        client = (
            SOMEBODY if self._machine(row.sender) == "internet" else self.addresses[self._machine(row.sender)]
        )
        if row.target in (table.TO_FIRST, table.TO_SECOND):
            name = "first" if row.target == table.TO_FIRST else "second"
            return Target(self.addresses[name], name, beyond=client)
        hears, port = ("second", LOCAL_PORT) if row.target == table.LOCAL_PORT else ("zone", CLUSTER_PORT)
        if row.sender == table.BALANCED:
            return Target(self._balancer, hears, BALANCED_PORT, client)
        address = self._public if row.sender == table.INTERNET else self.addresses["node1"]
        return Target(address, hears, port, client)

    def _outward(self, sender: str, label: str) -> Target:
        other = {"first": "second", "second": "first"}.get(sender, "second")
        known = {
            "a pod on the same ENI": f"{sender}-other",
            "a pod on its primary ENI": "first",
            "a pod on its second ENI": "second",
            "a pod on the other ENI of its node": other,
            "its node": "node1",
            **PODS,
        }
        services = {
            table.SERVICE: Target(IPv4Address(SERVICE), "zone", SERVED_AT, self.addresses["zone"]),
            table.OWN_SERVICE: Target(IPv4Address(OWN_SERVICE), "first-other", SERVED_AT),
            table.NODE_PORT: Target(self.addresses["node2"], "zone", CLUSTER_PORT),
            table.IMDS: Target(IMDS, "internet"),
        }
        if label in services:
            return services[label]
        name = known.get(label) or self._machine(label)
        return Target(self.addresses[name], name)

    def _who(self, who: Seen, row: Row) -> IPv4Address | None:
        sender = self._sender(row)
        known = {
            Seen.NODE: self.addresses["node5" if row.sender == table.BEHIND else "node1"],
            Seen.PUBLIC: self._public,
            Seen.GATEWAY: self._gateway,
        }
        if who is Seen.ANSWERED:
            return None
        if who in (Seen.POD, Seen.CLIENT):
            return SOMEBODY if sender == "internet" else self.addresses[sender]
        return known[who]


@asynccontextmanager
async def world_of(lab: LabUnderTest) -> AsyncIterator[World]:
    """Everything in place; let go of at the end."""
    async with AsyncExitStack() as stack:
        world = World(lab)
        await world.build(stack)
        yield world


async def _ready(place: Place) -> None:
    command = (
        "curl",
        "-s",
        "-m",
        "1",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://127.0.0.1:61678/readyz",
    )
    async with asyncio.timeout(READY_WITHIN):
        while (await place.run(command, check=False)).stdout != "200":
            await asyncio.sleep(0.05)
