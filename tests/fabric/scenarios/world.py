"""A VPC of plain values and a fabric that follows it: what scenarios are told in."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from vpclab.fabric import Fabric, Place, configure_primary, node_place
from vpclab.region.routing import (
    CustomerGateway,
    EgressOnlyGateway,
    ElasticAddress,
    LoadBalancer,
    NatGateway,
    Peering,
    Route,
    RouteTable,
    VpnConnection,
    VpnGateway,
)
from vpclab.region.values import (
    Attachment,
    AttachmentStatus,
    EniStatus,
    Instance,
    InstanceState,
    InternetGateway,
    NetworkInterface,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)

CHECKIP = "http://198.51.100.10/"
SPOOFED_PACKETS = 5
SPOOF = f"""
import socket, sys
source, target = (socket.inet_aton(address) for address in sys.argv[1:])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
ip = bytes.fromhex("4500001c 00000000 4011 0000") + source + target  # the kernel adds id and checksum
udp = (9).to_bytes(2, "big") * 2 + (8).to_bytes(2, "big") + bytes(2)
for _ in range({SPOOFED_PACKETS}):
    raw.sendto(ip + udp, (sys.argv[2], 0))
"""


@dataclass
class Plan:
    """A region that a test writes by hand."""

    vpcs: dict[str, Vpc] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    enis: dict[str, NetworkInterface] = field(default_factory=dict)
    elastic_addresses: dict[str, ElasticAddress] = field(default_factory=dict)
    egress_only_gateways: dict[str, EgressOnlyGateway] = field(default_factory=dict)
    nat_gateways: dict[str, NatGateway] = field(default_factory=dict)
    peerings: dict[str, Peering] = field(default_factory=dict)
    vpn_gateways: dict[str, VpnGateway] = field(default_factory=dict)
    customer_gateways: dict[str, CustomerGateway] = field(default_factory=dict)
    vpn_connections: dict[str, VpnConnection] = field(default_factory=dict)
    load_balancers: dict[str, LoadBalancer] = field(default_factory=dict)
    control_planes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def internet_gateways(self) -> dict[str, InternetGateway]:
        return {"igw-1": InternetGateway("igw-1", "vpc-1")}

    @property
    def route_tables(self) -> dict[str, RouteTable]:
        out = (Route(IPv4Network("0.0.0.0/0"), "igw-1"),)
        public = {id_: f"a-{id_}" for id_, subnet in self.subnets.items() if subnet.public}
        tables = (RouteTable("rtb-1", "vpc-1", "main"), RouteTable("rtb-2", "vpc-1", "", out, public))
        return {table.id: table for table in tables}

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
    """Instances are told by their ids: i-1, i-2 in public subnets, i-3 in a private one."""

    plan: Plan
    fabric: Fabric
    nodes: dict[str, Place] = field(default_factory=dict)
    launched: dict[str, Instance] = field(default_factory=dict)
    servers: list[asyncio.Server] = field(default_factory=list)

    @staticmethod
    def addresses(*texts: str) -> tuple[IPv4Address, ...]:
        return tuple(IPv4Address(text) for text in texts)

    @staticmethod
    def networks(*texts: str) -> tuple[IPv4Network, ...]:
        return tuple(IPv4Network(text) for text in texts)

    async def sync(self) -> None:
        await self.fabric.sync(self.plan)

    async def ping(self, node: str, address: str, *options: str) -> bool:
        """Whether it answered; a long wait, since all is well when it does."""
        argv = ("ping", "-c1", "-W3", "-n", *options, address)
        return (await self.nodes[node].run(argv, check=False)).returncode == 0

    async def silent(self, node: str, address: str, *options: str) -> bool:
        """Whether it did not answer for half a second."""
        argv = ("ping", "-c1", "-W0.5", "-n", *options, address)
        return (await self.nodes[node].run(argv, check=False)).returncode != 0

    async def curl(self, node: str, url: str, *options: str, wait: float = 3) -> str:
        """What it answered; empty when it did not within `wait` seconds."""
        argv = ("curl", "-s", "-m", str(wait), *options, url)
        return (await self.nodes[node].run(argv, check=False)).stdout.strip()

    async def serve(self, node: str, address: str, port: int) -> None:
        """A TCP server that tells the caller's address, until the world ends."""

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())
            writer.close()

        bound = await self.nodes[node].listen(address, port)
        self.servers.append(await asyncio.start_server(answer, sock=bound))

    async def ask(self, node: str, address: str, port: int) -> str:
        """Who the server says we are; empty when it did not answer."""
        return await self.curl(node, f"telnet://{address}:{port}")

    async def refused(self, node: str, address: str, port: int) -> bool:
        """Whether no server answered for half a second."""
        return await self.curl(node, f"telnet://{address}:{port}", wait=0.5) == ""

    async def spoof(self, sender: str, source: str, receiver: str, target: str) -> tuple[int, int]:
        """Send packets with this source; how many the source check counted, and how many arrived."""

        async def now() -> tuple[int, int]:
            counted = (await self.fabric.counters()).spoofed
            return counted, await self.nodes[receiver].call(_snmp, "Udp", "NoPorts")

        before = await now()
        await self.nodes[sender].run((sys.executable, "-I", "-c", SPOOF, source, target))
        while True:  # bounded by the test's own timeout: each packet is one or the other
            counted, arrived = (new - old for new, old in zip(await now(), before, strict=True))
            if counted + arrived >= SPOOFED_PACKETS:
                return counted, arrived

    async def pings_seen(self, node: str) -> int:
        return await self.nodes[node].call(_snmp, "Icmp", "InEchos")

    async def neighbour(self, node: str, address: str) -> str:
        """The state of a neighbour entry."""
        shown = await self.nodes[node].run(("ip", "-j", "neigh", "show", address))
        entries = json.loads(shown.stdout)
        return str(entries[0]["state"][0]) if entries else ""

    async def link(self, node: str, device: str) -> dict[str, object] | None:
        shown = await self.nodes[node].run(("ip", "-j", "link", "show", "dev", device), check=False)
        found: list[dict[str, object]] = json.loads(shown.stdout or "[]")
        return found[0] if found else None

    async def leftovers(self) -> list[str]:
        """Devices and rules in the router that nothing in the plan asks for, and the other way round."""
        router = self.fabric.router.place
        links = json.loads((await router.run(("ip", "-j", "link", "show", "type", "veth"))).stdout)
        rules = json.loads((await router.run(("ip", "-j", "rule"))).stdout)
        attached = {f"e{eni.id[4:]}": eni for eni in self.plan.enis.values() if eni.attachment is not None}
        here = {name for name, eni in attached.items() if self.fabric.carries(eni)}
        wrong_links = {link["ifname"] for link in links} ^ here ^ {"igw"}
        wrong_rules = {rule["iif"] for rule in rules if "iif" in rule} ^ here
        return sorted(wrong_links | wrong_rules)

    async def until_tracked(self, source: str, target: str) -> None:
        """Until the router tracks such a connection."""
        argv = ("conntrack", "-L", "-s", source, "-d", target)
        while "src=" not in (await self.fabric.router.place.run(argv)).stdout:
            pass

    async def launch(self, eni: NetworkInterface, root: Path) -> None:
        """The instance of a primary ENI."""
        assert eni.attachment is not None
        name = eni.attachment.instance_id
        self.nodes[name] = node_place(name, root / name)
        self.launched[name] = Instance(
            name, "t3.medium", eni.subnet_id, eni.vpc_id, eni.zone, InstanceState.RUNNING, 0.0
        )
        await self.fabric.add_instance(self.launched[name], self.nodes[name])


def _snmp(protocol: str, counter: str) -> int:
    lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith(f"{protocol}:"))
    return int(values[names.index(counter)])


@asynccontextmanager
async def world(given: Plan | None = None) -> AsyncIterator[World]:
    """The plan's instances, configured, with the fabric between them."""
    made = World(given or plan(), Fabric())
    primaries = [
        eni for eni in made.plan.enis.values() if eni.attachment and eni.attachment.device_index == 0
    ]
    try:
        await made.fabric.start(made.plan.vpcs.values())
        for eni in primaries:
            await made.launch(eni, Path(sys.argv[1]))
        await made.sync()
        for eni in primaries:
            assert eni.attachment is not None
            node = made.nodes[eni.attachment.instance_id]
            await configure_primary(node, eni, made.plan.subnets[eni.subnet_id])
        yield made
    finally:
        for server in made.servers:
            server.close()
        await made.fabric.close()
        for node in made.nodes.values():
            node.close()


def play(scenario: Callable[[World], Awaitable[None]], given: Plan | None = None) -> None:
    """Run one scenario."""

    async def told() -> None:
        async with world(given) as made:
            await scenario(made)

    asyncio.run(told())
