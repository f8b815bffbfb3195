"""A scenario from what is there: a lab, a cluster, a node's bundle, or counts that somebody has written down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from vpccni.cli.bundle.archive import AGENT, SUBNETS, Bundle, is_bundle
from vpccni.cli.errors import CliError
from vpccni.ipam.limits import known_limits, known_types
from vpclab.lab.client import ask
from vpclab.lab.state import LabError, running
from vpclab.plan.policies import COUNT
from vpclab.plan.reading import scenario_of
from vpclab.plan.scenario import Scenario, ScenarioError

Json = dict[str, Any]
RESERVED = 5
COME_AND_GO = 0.1
"""The part of the pods that is taken to be new each hour, where nobody says."""
MACHINE = frozenset({"bastion"})


def counts_from(source: str, subnets: Path | None = None) -> Json:
    """Nodes, subnets, pods and settings as they are. Raises ScenarioError, OSError."""
    if source.startswith("lab:"):
        return of_lab(_lab_status(source.removeprefix("lab:")))
    if source == "cluster":
        from vpclab.plan.cluster import cluster_objects  # noqa: PLC0415 -- the HTTP library is loaded for this alone

        if subnets is None:
            raise ScenarioError(
                "a cluster does not know its subnets: give --subnets FILE with what "
                "`aws ec2 describe-subnets --filters Name=vpc-id,Values=<vpc>` prints"
            )
        nodes, pods, agents = cluster_objects()
        return of_cluster(nodes, pods, agents, _read(subnets).get("Subnets", []))
    file = Path(source)
    if not file.exists():
        raise ScenarioError(f"--from {source}: neither lab:NAME nor cluster, and there is no such file")
    if is_bundle(file):
        try:
            bundle = Bundle.read(file)
            described = [bundle.plain(name) for name in bundle.texts if name.startswith(f"{SUBNETS}/")]
            return of_bundle(bundle.plain(f"{AGENT}/v2/status.json"), described)
        except CliError as error:
            raise ScenarioError(str(error)) from None
    return _read(file)


def scenario_from(source: str, subnets: Path | None = None) -> Scenario:
    """Raises ScenarioError, OSError."""
    return scenario_of(json.dumps(as_scenario(counts_from(source, subnets), source), indent=1), source)


def as_scenario(counts: Mapping[str, Any], name: str) -> Json:
    """What a scenario's file would say. Raises ScenarioError."""
    unknown = counts.keys() - {"subnets", "nodes", "pods", "settings", "name"}
    if unknown:
        raise ScenarioError(
            f"{name}: {', '.join(sorted(unknown))}: the counts are of subnets, nodes, pods and settings"
        )
    pods = counts.get("pods", 0)
    if isinstance(pods, bool) or not isinstance(pods, int) or pods < 0:
        raise ScenarioError(f"{name}: pods: {pods!r} is no number of pods")
    settings = {k: v for k, v in dict(counts.get("settings", {})).items() if k in COUNT}
    moving = max(1, round(pods * COME_AND_GO))
    others: list[Json] = [
        {"name": "default"},
        {
            "name": "WARM_IP_TARGET=2,MINIMUM_IP_TARGET=10",
            "env": {"WARM_IP_TARGET": 2, "MINIMUM_IP_TARGET": 10},
        },
        {"name": "prefixes", "env": {"ENABLE_PREFIX_DELEGATION": True, "WARM_PREFIX_TARGET": 1}},
        {"name": "adaptive", "env": {"WARM_TARGET_MODE": "adaptive"}},
    ]
    return {
        "name": str(counts.get("name", name)),
        "description": "From what is there; the pods that are there stay, and a tenth of them an hour come and go beside.",
        "duration": "24h",
        "subnets": counts.get("subnets", []),
        "nodes": counts.get("nodes", []),
        "pods": [
            {"name": "there", "shape": "constant", "count": max(0, pods - moving)},
            {"name": "moving", "shape": "poisson", "per_hour": moving, "life": "1h"},
        ],
        "policies": [{"name": "as it is", "env": settings}, *others] if settings else others,
    }


def of_lab(status: Mapping[str, Any]) -> Json:
    """A lab's status."""
    nodes = [m for m in status["machines"] if "agent" in m]
    if not nodes:
        raise ScenarioError(f"lab {status['name']} has no nodes")
    own: Counter[str] = Counter()
    groups: Counter[tuple[str, str]] = Counter()
    networks = {s["id"]: IPv4Network(s["cidr"]) for s in status["subnets"]}
    for node in nodes:
        for eni in node["enis"]:
            place = _holder(networks, eni["primary"])
            own[place] += 1 + len(eni["secondary"]) + 16 * len(eni["prefixes"])
        groups[node["type"], _holder(networks, node["enis"][0]["primary"])] += 1
    return {
        "name": f"lab {status['name']}",
        "subnets": [
            {
                "name": s["id"],
                "zone": s["zone"],
                "cidr": s["cidr"],
                "used": networks[s["id"]].num_addresses - RESERVED - s["free"] - own[s["id"]],
            }
            for s in status["subnets"]
        ],
        "nodes": _groups(groups),
        "pods": len(status["pods"]),
        "settings": dict(nodes[0]["agent"]["env"]),
    }


def of_cluster(
    nodes: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    agents: Iterable[Mapping[str, Any]],
    subnets: Iterable[Mapping[str, Any]],
) -> Json:
    """Node, Pod and aws-node's DaemonSet objects of the Kubernetes API, and EC2's subnets."""
    networks = {s["SubnetId"]: IPv4Network(s["CidrBlock"]) for s in subnets}
    groups: Counter[tuple[str, str]] = Counter()
    own: Counter[str] = Counter()
    for node in nodes:
        meta, status = node["metadata"], node.get("status", {})
        label = meta.get("labels", {}).get("node.kubernetes.io/instance-type", "")
        internal = [a["address"] for a in status.get("addresses", []) if a["type"] == "InternalIP"]
        if not label or not internal:
            raise ScenarioError(f"node {meta['name']} has no instance-type label or no internal address")
        place = _holder(networks, internal[0])
        groups[label, place] += 1
        own[place] += 1
    with_addresses = 0
    for pod in pods:
        running_there = pod.get("status", {}).get("phase") in {"Running", "Pending"}
        address = pod.get("status", {}).get("podIP")
        if running_there and not pod.get("spec", {}).get("hostNetwork"):
            with_addresses += 1
            if address and ":" not in address:
                own[_holder(networks, address)] += 1
    env: dict[str, str] = {}
    for agent in agents:
        for container in agent["spec"]["template"]["spec"]["containers"]:
            if container["name"] == "aws-node":
                env = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
    free = {s["SubnetId"]: int(s["AvailableIpAddressCount"]) for s in subnets}
    zones = {s["SubnetId"]: s["AvailabilityZone"] for s in subnets}
    return {
        "name": "the cluster",
        "subnets": [
            {
                "name": key,
                "zone": zones[key],
                "cidr": str(network),
                # what the pools hold warm can't be told from others' from here, and counts as others'
                "used": max(0, network.num_addresses - RESERVED - free[key] - own[key]),
            }
            for key, network in networks.items()
        ],
        "nodes": _groups(groups),
        "pods": with_addresses,
        "settings": env,
    }


def of_bundle(status: Mapping[str, Any], subnets: Iterable[Mapping[str, Any]]) -> Json:
    """One node's."""
    pool = status["pools"][0]
    numbers = pool["numbers"]
    described = list(subnets)
    if not described:
        raise ScenarioError("the bundle tells of no subnet: it was made without EC2")
    targets = pool["targets"]
    own = numbers["total"] + numbers["enis"]
    return {
        "name": f"node {status['node']}",
        "subnets": [
            {
                "name": s["subnet"],
                "cidr": s["cidr"],
                "used": max(
                    0,
                    IPv4Network(s["cidr"]).num_addresses - RESERVED - s["available"] - (own if at == 0 else 0),
                ),
            }
            for at, s in enumerate(described)
        ],
        "nodes": [
            {"type": _type_like(numbers["most_enis"], numbers["slots_per_eni"]), "count": 1, "subnets": [described[0]["subnet"]]}
        ],
        "pods": numbers["assigned"],
        "settings": {
            "WARM_ENI_TARGET": targets["warm_eni"],
            **{
                name: targets[key]
                for name, key in (("WARM_IP_TARGET", "warm_ip"), ("MINIMUM_IP_TARGET", "minimum_ip"))
                if targets[key]
            },
        },
    }  # fmt: skip


def _type_like(enis: int, slots: int) -> str:
    """A type that holds as much: a bundle does not name its own."""
    for name in ("t3.medium", "m5.large", "m5.xlarge", "m5.4xlarge", *known_types()):
        limits = known_limits(name)
        if limits is not None and (limits.max_enis, limits.slots_per_eni) == (enis, slots):
            return name
    raise ScenarioError(f"no instance type has {enis} ENIs of {slots} addresses")


def _groups(groups: Mapping[tuple[str, str], int]) -> list[Json]:
    return [
        {"name": f"{kind} in {subnet}", "type": kind, "count": count, "subnets": [subnet]}
        for (kind, subnet), count in sorted(groups.items())
    ]


def _holder(networks: Mapping[str, IPv4Network], address: str) -> str:
    for key, network in networks.items():
        if IPv4Network(address).subnet_of(network):
            return key
    raise ScenarioError(f"{address} is in none of the subnets that were told of")


def _lab_status(name: str) -> Json:
    try:
        answer: Json = ask(running(name).control, "status")
    except LabError as error:
        raise ScenarioError(str(error)) from None
    return answer


def _read(file: Path) -> Json:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ScenarioError(f"{file}: this is not JSON: {error}") from None
    if not isinstance(read, dict):
        raise ScenarioError(f"{file}: an object was expected")
    return read
