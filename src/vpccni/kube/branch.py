"""The branch ENI that the VPC resource controller has made for a pod, as the pod's annotation tells (spec 7.3)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.kube.port import PodView

KEY = "vpc.amazonaws.com/pod-eni"
"""The annotation, and how the resource's name in the pod's limits begins."""
TRUNK_FEATURE, NETWORKING_FEATURE = "SecurityGroupsForPods", "CustomNetworking"
"""What a node asks the controller for, in its CNINode (spec 7.2)."""
MOST_VLAN = 4094
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class BranchError(ValueError):
    """The pod asks for a branch ENI, and what its annotation says cannot be used; the text names the field."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A pod's own ENI, behind the node's trunk ENI."""

    eni_id: str
    mac: str
    address: IPv4Address
    vlan: int
    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """The subnet's router: its first host address (spec 3.3)."""
        return self.subnet[1]


def asks_for_branch(pod: PodView) -> bool:
    """Whether the pod is to have a branch ENI: the controller's webhook has written the resource in its limits."""
    return any(name.startswith(KEY) for name in pod.limits)


def branch_of(pod: PodView) -> Branch | None:
    """The pod's branch ENI, the first that is listed; None: there is none yet. Raises BranchError.

    Keys are read whatever their case: the controller writes vlanId, the original's reader says vlanID, and Go does not mind.
    """
    text = pod.annotations.get(KEY)
    if not text:
        return None
    try:
        listed = json.loads(text)
        first = {str(key).lower(): value for key, value in listed[0].items()}
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise BranchError(f"the annotation {KEY} is no list of ENIs: {text[:200]}") from error
    mac, vlan = str(first.get("ifaddress", "")).lower(), first.get("vlanid")
    if not _MAC.fullmatch(mac):
        raise BranchError(f"the annotation {KEY} has no MAC in ifAddress: {mac!r}")
    if not isinstance(vlan, int) or isinstance(vlan, bool) or not 0 < vlan <= MOST_VLAN:
        raise BranchError(f"the annotation {KEY} has no VLAN in vlanId: {vlan!r}")
    try:
        address = IPv4Address(first.get("privateip", ""))
        subnet = IPv4Network(first.get("subnetcidr", ""))
    except ValueError as error:
        raise BranchError(f"the annotation {KEY} has no IPv4 address and subnet: {error}") from error
    if subnet.prefixlen > 30:
        raise BranchError(f"the annotation {KEY} has a subnet without a router: {subnet}")
    return Branch(str(first.get("eniid", "")), mac, address, vlan, subnet)
