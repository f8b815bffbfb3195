"""What a lab shows of itself, as JSON: machines and ENIs from EC2's view, agents, pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from vpclab.aws import Call, CallLog
from vpclab.node import Machine, Node, PodRecord, ec2_name
from vpclab.region import Region
from vpclab.region.values import NetworkInterface


def pod_view(region: Region, node: Node, record: PodRecord) -> dict[str, Any]:
    """A pod as a person is told of it; its ENI is the one that EC2 says holds the address."""
    address = ip_address(record.address)
    holders = [eni for eni in region.enis_of(node.instance_id) if eni.holds(address)]
    return {
        "namespace": record.sandbox.namespace,
        "name": record.sandbox.name,
        "node": node.name,
        "ip": record.address,
        "eni": holders[0].id if holders else None,
        "device": _device(holders[0]) if holders else None,
        "hostVeth": record.host_veth,
    }


def lab_view(
    name: str, region: Region, machines: Iterable[Machine], names: Mapping[str, str], calls: CallLog
) -> dict[str, Any]:
    """The whole lab; `names` are all instances' by id, also of those that are not up."""
    machines = list(machines)
    up = {machine.instance_id for machine in machines}
    down = [(named, key) for key, named in names.items() if key not in up and region.enis_of(key)]
    counts: Counter[str] = Counter()
    for (action, _), count in calls.counts.items():
        counts[action] += count
    return {
        "name": name,
        "region": region.name,
        "vpc": ", ".join(str(cidr) for vpc in region.vpcs.values() for cidr in vpc.all_cidrs),
        "subnets": [
            {
                "id": subnet.id,
                "zone": subnet.zone,
                "cidr": str(subnet.cidr),
                "ipv6Cidr": str(subnet.ipv6_cidr) if subnet.ipv6_cidr else None,
                "free": region.free_addresses(subnet.id),
            }
            for subnet in region.subnets.values()
        ],
        "machines": [
            *(machine_view(region, machine) for machine in machines),
            *(instance_view(region, named, key) for named, key in down),
        ],
        "pods": [
            pod_view(region, machine, record)
            for machine in machines
            if isinstance(machine, Node)
            for record in machine.pods.values()
        ],
        "ec2Calls": dict(sorted(counts.items())),
    }


def calls_view(
    calls: Iterable[Call], names: Mapping[str, str], who: str | None, since: float | None
) -> list[dict[str, Any]]:
    """AWS calls, oldest first: only this machine's, only those from a moment on, if given. `names` are by instance."""
    found = [
        {
            "at": call.at,
            "who": names.get(call.instance_id or "", call.source),
            "service": call.service,
            "action": call.action,
            "code": call.code,
            "seconds": call.seconds,
        }
        for call in calls
        if since is None or call.at >= since
    ]
    return [call for call in found if who in (None, call["who"])]


def machine_view(region: Region, machine: Machine) -> dict[str, Any]:
    """An instance that is up, with its ENIs; a node's agent and number of pods as well."""
    view = instance_view(region, machine.name, machine.instance_id)
    if isinstance(machine, Node):
        view["agent"] = agent_view(machine)
        view["pods"] = len(machine.pods)
    return view


def instance_view(region: Region, name: str, instance_id: str) -> dict[str, Any]:
    """An instance with its ENIs."""
    instance = region.instances[instance_id]
    enis = region.enis_of(instance_id)
    return {
        "name": name,
        "instanceId": instance_id,
        "state": instance.state.value,
        "type": instance.type,
        "zone": instance.zone,
        "privateIp": str(enis[0].primary),
        "privateDnsName": ec2_name(enis[0].primary, region.name),
        "publicIp": str(enis[0].public_ip) if enis[0].public_ip else None,
        "enis": [_eni_view(eni) for eni in enis],
    }


def agent_view(node: Node) -> Mapping[str, Any]:
    """Whether a node's agent runs, is kept running, how it last ended, and the environment of its next start."""
    agent = node.agent
    return {"pid": agent.pid, "wanted": agent.wanted, "starts": agent.starts, "lastEnd": agent.last_end,
            "env": dict(agent.env)}  # fmt: skip


def _eni_view(eni: NetworkInterface) -> dict[str, Any]:
    return {
        "id": eni.id,
        "device": _device(eni),
        "status": eni.status.value,
        "primary": str(eni.primary),
        "secondary": [str(address) for address in eni.secondary],
        "prefixes": [str(prefix) for prefix in eni.prefixes],
        "ipv6": [str(address) for address in eni.ipv6],
        "ipv6Prefixes": [str(prefix) for prefix in eni.ipv6_prefixes],
    }


def _device(eni: NetworkInterface) -> str | None:
    return f"eth{eni.attachment.device_index}" if eni.attachment else None
