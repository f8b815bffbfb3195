"""The facts of a node on which nothing is wrong, for tests to spoil."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from vpccni.agent.settings import parse_settings
from vpccni.cli.agent_view import KnownSettings
from vpccni.cli.cloud.values import NodeEni
from vpccni.cli.doctor.facts import (
    AgentFacts,
    CniFiles,
    ConfigFile,
    Conntrack,
    Facts,
    Feature,
    NetworkDaemons,
    Permission,
    PluginFile,
    Routing,
    RunDir,
)
from vpccni.cli.kernel.source_check import DeviceSettings, SourceCheck
from vpccni.cli.kernel.values import Device, Held, Hop, Kind, Network, PolicyRule, TableRoute
from vpccni.cli.netfilter.iptables_text import parse_saved
from vpccni.cli.netfilter.read import NF_TABLES, Filters
from vpccni.ipam.values import Assignment, EniId, Pod, SandboxKey
from vpccni.linux.names import host_veth

POD = Pod("default", "web")
ADDRESS = IPv4Address("10.0.0.21")
VETH = host_veth("eni", POD)
ASSIGNMENT = Assignment(SandboxKey("aws-cni", "c1", "eth0"), POD, ADDRESS, EniId("eni-2"), 0.0)
DEVICES = (
    Device(1, "lo", mtu=65536),
    Device(2, "eth0", "02:00:00:00:00:01", 9001),
    Device(3, "eth1", "02:00:00:00:00:02", 9001),
    Device(4, VETH, "aa:00:00:00:00:04", 9001, kind="veth", peer=2, peer_namespace=0),
)
RULES = (
    PolicyRule(0, table=255),
    PolicyRule(512, table=254, destination=IPv4Network("10.0.0.21/32")),
    PolicyRule(1024, table=254, mark=0x80, mask=0x80),
    PolicyRule(1536, table=2, source=IPv4Network("10.0.0.21/32")),
    PolicyRule(32765, table=2, source=IPv4Network("10.0.0.20/32")),
    PolicyRule(32766, table=254),
    PolicyRule(32767, table=253),
)
ROUTES = (
    TableRoute(IPv4Network("0.0.0.0/0"), 254, hops=(Hop(2, IPv4Address("10.0.0.1")),)),
    TableRoute(IPv4Network("10.0.0.0/24"), 254, hops=(Hop(2),), scope=253),
    TableRoute(IPv4Network("10.0.0.21/32"), 254, hops=(Hop(4),), scope=253),
    TableRoute(IPv4Network("0.0.0.0/0"), 2, hops=(Hop(3, IPv4Address("10.0.0.1")),)),
    TableRoute(IPv4Network("10.0.0.1/32"), 2, hops=(Hop(3),), scope=253),
    TableRoute(IPv4Network("10.0.0.10/32"), 255, Kind.LOCAL, (Hop(2),), source=IPv4Address("10.0.0.10")),
    TableRoute(IPv4Network("10.0.0.20/32"), 255, Kind.LOCAL, (Hop(3),), source=IPv4Address("10.0.0.20")),
)
NETWORK = Network(
    DEVICES,
    (Held(2, IPv4Interface("10.0.0.10/24")), Held(3, IPv4Interface("10.0.0.20/24"))),
    RULES,
    ROUTES,
)
NAT = """*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:AWS-SNAT-CHAIN-0 - [0:0]
-A POSTROUTING -m comment --comment "AWS SNAT CHAIN" -j AWS-SNAT-CHAIN-0
-A AWS-SNAT-CHAIN-0 -d 10.9.0.0/16 -m comment --comment "AWS SNAT CHAIN EXCLUSION" -j RETURN
-A AWS-SNAT-CHAIN-0 -d 10.0.0.0/16 -m comment --comment "AWS SNAT CHAIN" -j RETURN
-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL -j SNAT --to-source 10.0.0.10 --random-fully
COMMIT
"""
PRIMARY = NodeEni(
    "eni-1",
    "02:00:00:00:00:01",
    "subnet-1",
    IPv4Network("10.0.0.0/24"),
    IPv4Address("10.0.0.10"),
    (IPv4Network("10.0.0.11/32"),),
    is_primary=True,
    groups=("sg-1",),
    public=((IPv4Address("10.0.0.10"), IPv4Address("203.0.113.7")),),
)
SECOND = NodeEni(
    "eni-2",
    "02:00:00:00:00:02",
    "subnet-1",
    IPv4Network("10.0.0.0/24"),
    IPv4Address("10.0.0.20"),
    (IPv4Network("10.0.0.21/32"), IPv4Network("10.0.0.32/28")),
    groups=("sg-1",),
)
CONFIG: Mapping[str, Any] = {"type": "aws-cni", "vethPrefix": "eni", "mtu": "9001"}


def settings(**environ: str) -> KnownSettings:
    parsed, bad = parse_settings(environ)
    return KnownSettings(parsed, "a test", tuple(map(str, bad)))


def healthy() -> Facts:
    loose = DeviceSettings(SourceCheck.LOOSE)
    return Facts(
        settings=settings(),
        routing=Routing(NETWORK, NETWORK, {"eth0": loose, "eth1": loose}),
        filters=Filters((parse_saved(NF_TABLES, NAT),), used=NF_TABLES),
        conntrack=Conntrack(10, 1000),
        features=(Feature("nf_tables", present=True, how="tried"),),
        daemons=NetworkDaemons(),
        cni=CniFiles(
            Path("/etc/cni/net.d"),
            (ConfigFile("10-aws.conflist", (CONFIG, {"type": "portmap"})),),
            {
                name: PluginFile(Path("/opt/cni/bin", name), executable=True)
                for name in ("aws-cni", "portmap")
            },
        ),
        run_dir=RunDir(Path("/var/run/aws-node"), 0o755, 0, 1 << 30, 1 << 20),
        agent=AgentFacts({"cni.sock": None, "ipamd.sock": None, "introspection": None}),
        assignments=(ASSIGNMENT,),
        primary_mac="02:00:00:00:00:01",
        enis=(PRIMARY, SECOND),
        enis_by_ec2=True,
        imds=None,
        hop_limit=1,
        permissions=(Permission("CreateTags", allowed=True, said="EC2 would have done it"),),
    )
