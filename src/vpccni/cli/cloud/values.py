"""The VPC around a node, as far as the node may look."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpccni.cli.unknown import Unknown


@dataclass(frozen=True, slots=True)
class NodeEni:
    """An ENI of this node."""

    id: str
    mac: str
    subnet: str
    subnet_cidr: IPv4Network
    primary_address: IPv4Address
    networks: tuple[IPv4Network, ...] = ()
    """Secondary addresses and prefixes."""
    is_primary: bool = False
    groups: tuple[str, ...] = ()
    public: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    """Its addresses that have a public one, with that."""
    checks_source: bool = True
    """EC2's source/destination check."""

    def holds(self, address: IPv4Address) -> bool:
        """Whether the address is one of the ENI's."""
        return address == self.primary_address or any(address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class VpcRoute:
    """A route of a VPC's route table; `target` is an id, whose prefix tells what it is, or "local"."""

    destination: IPv4Network
    target: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class VpcTable:
    """A route table; the main one serves subnets that are associated with no other."""

    id: str
    main: bool
    subnets: tuple[str, ...]
    routes: tuple[VpcRoute, ...]


@dataclass(frozen=True, slots=True)
class GroupRule:
    """What a security group lets through. `protocol` "-1" is every one; a peer is a CIDR, a group, or something else."""

    egress: bool
    protocol: str
    low: int
    high: int
    networks: tuple[IPv4Network, ...] = ()
    groups: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Prefix lists, which name networks that we have not read."""


@dataclass(frozen=True, slots=True)
class FarEni:
    """The ENI in the VPC that holds the destination."""

    id: str
    owner: str
    """Whose it is, in EC2's words."""
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vpc:
    """What is known of the VPC; each part by itself may be unknown."""

    cidrs: tuple[IPv4Network, ...] | Unknown
    tables: tuple[VpcTable, ...] | Unknown
    groups: tuple[tuple[str, tuple[GroupRule, ...]], ...] | Unknown
    far: FarEni | Unknown | None = None
    """None: no ENI of the VPC holds the destination."""
    nat_addresses: tuple[tuple[str, IPv4Address], ...] | Unknown = ()
    """NAT gateway → its public address."""

    def rules_of(self, groups: tuple[str, ...]) -> list[GroupRule] | None:
        """All rules of these groups together; None if one of them was not read."""
        if isinstance(self.groups, Unknown):
            return None
        known = dict(self.groups)
        if any(group not in known for group in groups):
            return None
        return [rule for group in groups for rule in known[group]]
