"""What the fabric should look like: a pure function of what the region says and of which instances are here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from vpclab.fabric.eni import Link
from vpclab.fabric.nft_table import Table
from vpclab.fabric.security_groups import NO_GROUPS, security_table
from vpclab.region.values import AttachmentStatus, NetworkInterface, SecurityGroup, Subnet, Vpc


class RegionView(Protocol):
    """What the fabric reads of a region; everything by id."""

    @property
    def vpcs(self) -> Mapping[str, Vpc]:
        """All VPCs."""

    @property
    def subnets(self) -> Mapping[str, Subnet]:
        """All subnets."""

    @property
    def groups(self) -> Mapping[str, SecurityGroup]:
        """All security groups."""

    @property
    def enis(self) -> Mapping[str, NetworkInterface]:
        """All ENIs, whatever their state."""


@dataclass(frozen=True, slots=True)
class FabricState:
    """Everything below the VPC's start that comes and goes."""

    cidrs: frozenset[IPv4Network] = frozenset()
    gateways: frozenset[IPv4Address] = frozenset()
    links: Mapping[str, Link] = field(default_factory=dict)
    """By the router's device."""
    routes: Mapping[IPv4Network, str] = field(default_factory=dict)
    """Address or prefix -> the router's device of the ENI that holds it."""
    public: Mapping[IPv4Address, IPv4Address] = field(default_factory=dict)
    """Private -> public address, one to one."""
    security: Table = NO_GROUPS


def wanted(region: RegionView, vpc_id: str, instances: Collection[str]) -> FabricState:
    """The state that `vpc_id` should be in, of whose instances those in `instances` (ids) have a place.

    An ENI counts while its attachment's status is ATTACHED; one with a public address has it used only if its subnet
    routes to the internet gateway.
    """
    subnets = {id_: subnet for id_, subnet in region.subnets.items() if subnet.vpc_id == vpc_id}
    enis = {id_: eni for id_, eni in region.enis.items() if eni.vpc_id == vpc_id}
    links: dict[str, Link] = {}
    routes: dict[IPv4Network, str] = {}
    public: dict[IPv4Address, IPv4Address] = {}
    for eni in enis.values():
        attachment, subnet = eni.attachment, subnets.get(eni.subnet_id)
        if attachment is None or subnet is None or attachment.instance_id not in instances:
            continue
        if attachment.status is not AttachmentStatus.ATTACHED:
            continue
        link = Link.of(eni, attachment, public=subnet.public)
        links[link.name] = link
        routes.update(dict.fromkeys(eni.networks, link.name))
        if eni.public_ip is not None and subnet.public:
            public[eni.primary] = eni.public_ip
    return FabricState(
        cidrs=frozenset(region.vpcs[vpc_id].cidrs) if vpc_id in region.vpcs else frozenset(),
        gateways=frozenset(subnet.gateway for subnet in subnets.values()),
        links=links,
        routes=routes,
        public=public,
        security=security_table(links, enis, region.groups),
    )
