"""What the gRPC server needs of the agent, and the node's facts that its answers carry."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from vpccni.agent.branch_pods import Trunked
from vpccni.agent.cni_call import CniCall
from vpccni.agent.settings import Settings
from vpccni.aws.imds import NodeFacts
from vpccni.ipam.values import Address, Assignment, Eni, Pod


class Backend(Protocol):
    """The pool's owner, for callers that wire their pods themselves. The agent's loop is one."""

    async def assign_only(self, call: CniCall) -> tuple[tuple[Assignment, Eni], ...]:
        """The sandbox's address of each of its network cards, written down; the same if asked again. Raises CniError."""

    async def release_only(self, call: CniCall, reason: str) -> tuple[tuple[Assignment, Eni | None], ...]:
        """Take the sandbox's addresses back and let them cool; none if it has none. An ENI may be gone by now."""


class Branches(Protocol):
    """The pods that have branch ENIs."""

    async def of_pod(self, pod: Pod, uid: str = "") -> Trunked | None:
        """The pod's; None if it asks for none. Raises CniError if there is none to be had, or it is another pod's."""

    async def trunk_index(self, trunk: Eni) -> int:
        """The index of the trunk ENI's device. Raises HostError."""


class AnnotationError(Exception):
    """The pod's annotation could not be written; the message says why."""


class Annotator(Protocol):
    """Keeps `vpc.amazonaws.com/pod-ips` of a pod (ANNOTATE_POD_IP, spec 3.3, 7.4)."""

    async def given(self, pod: Pod, address: Address) -> None:
        """Write the address. Raises AnnotationError."""

    async def taken_back(self, pod: Pod, address: Address) -> None:
        """Empty it if it names this address. A pod that is gone is fine. Raises AnnotationError."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What the answers say about the node rather than about a pod."""

    instance_id: str
    region: str
    node_address: IPv4Address
    vpc_cidrs: tuple[IPv4Network, ...]
    exclude_snat_cidrs: tuple[IPv4Network, ...] = ()
    external_snat: bool = False
    network_policy_mode: str = ""
    """Empty: the plugin asks the network-policy agent nothing."""
    node_ipv6: IPv6Address | None = None
    vpc_ipv6_cidrs: tuple[IPv6Network, ...] = ()
    ipv6: bool = False
    """Whether the pods are of IPv6: then nothing of IPv4 is told (spec 3.3)."""
    client_version: str = ""
    """The plugin's version that is served; empty: any."""

    @property
    def direct_cidrs(self) -> tuple[str, ...]:
        """Where pods go without SNAT: the VPC, then what is excluded from SNAT while the node does it (spec 3.3)."""
        if self.ipv6:
            return ()
        excluded = () if self.external_snat else self.exclude_snat_cidrs
        return tuple(str(cidr) for cidr in (*self.vpc_cidrs, *excluded))


def node_config(settings: Settings, facts: NodeFacts) -> NodeConfig:
    """From the environment and IMDS."""
    mode = settings.network_policy_mode
    return NodeConfig(
        instance_id=facts.instance_id,
        region=facts.region,
        node_address=facts.primary_ip,
        vpc_cidrs=facts.vpc_cidrs,
        exclude_snat_cidrs=settings.exclude_snat_cidrs,
        external_snat=settings.external_snat,
        node_ipv6=facts.primary_ipv6,
        vpc_ipv6_cidrs=facts.vpc_ipv6_cidrs,
        ipv6=settings.ipv6,
        network_policy_mode=mode.value if mode is not None else "",
        client_version=settings.client_version,
    )
