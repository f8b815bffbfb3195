"""JSON as Go's encoding/json writes it, for what the original's readers parse (spec 8.1). Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from vpccni.agent.settings import RandomizeSnat, Settings
from vpccni.agent.viewing import leaving_blocks
from vpccni.ipam.actions import DetachEni
from vpccni.ipam.decide import Ipam
from vpccni.ipam.pool import EniView
from vpccni.ipam.values import Address, Assignment, Block, EniRole

ZERO_TIME = "0001-01-01T00:00:00Z"
RANDOMIZE_SNAT = {RandomizeSnat.NONE: 0, RandomizeSnat.HASHRANDOM: 1, RandomizeSnat.PRNG: 2}


def dumps(value: Any) -> bytes:
    """Without blanks, and with what is special in HTML escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def enis(ipams: Iterable[Ipam]) -> dict[str, Any]:
    """/v1/enis: the original's data store for each network card, without what it is giving back to EC2."""
    return {str(ipam.state.card): _data_store(ipam) for ipam in sorted(ipams, key=lambda i: i.state.card)}


def networkutils_settings(settings: Settings) -> dict[str, Any]:
    """/v1/networkutils-env-settings."""
    return {
        "AWS_EXTERNAL_SERVICE_CIDRS": [str(cidr) for cidr in settings.external_service_cidrs] or None,
        "AWS_VPC_CNI_NODE_PORT_SUPPORT": settings.node_port_support,
        "AWS_VPC_ENI_MTU": settings.eni_mtu,
        "AWS_VPC_K8S_CNI_CONNMARK": settings.connmark,
        "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": [str(cidr) for cidr in settings.exclude_snat_cidrs] or None,
        "AWS_VPC_K8S_CNI_EXTERNALSNAT": settings.external_snat,
        "AWS_VPC_K8S_CNI_RANDOMIZESNAT": RANDOMIZE_SNAT[settings.randomize_snat],
        "AWS_VPC_K8S_CNI_VETHPREFIX": settings.veth_prefix,
    }


def ipamd_settings(settings: Settings) -> dict[str, Any]:
    """/v1/ipamd-env-settings."""
    return {
        "AWS_MANAGE_ENIS_NON_SCHEDULABLE": settings.manage_unschedulable,
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": settings.custom_networking,
        "ENABLE_SUBNET_DISCOVERY": settings.subnet_discovery,
        "WARM_ENI_TARGET": settings.warm.warm_eni,
        "WARM_IP_TARGET": settings.warm.warm_ip,
    }


def time_text(seconds: float) -> str:
    """RFC 3339 with as many decimals as there are."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
    return f"{text.rstrip('0').rstrip('.')}Z"


def _data_store(ipam: Ipam) -> dict[str, Any]:
    leaving = leaving_blocks(ipam)
    views = [
        view
        for view in ipam.pool.enis()
        if not isinstance(ipam.state.under_way.on(view.eni.id), DetachEni)
    ]  # fmt: skip
    assigned = {a.address: a for a in ipam.pool.assignments()}
    released = {c.address: c.until - ipam.pool.cooldown for c in ipam.pool.cooling()}
    return {
        "TotalIPs": sum(view.total for view in views),
        "AssignedIPs": ipam.pool.assigned_count,
        "ENIs": {
            view.eni.id: _eni(ipam, view, leaving[view.eni.id], assigned, released)
            for view in sorted(views, key=lambda view: view.eni.id)
        },
    }


def _eni(
    ipam: Ipam,
    view: EniView,
    leaving: frozenset[Block],
    assigned: dict[Address, Assignment],
    released: dict[Address, float],
) -> dict[str, Any]:
    eni = view.eni
    blocks = sorted((b for b in ipam.pool.blocks_of(eni.id) if b not in leaving), key=str)
    return {
        "ID": eni.id,
        "IsPrimary": eni.is_primary,
        "IsTrunk": eni.role is EniRole.TRUNK,
        "IsEFA": eni.role is EniRole.EFA,
        "DeviceNumber": eni.device_index,
        "AvailableIPv4Cidrs": {str(b): _cidr(b, assigned, released) for b in blocks if b.kind.version == 4},
        "IPv6Cidrs": {str(b): _cidr(b, assigned, released) for b in blocks if b.kind.version == 6},
        "IsExcludedForPodIPs": eni.subnet_id in ipam.state.placement.excluded,
        "RouteTableID": eni.route_table,
        "SubnetID": eni.subnet_id,
    }


def _cidr(
    block: Block, assigned: dict[Address, Assignment], released: dict[Address, float]
) -> dict[str, Any]:
    network = block.network
    records: dict[str, Any] = {}
    for address in sorted({*assigned, *released}, key=str):
        if address not in network:
            continue
        if (assignment := assigned.get(address)) is not None:
            records[str(address)] = _record(address, assignment, None)
        else:
            records[str(address)] = _record(address, None, released[address])
    mask = base64.b64encode(network.netmask.packed).decode()
    return {
        "Cidr": {"IP": str(network.network_address), "Mask": mask},
        "IPAddresses": records,
        "IsPrefix": network.prefixlen < network.max_prefixlen,
        "AddressFamily": "6" if network.version == 6 else "",
    }


def _record(address: Address, assignment: Assignment | None, released_at: float | None) -> dict[str, Any]:
    metadata = {}
    if assignment is not None:
        metadata = {
            "k8sPodNamespace": assignment.pod.namespace,
            "k8sPodName": assignment.pod.name,
            "interfacesCount": assignment.interface.of,
        }
    return {
        "Address": str(address),
        "IPAMKey": {
            "networkName": assignment.key.network if assignment else "",
            "containerID": "",
            "ifName": "",
        },
        "IPAMMetadata": {name: value for name, value in metadata.items() if value},
        "AssignedTime": time_text(assignment.assigned_at) if assignment else ZERO_TIME,
        "UnassignedTime": time_text(released_at) if released_at is not None else ZERO_TIME,
    }
