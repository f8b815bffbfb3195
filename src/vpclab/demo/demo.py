"""Three nodes, three pods, and everything that makes a VPC CNI one, shown and checked."""

from __future__ import annotations

import os
import time
from typing import Any

from vpclab.demo.eyes import Eyes, machine_network
from vpclab.demo.report import Report
from vpclab.fabric import CHECKIP
from vpclab.lab.start import up
from vpclab.lab.state import LabError

NO_TUNNEL_FRAME = 98
"""Bytes of a ping on the wire: 14 of Ethernet, 20 of IP, 64 of ICMP. A tunnel would add 20 to 50."""
STRANGER = "192.168.1.200"
"""An address of node 1's subnet that is on no ENI."""
RESERVED = 5
Pod = dict[str, Any]


def run_demo(*, keep: bool) -> bool:
    """Bring a lab up, look, take it down; whether all held."""
    report = Report()
    before = machine_network()
    began = time.monotonic()
    name = f"demo-{os.getpid()}"
    report.section(
        "A VPC on this machine", f"lab {name}: three t3.medium in three zones, EC2's delays as in life"
    )
    state = up(name, 3, "t3.medium", {}, "real", report.note)
    try:
        report.check("three nodes are ready", seen=f"{time.monotonic() - began:.1f} s", holds=True)
        _show(Eyes(state), report)
        report.section("The machine", "the lab lives in namespaces of its own")
        same = machine_network() == before
        report.check(
            "its routes, rules, iptables, nft and ip_forward while the lab runs", seen=_word(same), holds=same
        )
    except LabError as error:
        report.check("the demonstration could go on", seen=error, holds=False)
    finally:
        if not keep:
            began = time.monotonic()
            state.remove()
    if keep:
        report.note(f"the lab stays: vpc-lab status --name {name}; vpc-lab down --name {name}")
    else:
        same = machine_network() == before
        report.check("the same after the lab is gone", seen=_word(same), holds=same)
        gone = not state.directory.exists()
        report.check("the lab is gone", seen=f"{time.monotonic() - began:.1f} s", holds=gone)
    return report.summary()


def _word(same: bool) -> str:
    return "as before" if same else "CHANGED"


def _show(eyes: Eyes, report: Report) -> None:
    nodes = {m["name"]: m for m in eyes.ask("status")["machines"] if m["name"].startswith("node")}
    free_before = eyes.subnets()
    pods = _pods(eyes, report, list(nodes))
    _between_pods(eyes, report, pods)
    _internet(eyes, report, pods)
    _spoof(eyes, report, pods)
    _ec2(eyes, report, nodes, pods, free_before)
    _gone(eyes, report, pods)


def _pods(eyes: Eyes, report: Report, nodes: list[str]) -> list[Pod]:
    report.section(
        "Pods get VPC addresses",
        "each from its node's subnet, on an ENI of its node, by one veth and one route",
    )
    pods = []
    for number, node in enumerate(nodes, 1):
        routes = eyes.run(node, "ip", "route").splitlines()
        began = time.monotonic()
        pod = eyes.ask("pod-add", name=f"web-{number}", namespace="default", node=node)
        took = time.monotonic() - began
        pods.append(pod)
        holders = [eni for eni in eyes.interfaces() if pod["ip"] in eni["addresses"]]
        eni = holders[0]["id"] if len(holders) == 1 else f"{len(holders)} ENIs hold it"
        inside = eyes.json(pod["name"], "ip", "-j", "-4", "addr", "show", "eth0")[0]["addr_info"]
        has = [f"{a['local']}/{a['prefixlen']}" for a in inside]
        report.check(
            f"{pod['name']} on {node}",
            seen=f"eth0 {has[0]}, held by {eni}, connected in {took * 1000:.0f} ms",
            holds=has == [f"{pod['ip']}/32"] and len(holders) == 1,
        )
        added = [line.strip() for line in eyes.run(node, "ip", "route").splitlines() if line not in routes]
        report.check(
            f"the one route it added on {node}",
            seen=" | ".join(added),
            holds=added == [f"{pod['ip']} dev {pod['hostVeth']} scope link"],
        )
        link = eyes.json(node, "ip", "-j", "link", "show", pod["hostVeth"])[0]
        report.check(
            f"its host veth on {node}",
            seen=f"{link['ifname']}, {link['operstate']}",
            holds=link["operstate"] == "UP",
        )
    return pods


def _between_pods(eyes: Eyes, report: Report, pods: list[Pod]) -> None:
    report.section(
        "Pods talk across zones", "no overlay, no tunnel, no NAT: the far node sees the pod's own address"
    )
    for a in pods:
        for b in pods:
            if a is not b:
                holds = eyes.pings(a["name"], b["ip"])
                report.check(
                    f"{a['name']} → {b['name']}", seen="answered" if holds else "no answer", holds=holds
                )
    a, b = pods[0], pods[1]
    with eyes.capture(
        b["node"], b["device"], f"icmp and host {a['ip']} or udp port 4789 or proto 4 or proto 47"
    ) as seen:
        eyes.pings(a["name"], b["ip"])
        line = seen.wait_for("echo request")
    report.check(
        f"on {b['node']}'s {b['device']}",
        seen=line.split(": ", 1)[-1].strip() or "nothing",
        holds=f"{a['ip']} > {b['ip']}: ICMP echo request" in line,
    )
    plain = f"length {NO_TUNNEL_FRAME}:" in line and "ethertype IPv4 (0x0800)" in line
    report.check(
        "the frame is a plain ping's", seen=f"{NO_TUNNEL_FRAME} bytes, IPv4" if plain else line, holds=plain
    )


def _internet(eyes: Eyes, report: Report, pods: list[Pod]) -> None:
    report.section("Pods reach the internet", "SNAT to the node, then one to one at the internet gateway")
    for pod in pods:
        instance = _instance(eyes, pod["node"])
        public = [eni["public"] for eni in eyes.interfaces() if eni["public"] and eni["instance"] == instance]
        by_pod = eyes.run(pod["name"], "curl", "-sS", "-m", "5", f"http://{CHECKIP}/").strip()
        by_node = eyes.run(pod["node"], "curl", "-sS", "-m", "5", f"http://{CHECKIP}/").strip()
        report.check(
            f"the far end saw {pod['name']} as",
            seen=f"{by_pod}; its node as {by_node}; EC2 says {', '.join(public)}",
            holds=[by_pod] == [by_node] == public,
        )


def _instance(eyes: Eyes, node: str) -> str:
    return str(next(m["instanceId"] for m in eyes.ask("status")["machines"] if m["name"] == node))


def _spoof(eyes: Eyes, report: Report, pods: list[Pod]) -> None:
    a, b = pods[0], pods[1]
    report.section("A wrong source is dropped", f"{a['name']} sends as {STRANGER}, which no ENI holds")
    dropped = eyes.ask("spoofed")
    eyes.run(a["name"], "ip", "addr", "add", f"{STRANGER}/32", "dev", "eth0")
    try:
        with eyes.capture(b["node"], b["device"], "icmp") as seen:
            answered = eyes.pings(a["name"], b["ip"], "-I", STRANGER)
            eyes.pings(a["name"], b["ip"])  # the capture works: this one is seen
            marker = seen.wait_for(f"{a['ip']} > {b['ip']}")
            strangers = [line for line in seen.lines if STRANGER in line]
    finally:
        eyes.run(a["name"], "ip", "addr", "del", f"{STRANGER}/32", "dev", "eth0")
    counted = eyes.ask("spoofed") - dropped
    report.check("it is not answered", seen="answered" if answered else "no answer", holds=not answered)
    report.check(
        f"{b['node']} saw of it", seen=f"{len(strangers)} packets", holds=bool(marker) and not strangers
    )
    report.check("the VPC's source check counted", seen=f"{counted} dropped", holds=counted >= 1)


def _ec2(
    eyes: Eyes, report: Report, nodes: dict[str, Any], pods: list[Pod], before: dict[str, tuple[str, int]]
) -> None:
    report.section("EC2 sees the same addresses", "over the wire, as any AWS tool would ask")
    # an ENI may be on its way at this moment: what is compared must be of one moment
    after, interfaces = eyes.subnets(), eyes.interfaces()
    while (again := eyes.subnets()) != after:
        after, interfaces = again, eyes.interfaces()
    for pod in pods:
        [eni] = [e for e in interfaces if pod["ip"] in e["addresses"]]
        mine = [e for e in interfaces if e["instance"] == nodes[pod["node"]]["instanceId"]]
        held = sum(len(e["addresses"]) for e in mine)
        cidr, free = after[eni["subnet"]]
        used = sum(len(e["addresses"]) for e in interfaces if e["subnet"] == eni["subnet"])
        size = 1 << (32 - int(cidr.split("/")[1]))
        report.check(
            f"{cidr}",
            seen=f"{before[eni['subnet']][1]} free, then {free}; {pod['node']} holds {held} on {len(mine)} ENIs",
            holds=free == size - RESERVED - used,
        )


def _gone(eyes: Eyes, report: Report, pods: list[Pod]) -> None:
    report.section("Pods leave nothing", "veth, route and rules go with the pod; the address cools for 30 s")
    for pod in pods:
        eyes.ask("pod-del", name=pod["name"])
        node = pod["node"]
        traces = [
            line
            for text in (eyes.run(node, "ip", "route"), eyes.run(node, "ip", "rule"))
            for line in text.splitlines()
            if pod["ip"] in line.split()
        ]
        links = [
            link["ifname"]
            for link in eyes.json(node, "ip", "-j", "link")
            if link["ifname"] == pod["hostVeth"]
        ]
        report.check(
            f"{pod['name']} on {node}",
            seen="gone" if not traces + links else traces + links,
            holds=not traces + links,
        )
