"""What an instance type can hold: a data file, not source code; a type that is not in it is asked of EC2 (spec 6.14)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from vpccni.ipam.values import BlockKind

COLUMNS = ("type", "ipv4", "hypervisor", "metal", "trunk", "vcpus", "cards")
HOST_NETWORK_PODS = 2
"""aws-node and kube-proxy use the node's address and so add to what the ENIs give (spec 6.14)."""
SMALL_NODE_VCPUS, SMALL_NODE_PODS, LARGE_NODE_PODS = 30, 110, 250
"""EKS's recommended caps for prefix mode (aws-emulation 4.1)."""
NO_TRUNK = frozenset({"i4i.large", "u-6tb1.56xlarge", "u-6tb1.112xlarge"})
"""Nitro types that are not burstable and take no trunk ENI all the same, as AWS's resource controller documents."""


class Hypervisor(enum.Enum):
    """What runs the instance; prefixes need Nitro or bare metal."""

    NITRO = "nitro"
    XEN = "xen"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NetworkCard:
    """How many ENIs one card takes."""

    index: int
    max_enis: int


@dataclass(frozen=True, slots=True)
class InstanceLimits:
    """The limits of one type. `network_cards[0]` is the default card."""

    type: str
    ipv4_per_eni: int
    network_cards: tuple[NetworkCard, ...]
    hypervisor: Hypervisor
    bare_metal: bool
    trunk: bool
    """Whether a trunk ENI can be attached. EC2's API does not say. AWS documents it for Nitro types and bare metal, burstable
    types and those of `NO_TRUNK` excepted; that rule gives what the resource controller's list gives, type by type."""
    vcpus: int

    @property
    def max_enis(self) -> int:
        """ENIs on the default card, the only one that the agent manages without multi-NIC (spec 6.14)."""
        return self.network_cards[0].max_enis

    @property
    def slots_per_eni(self) -> int:
        """Secondary addresses or prefixes per ENI: the primary address takes one place."""
        return self.ipv4_per_eni - 1

    @property
    def supports_prefixes(self) -> bool:
        """Whether prefixes can be delegated (spec 6.14)."""
        return self.hypervisor is Hypervisor.NITRO or self.bare_metal

    def max_pods(self, kind: BlockKind = BlockKind.SECONDARY_IP, *, custom_networking: bool = False) -> int:
        """The pods that addresses allow, host-network pods included; capped as EKS recommends in prefix mode."""
        if kind is BlockKind.IPV6_PREFIX:
            return SMALL_NODE_PODS if self.vcpus <= SMALL_NODE_VCPUS else LARGE_NODE_PODS
        enis = self.max_enis - (1 if custom_networking else 0)
        pods = enis * self.slots_per_eni * kind.addresses + HOST_NETWORK_PODS
        if kind is BlockKind.PREFIX:
            return min(pods, SMALL_NODE_PODS if self.vcpus <= SMALL_NODE_VCPUS else LARGE_NODE_PODS)
        return pods


def known_limits(instance_type: str) -> InstanceLimits | None:
    """The limits of a type in the data file; None if it is not there. Keeps nothing in memory."""
    wanted = f"{instance_type}\t"
    with resources.files("vpccni.ipam").joinpath("data/instance-limits.tsv").open(encoding="ascii") as table:
        return next(
            (from_row(line.rstrip("\n").split("\t")) for line in table if line.startswith(wanted)), None
        )


def may_have_trunk(instance_type: str) -> bool:
    """Whether a trunk ENI can be attached; a type that nobody knows may have one (spec 6.14)."""
    limits = known_limits(instance_type)
    return limits is None or limits.trunk


def known_types() -> tuple[str, ...]:
    """Every type in the data file."""
    with resources.files("vpccni.ipam").joinpath("data/instance-limits.tsv").open(encoding="ascii") as table:
        names = [line.split("\t", 1)[0] for line in table if not line.startswith("#")]
    return tuple(names[1:])


def from_describe(item: Mapping[str, Any]) -> InstanceLimits:
    """One item of DescribeInstanceTypes."""
    network = item["NetworkInfo"]
    default = network.get("DefaultNetworkCardIndex", 0)
    listed = network.get("NetworkCards") or [
        {"NetworkCardIndex": 0, "MaximumNetworkInterfaces": network["MaximumNetworkInterfaces"]}
    ]
    cards = [NetworkCard(card["NetworkCardIndex"], card["MaximumNetworkInterfaces"]) for card in listed]
    metal = bool(item.get("BareMetal", False))
    try:
        hypervisor = Hypervisor(item.get("Hypervisor", "unknown"))
    except ValueError:
        hypervisor = Hypervisor.UNKNOWN
    nitro = hypervisor is Hypervisor.NITRO or metal
    return InstanceLimits(
        type=item["InstanceType"],
        ipv4_per_eni=network["Ipv4AddressesPerInterface"],
        network_cards=tuple(sorted(cards, key=lambda card: (card.index != default, card.index))),
        hypervisor=hypervisor,
        bare_metal=metal,
        trunk=nitro
        and not item.get("BurstablePerformanceSupported", False)
        and item["InstanceType"] not in NO_TRUNK,
        vcpus=item.get("VCpuInfo", {}).get("DefaultVCpus", 0),
    )


def to_row(limits: InstanceLimits) -> list[str]:
    """One line of the data file."""
    flags = ["yes" if flag else "no" for flag in (limits.bare_metal, limits.trunk)]
    cards = ",".join(f"{card.index}:{card.max_enis}" for card in limits.network_cards)
    return [limits.type, str(limits.ipv4_per_eni), limits.hypervisor.value, *flags, str(limits.vcpus), cards]


def from_row(row: list[str]) -> InstanceLimits:
    """One line of the data file as values."""
    name, ipv4, hypervisor, metal, trunk, vcpus, cards = row
    pairs = (card.split(":") for card in cards.split(","))
    return InstanceLimits(
        type=name,
        ipv4_per_eni=int(ipv4),
        network_cards=tuple(NetworkCard(int(index), int(enis)) for index, enis in pairs),
        hypervisor=Hypervisor(hypervisor),
        bare_metal=metal == "yes",
        trunk=trunk == "yes",
        vcpus=int(vcpus),
    )
