"""A VPC of plain values and a fabric that follows it: what scenarios are told in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import Fabric, Place, configure_primary, node_place
from vpclab.region.values import (
    Attachment,
    AttachmentStatus,
    EniStatus,
    Instance,
    InstanceState,
    NetworkInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

CHECKIP = "http://198.51.100.10/"
TCP_SERVER = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2])), reuse_port=True) as server:
    print("up", flush=True)
    while True:
        peer, where = server.accept()
        peer.sendall(where[0].encode())
        peer.close()
"""
SPOOF = """
import socket, sys
source, target = sys.argv[1:3]
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for port in range(5):
    header = bytes.fromhex("4500001c00000000401100000000") [:12] + socket.inet_aton(source) + socket.inet_aton(target)
    s.sendto(header + (40000 + port).to_bytes(2) + (9).to_bytes(2) + (8).to_bytes(2) + b"\\0\\0", (target, 0))
"""


@dataclass
class Plan:
    """A region that a test writes by hand."""

    vpcs: dict[str, Vpc] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    enis: dict[str, NetworkInterface] = field(default_factory=dict)

    def eni(
        self, id_: str, instance: str, index: int, subnet: str, primary: str, public: str = ""
    ) -> NetworkInterface:
        attachment = Attachment(f"a-{id_}", instance, index, 0, AttachmentStatus.ATTACHED, 0.0)
        number = len(self.enis) + 1
        eni = NetworkInterface(
            id_,
            f"02:00:00:00:00:{number:02x}",
            "vpc-1",
            subnet,
            "a",
            IPv4Address(primary),
            status=EniStatus.IN_USE,
            attachment=attachment,
            public_ip=IPv4Address(public) if public else None,
        )
        self.enis[id_] = eni
        return eni

    def change(self, id_: str, **changes: object) -> None:
        self.enis[id_] = replace(self.enis[id_], **changes)  # type: ignore[arg-type]


def plan() -> Plan:
    subnets = [
        Subnet("subnet-1", "vpc-1", "a", IPv4Network("10.0.1.0/24"), public=True),
        Subnet("subnet-2", "vpc-1", "b", IPv4Network("10.0.2.0/24"), public=True),
        Subnet("subnet-3", "vpc-1", "a", IPv4Network("10.0.3.0/24")),
    ]
    made = Plan({"vpc-1": Vpc("vpc-1", (IPv4Network("10.0.0.0/16"),))}, {s.id: s for s in subnets})
    made.eni("eni-1", "i-1", 0, "subnet-1", "10.0.1.10", "203.0.113.1")
    made.eni("eni-2", "i-2", 0, "subnet-2", "10.0.2.10", "203.0.113.2")
    made.eni("eni-3", "i-3", 0, "subnet-3", "10.0.3.10")
    return made


def group(
    id_: str, *ingress: SecurityGroupRule, egress: tuple[SecurityGroupRule, ...] | None = None
) -> SecurityGroup:
    anything = (SecurityGroupRule(cidr=IPv4Network("0.0.0.0/0")),)
    return SecurityGroup(id_, id_, "vpc-1", ingress=ingress, egress=anything if egress is None else egress)


@dataclass
class World:
    plan: Plan
    fabric: Fabric
    nodes: dict[str, Place]

    async def sync(self) -> None:
        await self.fabric.sync(self.plan)

    async def ping(self, node: str, address: str, *options: str) -> bool:
        argv = ("ping", "-c1", "-W1", "-n", *options, address)
        return (await self.nodes[node].run(argv, check=False)).returncode == 0

    async def python(self, node: str, code: str, *arguments: str) -> str:
        return (await self.nodes[node].run((sys.executable, "-c", code, *arguments))).stdout

    async def curl(self, node: str, url: str, *options: str) -> str:
        """What it answered; empty when it did not within a second."""
        argv = ("curl", "-s", "-m", "1", *options, url)
        return (await self.nodes[node].run(argv, check=False)).stdout.strip()

    async def serve(self, node: str, address: str, port: int) -> None:
        """A TCP server that tells the caller's address, until the world ends."""

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())
            writer.close()

        bound = await self.nodes[node].listen(address, port)
        await asyncio.start_server(answer, sock=bound)

    async def ask(self, node: str, address: str, port: int) -> str:
        """Who the server says we are; empty when it did not answer within a second."""
        return await self.curl(node, f"telnet://{address}:{port}", "--http0.9")

    async def spoof(self, node: str, source: str, target: str) -> int:
        """Send five packets with this source; how many of them the source check counted."""
        before = (await self.fabric.counters()).spoofed
        await self.python(node, SPOOF, source, target)
        return (await self.fabric.counters()).spoofed - before


@asynccontextmanager
async def world(given: Plan | None = None) -> AsyncIterator[World]:
    """The plan's instances, configured, with the fabric between them."""
    root = Path(sys.argv[1])
    region = given or plan()
    fabric = Fabric()
    nodes: dict[str, Place] = {}
    try:
        await fabric.start(region.vpcs.values())
        for eni in list(region.enis.values()):
            attachment = eni.attachment
            if attachment is None or attachment.device_index != 0:
                continue
            name = attachment.instance_id
            nodes[name] = node_place(name, root / name)
            launched = Instance(
                name, "t3.medium", eni.subnet_id, eni.vpc_id, eni.zone, InstanceState.RUNNING, 0.0
            )
            await fabric.add_instance(launched, nodes[name])
        await fabric.sync(region)
        for eni in list(region.enis.values()):
            if eni.attachment is not None and eni.attachment.device_index == 0:
                await configure_primary(nodes[eni.attachment.instance_id], eni, region.subnets[eni.subnet_id])
        yield World(region, fabric, nodes)
    finally:
        await fabric.close()
        for node in nodes.values():
            node.close()


def play(scenario: Callable[[World], Awaitable[None]], given: Plan | None = None) -> None:
    """Run one scenario."""

    async def told() -> None:
        async with world(given) as made:
            await scenario(made)

    asyncio.run(told())
