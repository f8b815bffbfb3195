"""IPv6 with packets: the rows of docs/paths.md; a restart of the agent loses nothing, a DEL leaves nothing."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any

import pytest

from tests.fabric.scenarios.ways import seen, silent
from tests.lab.conftest import LabUnderTest, StartLab
from tests.lab.paths.table import Seen
from tests.lab.paths.table6 import EGRESS_ROWS, HOST6, POD4, POD6, ROWS, Row6
from vpclab.demo.visit import visit
from vpclab.fabric import CHECKIP6, IMDS6
from vpclab.fabric.internet import CHECKIP, SOMEBODY6
from vpclab.fabric.namespaces import Place
from vpclab.fabric.witness import Address, Witness, capture

pytestmark = pytest.mark.lab
SENDERS = {
    POD6: "first",
    POD4: "first",
    HOST6: "node1",
    "an instance of the VPC": "bastion",
    "the internet": "internet",
}
STATIC: dict[str, Address] = {"internet": CHECKIP6, "internet by IPv4": CHECKIP, "metadata": IMDS6}


class World:
    """A lab's ends, with a witness at each."""

    def __init__(self, lab: LabUnderTest, pods: dict[str, dict[str, Any]]) -> None:
        self.lab = lab
        self.pods = pods
        status = lab.json("status")
        machines = {machine["name"]: machine for machine in status["machines"]}
        self.addresses: dict[str, Address] = {
            name: IPv6Address(m["enis"][0]["ipv6"][0]) for name, m in machines.items()
        }
        self.addresses |= {name: ip_address(pod["ip"]) for name, pod in pods.items()}
        self.addresses |= STATIC
        self.public = IPv4Address(machines["node1"]["publicIp"])
        self.places: dict[str, Place] = {}

    async def build(self, stack: AsyncExitStack) -> None:
        """Visits, and witnesses where none answers yet."""
        witness = await stack.enter_async_context(Witness())
        for name in ("node1", "node2", "bastion", "internet", "router", *self.pods):
            place = self.places[name] = visit(
                self.lab.eyes, self.pods[name]["name"] if name in self.pods else name
            )
            stack.callback(place.close)
            if name not in ("internet", "router"):
                await witness.listen(place, self.addresses[name])

    async def judge(self, row: Row6) -> list[str]:
        """What is not as the table says."""
        name = f"{row.sender} → {row.words}"
        sender, target = SENDERS[row.sender], self.addresses[row.target]
        place = self.places[sender]
        if row.way.seen is Seen.NOBODY:
            return [] if await silent(place, target) else [f"{name}: it is answered"]
        if row.target == "metadata":
            done = await place.run(("curl", "-s", "-m", "3", f"http://[{target}]/latest/"), check=False)
            return [] if done.returncode == 0 else [f"{name}: no answer"]
        problems = []
        for protocol in row.protocols:
            hears = self.places["internet" if row.target.startswith("internet") else row.target]
            async with capture(self.places["node1"], "eth0") as watched:
                saw = await seen(place, hears, protocol, target)
                await asyncio.sleep(0)
            wanted = self._who(row, sender)
            if saw != str(wanted):
                problems.append(f"{protocol}, {name}: seen as {saw or 'nobody'}, not as {wanted}")
            far = target if sender in ("first", "node1") else self._who(row, sender)
            used = {
                p.outgoing for p in watched.packets if p.protocol == protocol and far in (p.source, p.target)
            }
            if used != ({True, False} if row.way.device else set()):
                problems.append(f"{protocol}, {name}: on eth0 {'out and in' if used else 'nothing'} was seen")
        return problems

    def _who(self, row: Row6, sender: str) -> Address:
        if row.way.seen is Seen.PUBLIC:
            return self.public
        if row.way.seen is Seen.NODE:
            return self.addresses["node1"]
        return SOMEBODY6 if sender == "internet" else self.addresses[sender]


async def judged(lab: LabUnderTest, pods: dict[str, dict[str, Any]], rows: tuple[Row6, ...]) -> list[str]:
    async with AsyncExitStack() as stack:
        world = World(lab, pods)
        await world.build(stack)
        return [problem for row in rows for problem in await world.judge(row)]


def host_state(lab: LabUnderTest) -> list[str]:
    """What pods have on node1, of both families."""
    script = (
        "ip -6 rule; ip rule; ip -6 route; ip route; ip -br link; iptables-save -t nat; ip6tables-save -t nat"
    )
    lines = lab.eyes.run("node1", "sh", "-c", script).splitlines()
    words = ("512:", "1536:", "dev eni", "dev egress", "CNI-E", "eni", "egress", "gone")
    return [line for line in lines if any(word in line for word in words)]


def let_in(lab: LabUnderTest, group: str, peer: str) -> None:
    """A security group lets everything in from some addresses."""
    lab.eyes.ec2(
        "AuthorizeSecurityGroupIngress",
        **{
            "GroupId": group,
            "IpPermissions.1.IpProtocol": "-1",
            "IpPermissions.1.Ipv6Ranges.1.CidrIpv6": peer,
        },
    )


def test_an_ipv6_cluster(start_lab: StartLab) -> None:
    lab = start_lab("--ipv6", "--nodes", "2")
    before = host_state(lab)
    pods = {
        name: lab.pod(name, "--node", node)
        for name, node in (("first", "node1"), ("beside", "node1"), ("zone", "node2"))
    }
    machines = {m["name"]: m for m in lab.json("status")["machines"]}
    for name, node in (("first", "node1"), ("zone", "node2")):
        (prefix,) = machines[node]["enis"][0]["ipv6Prefixes"]
        assert IPv6Address(pods[name]["ip"]) in IPv6Network(prefix)
    assert len(machines["node1"]["enis"]) == 1, "no ENI beside the primary"

    ec2 = lab.eyes
    eni = machines["node1"]["enis"][0]["id"]
    own = ec2.ec2("CreateSecurityGroup", GroupName="one", GroupDescription="of node1 alone", VpcId=_vpc(lab))
    mine = next(e.text or "" for e in own.iter() if e.tag.endswith("}groupId"))
    ec2.ec2(
        "ModifyNetworkInterfaceAttribute",
        NetworkInterfaceId=eni,
        **{f"SecurityGroupId.{n}": group for n, group in enumerate([*_groups(lab, eni), mine], start=1)},
    )
    let_in(lab, mine, f"{SOMEBODY6}/128")
    let_in(lab, mine, f"{IPv6Address(machines['bastion']['enis'][0]['ipv6'][0])}/128")
    bastion = _groups(lab, machines["bastion"]["enis"][0]["id"])[0]
    let_in(lab, bastion, "2001:db8:0:100::/56")
    problems = asyncio.run(judged(lab, pods, ROWS))
    assert not problems, "\n".join(problems)

    assert "agree" in lab("check").stdout
    assert json.loads(lab("exec", "node1", "--", "vpc-cni", "pods", "-o", "json").stdout)[0]["drift"] == []
    assert "ready" in lab("exec", "node1", "--", "vpc-cni", "status").stdout
    lab("exec", "node1", "--", "vpc-cni", "doctor")

    wired = host_state(lab)
    lab("agent", "restart", "node1")
    assert host_state(lab) == wired, "nothing was touched"
    assert lab.pod("later", "--node", "node1")["ip"] not in {pod["ip"] for pod in pods.values()}
    assert lab.json("ping", "--all")["unanswered"] == []
    # somebody's hand: mended
    lab.eyes.run("node1", "ip", "-6", "rule", "del", "pref", "512", "to", pods["first"]["ip"])
    lab.eyes.run("node1", "ip", "-6", "route", "del", pods["first"]["ip"])
    assert "agree" in lab("check").stdout

    for name in ("first", "beside", "later"):
        lab("pod", "del", name)
    assert host_state(lab) == before
    assert "agree" in lab("check").stdout


def test_ipv4_pods_reach_ipv6_by_their_node(start_lab: StartLab) -> None:
    lab = start_lab(
        "--dual-stack", "--nodes", "2", "--env", "ENABLE_V6_EGRESS=true", "--env", "WARM_IP_TARGET=2"
    )
    before = host_state(lab)
    pods = {"first": lab.pod("first", "--node", "node1")}
    assert IPv4Address(pods["first"]["ip"])
    bastion = next(m for m in lab.json("status")["machines"] if m["name"] == "bastion")
    let_in(lab, _groups(lab, bastion["enis"][0]["id"])[0], "2001:db8:0:100::/56")
    problems = asyncio.run(judged(lab, pods, EGRESS_ROWS))
    assert not problems, "\n".join(problems)
    assert "agree" in lab("check").stdout
    lab("agent", "restart", "node1")
    lab.pod("later", "--node", "node1")
    assert "agree" in lab("check").stdout
    for name in ("first", "later"):
        lab("pod", "del", name)
    assert host_state(lab) == before


def _groups(lab: LabUnderTest, eni: str) -> list[str]:
    found = lab.eyes.ec2("DescribeNetworkInterfaces", **{"NetworkInterfaceId.1": eni})
    sets = (item for item in found.iter() if item.tag.endswith("}groupSet"))
    return [e.text or "" for one in sets for e in one.iter() if e.tag.endswith("}groupId")]


def _vpc(lab: LabUnderTest) -> str:
    found = lab.eyes.ec2("DescribeVpcs")
    return next(e.text or "" for e in found.iter() if e.tag.endswith("}vpcId"))
