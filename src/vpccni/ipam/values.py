"""The nouns that every part speaks in: ENIs, blocks of addresses, sandboxes, assignments."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NewType, TypeAlias

EniId = NewType("EniId", str)
SubnetId = NewType("SubnetId", str)
Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MAIN_TABLE = 254
"""The kernel's main routing table, used by the ENI with device index 0 (spec 4.3)."""


def single(address: Address) -> Network:
    """The network that is this address alone."""
    return (
        IPv4Network((int(address), 32))
        if isinstance(address, IPv4Address)
        else IPv6Network((int(address), 128))
    )


def numbered_address(number: int) -> Address:
    """The address of that number: what is too large for IPv4 is of IPv6, and none of ours there is so small."""
    return IPv6Address(number) if number >> 32 else IPv4Address(number)


def within(inner: Network, outer: Network) -> bool:
    """Whether one network lies in another of its family."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


class BlockKind(enum.Enum):
    """What one slot of an ENI holds: a secondary address or a delegated prefix (spec 6.1). The value is the length."""

    SECONDARY_IP = 32
    PREFIX = 28
    IPV6_PREFIX = 80
    IPV6_ADDRESS = 128
    """One address of a prefix that nobody is known to hold any more, kept for its pod. Never asked for."""

    version: int
    """4 or 6."""
    addresses: int
    """Addresses that one block of this kind gives to pods."""

    def __init__(self, length: int) -> None:
        self.version, longest = (4, 32) if length <= 32 else (6, 128)
        self.addresses = 1 << (longest - length)

    # a member is one object; Enum's own hash, in Python, was a twentieth of a plan's time
    __hash__ = object.__hash__


IPV4_KINDS = (BlockKind.SECONDARY_IP, BlockKind.PREFIX)
"""Between these two a node may be switched; its family is for good."""


@dataclass(frozen=True, slots=True)
class Block:
    """The content of one ENI slot: a /32 (secondary IP) or a prefix, a /28 or of IPv6 a /80."""

    network: Network

    def __post_init__(self) -> None:
        if BlockKind(self.network.prefixlen).version != self.network.version:
            raise ValueError(f"EC2 gives no prefix like {self.network}")

    @classmethod
    def of_address(cls, address: Address) -> Block:
        """The block of one address."""
        return cls(single(address))

    def contains(self, other: Block) -> bool:
        """Whether all of the other lies in this one."""
        return within(other.network, self.network)

    @property
    def kind(self) -> BlockKind:
        """Secondary IP or prefix."""
        return BlockKind(self.network.prefixlen)

    def __str__(self) -> str:
        return str(self.network)


class EniRole(enum.Enum):
    """What an ENI is for (spec 6.1): only plain ones give pods addresses and may be given back."""

    PLAIN = "plain"
    TRUNK = "trunk"
    """Carries the branch ENIs of pods with security groups of their own."""
    EFA = "efa"


@dataclass(frozen=True, slots=True)
class Eni:
    """What does not change about an ENI while it is attached to this node."""

    id: EniId
    mac: str
    device_index: int
    subnet_id: SubnetId
    subnet_cidr: IPv4Network
    primary_address: IPv4Address
    network_card: int = 0
    is_primary: bool = False
    role: EniRole = EniRole.PLAIN

    @property
    def route_table(self) -> int:
        """The host's routing table for traffic of this ENI's pods (spec 4.3)."""
        if self.network_card > 0:
            return 10000 + self.device_index + 100 * self.network_card
        return MAIN_TABLE if self.device_index == 0 else self.device_index + 1

    @property
    def gateway(self) -> IPv4Address:
        """The VPC router's address in the ENI's subnet: network + 1 (spec 5.4)."""
        return self.subnet_cidr.network_address + 1


@dataclass(frozen=True, slots=True)
class AttachedEni:
    """An ENI as some source (IMDS, EC2) saw it, with the blocks it held then."""

    eni: Eni
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class SubnetOffer:
    """A subnet that a new ENI may be put into (spec 6.11, 7.1)."""

    id: SubnetId
    cidr: IPv4Network
    free: int | None = None
    """Addresses that EC2 said it had left; None if EC2 was not asked."""
    groups: tuple[str, ...] = ()
    """Security groups for ENIs in it; none given: the primary ENI's."""


@dataclass(frozen=True, slots=True)
class SandboxKey:
    """What identifies one attachment to the network: the idempotency key of ADD (spec 6.1)."""

    network: str
    container_id: str
    interface: str

    def __str__(self) -> str:
        return f"{self.network}/{self.container_id}/{self.interface}"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod's name as kubelet gives it in CNI_ARGS."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Interface:
    """Which of a pod's interfaces: `index` 0 is the one that the runtime named; more than one `of` with multi-NIC."""

    index: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Assignment:
    """An address that belongs to a sandbox."""

    key: SandboxKey
    pod: Pod
    address: Address
    eni: EniId
    assigned_at: float
    """Seconds since the epoch, by the agent's steady clock."""
    interface: Interface = Interface()


@dataclass(frozen=True, slots=True)
class Cooling:
    """An address that was given back and may not be assigned again before `until`."""

    address: Address
    until: float
