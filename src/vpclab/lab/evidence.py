"""What there is to be compared, gathered from outside of the lab's daemon: EC2 over the wire, commands and files of each node."""

from __future__ import annotations

import json
import re
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlencode

from vpccni.ipam.checkpoint import Checkpoint, CheckpointError, apply_journal, decode_checkpoint
from vpclab.lab.client import ask
from vpclab.lab.enter import enter_command
from vpclab.lab.judge import MAIN, PODS, Books, Eni, Evidence, Finding, Kernel, NodeEvidence, Pod, Rule, judge
from vpclab.lab.state import LabError, LabState

EC2 = "{http://ec2.amazonaws.com/doc/2016-11-15/}"
AGENT_DIR = "/var/run/aws-node"
METRICS = "http://127.0.0.1:61678/metrics"
SECONDS = 60.0
"""For one command inside."""
LOOK_EVERY = 0.5
_VETH = re.compile(r"(eni[0-9a-f]{11}|gone[0-9a-f]+)\Z")
_SECTION = "--vpclab-section--"
_SCRIPT = f"""
s() {{ echo; echo '{_SECTION}'; }}
ip -j -N -4 rule; s
ip -j -N -4 route show table all; s
nft -j list table ip vpc-cni-pods 2>/dev/null || echo '{{"nftables": []}}'; s
ip -j link; s
ls /run/netns 2>/dev/null | wc -l; s
ls {AGENT_DIR}/pending-del 2>/dev/null | wc -l; s
cat {AGENT_DIR}/ipam.json 2>/dev/null; s
cat {AGENT_DIR}/ipam.journal 2>/dev/null; s
curl -s -m 5 {METRICS}
true
"""


def gather(state: LabState) -> Evidence:
    """Everything about a running lab. Raises LabError."""
    status = ask(state.control, "status")
    sandboxes = ask(state.control, "sandboxes")
    nodes = [machine for machine in status["machines"] if "agent" in machine]
    with ThreadPoolExecutor(max(1, len(nodes))) as threads:
        seen = list(threads.map(lambda node: _node(state, node, sandboxes), nodes))
    return Evidence(_enis(state, status["region"]), tuple(seen))


def settle(state: LabState, seconds: float) -> list[Finding]:
    """What is not as it should be, once nothing is or the time is over. Raises LabError."""
    deadline = time.monotonic() + seconds
    while True:
        found = judge(gather(state))
        if not found or time.monotonic() >= deadline:
            return found
        time.sleep(LOOK_EVERY)


def _inside(state: LabState, where: str, *command: str) -> str:
    way = ask(state.control, "way-in", name=where)
    done = subprocess.run(
        [*enter_command(state, way), *command], capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode != 0:
        raise LabError(f"in {where}: {command[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _enis(state: LabState, region: str) -> tuple[Eni, ...]:
    body = urlencode({"Action": "DescribeNetworkInterfaces", "Version": "2016-11-15"})
    signed = ("--aws-sigv4", f"aws:amz:{region}:ec2", "--user", "AKIALABLABLABLABLAB0:any")
    url = f"http://ec2.{region}.amazonaws.com/"
    text = _inside(state, "bastion", "curl", "-sS", "-m", "20", *signed, url, "-d", body)
    answer = ET.fromstring(text)  # noqa: S314 -- from the lab's own server
    refused = answer.findtext("Errors/Error/Message")
    if refused is not None:
        raise LabError(f"EC2 does not tell its ENIs: {refused}")
    return tuple(_eni(item) for item in answer.iterfind(f"{EC2}networkInterfaceSet/{EC2}item"))


def _eni(item: ET.Element) -> Eni:
    def text(path: str) -> str:
        return item.findtext("/".join(EC2 + part for part in path.split("/"))) or ""

    def texts(path: str) -> list[str]:
        return [one.text or "" for one in item.iterfind("/".join(EC2 + part for part in path.split("/")))]

    index = text("attachment/deviceIndex")
    primary = IPv4Address(text("privateIpAddress"))
    addresses = map(IPv4Address, texts("privateIpAddressesSet/item/privateIpAddress"))
    return Eni(
        id=text("networkInterfaceId"),
        mac=text("macAddress"),
        status=text("status"),
        description=text("description"),
        instance_id=text("attachment/instanceId") or None,
        device_index=int(index) if index else None,
        primary=primary,
        secondary=tuple(address for address in addresses if address != primary),
        prefixes=tuple(
            map(
                ip_network, [*texts("ipv4PrefixSet/item/ipv4Prefix"), *texts("ipv6PrefixSet/item/ipv6Prefix")]
            )
        ),
    )


def _node(state: LabState, machine: Mapping[str, Any], sandboxes: Mapping[str, Any]) -> NodeEvidence:
    name = machine["name"]
    env = machine["agent"]["env"]
    script = _SCRIPT.replace(" -4 ", " -6 ") if env.get("ENABLE_IPv6") == "true" else _SCRIPT
    parts = [part.strip() for part in _inside(state, name, "sh", "-c", script).split(_SECTION)]
    rules, routes, nft, links, namespaces, notes, checkpoint, journal, metrics = parts
    pods = tuple(
        Pod(one["name"], one["containerId"], ip_address(one["ip"]), one["hostVeth"])
        for one in sandboxes[name]
    )
    return NodeEvidence(
        name,
        machine["instanceId"],
        pods,
        Kernel(
            rules=tuple(map(_rule, json.loads(rules))),
            pod_routes=_pod_routes(routes, MAIN),
            compact_routes=_pod_routes(routes, PODS),
            sources=tuple(_sources(json.loads(nft)["nftables"])),
            marks=tuple(_marks(json.loads(nft)["nftables"])),
            veths=tuple(link["ifname"] for link in json.loads(links) if _VETH.match(link["ifname"])),
            macs=tuple(link["address"] for link in json.loads(links) if link["ifname"].startswith("eth")),
            namespaces=int(namespaces),
        ),
        _books(checkpoint, journal, int(notes), metrics),
        compact=env.get("VPC_CNI_RULES") == "compact",
        agent_down=not machine["agent"]["wanted"],
    )


def _rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(
        int(rule["priority"]),
        str(rule.get("src")),
        str(rule.get("dst")),
        str(rule.get("table")),
        int(rule.get("fwmark", "0"), 16),
    )


def _pod_routes(listing: str, table: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (route["dst"], route["dev"])
        for route in json.loads(listing)
        if route.get("table", MAIN) == table
        and _VETH.match(route.get("dev", ""))
        and not route["dst"].startswith("fe80:")  # the kernel's own, of each device
    )


def _sources(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for item in items:
        for address, verdict in item.get("map", {}).get("elem", ()):
            yield address, verdict["goto"]["target"]


def _marks(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    for item in items:
        for statement in item.get("rule", {}).get("expr", ()):
            if "mangle" in statement:
                yield item["rule"]["chain"], statement["mangle"]["value"]["|"][1]


def _books(checkpoint: str, journal: str, notes: int, metrics: str) -> Books:
    try:
        read = decode_checkpoint(checkpoint.encode()) if checkpoint else Checkpoint()
        read = apply_journal(read, journal.encode() + b"\n" if journal else b"")
    except CheckpointError as error:
        return Books(notes=notes, problem=str(error))
    values = dict(line.split(" ") for line in metrics.splitlines() if re.fullmatch(r"\w+ [0-9.e+]+", line))

    def number(name: str) -> int | None:
        return int(float(values[name])) if name in values else None

    return Books(
        allocations=tuple((a.key.container_id, a.address) for a in read.allocations),
        notes=notes,
        total=number("awscni_total_ip_addresses"),
        assigned=number("awscni_assigned_ip_addresses"),
        enis=number("awscni_eni_allocated"),
    )
