"""What EC2 is told and what it tells, as values; addresses and blocks are ipam's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from vpccni.ipam.values import Block, BlockKind, EniId, SubnetId

AVAILABLE = "available"
"""The status of an ENI that is attached to nothing and may be deleted."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Seconds after which security groups forget an idle connection of an ENI; None: as long as EC2 does by default."""

    tcp_established: int | None = None
    udp_stream: int | None = None
    udp: int | None = None


@dataclass(frozen=True, slots=True)
class NewEni:
    """What an ENI is created with (spec 6.9, 6.10): its first blocks come in the same call."""

    subnet: SubnetId
    groups: tuple[str, ...]
    description: str
    tags: tuple[tuple[str, str], ...]
    count: int
    kind: BlockKind
    tracking: Tracking | None = None
    """The primary ENI's, if somebody has set any."""


@dataclass(frozen=True, slots=True)
class CreatedEni:
    """What EC2 made."""

    id: EniId
    mac: str
    primary_address: IPv4Address
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class EniAttachment:
    """What an ENI is attached to. `status` is attaching, attached, detaching or detached."""

    id: str
    instance: str | None
    """None for what is not an instance of this account (a load balancer's, a managed service's)."""
    device_index: int
    network_card: int
    status: str
    tied: bool = True
    """Whether the ENI goes with the instance."""


@dataclass(frozen=True, slots=True)
class DescribedEni:
    """An ENI as EC2 describes it: the truth that instance metadata lags behind.

    No ipam AttachedEni, for EC2 does not say the subnet's CIDR here. `status` is available, associated, attaching, in-use or
    detaching; `primary_address` is None on an ENI without IPv4; `interface_type` is interface, efa, efa-only, trunk, branch, ….
    """

    id: EniId
    mac: str
    status: str
    subnet: SubnetId
    primary_address: IPv4Address | None
    blocks: tuple[Block, ...] = ()
    attachment: EniAttachment | None = None
    description: str = ""
    interface_type: str = "interface"
    groups: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    tracking: Tracking | None = None


@dataclass(frozen=True, slots=True)
class DescribedSubnet:
    """A subnet as EC2 describes it, for the choice of where the next ENI goes (spec 6.11)."""

    id: SubnetId
    cidr: IPv4Network
    zone: str
    free_addresses: int
    tags: Mapping[str, str] = field(default_factory=dict)
