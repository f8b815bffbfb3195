"""What the fabric is to be, as a pure function of the region: links, routes, 1:1 NAT."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, NetworkInterface

PUBLIC_TABLE = 100
"""The router's table for subnets with a route to the internet gateway."""


@dataclass(frozen=True, slots=True)
class WantedLink:
    """One attached ENI: a veth from the router into its instance."""

    device: str
    instance_id: str
    instance_device: str
    mac: str
    public: bool
    source_check: bool
    networks: frozenset[IPv4Network]


@dataclass(frozen=True, slots=True)
class FabricState:
    """Everything that follows the region, but for the security groups."""

    links: dict[str, WantedLink]
    """By device."""
    public: dict[IPv4Address, IPv4Address]
    """Private to public address."""


def device_of(eni: NetworkInterface) -> str:
    """The router's end of an ENI's veth."""
    return f"e{eni.id.removeprefix('eni-')[1:12]}"


def is_plugged(eni: NetworkInterface) -> bool:
    """Whether the device is there."""
    return eni.attachment is not None and eni.attachment.status is AttachmentStatus.ATTACHED


def wanted(region: Region) -> FabricState:
    """The state that the region asks for now."""
    plugged = [eni for eni in region.enis.values() if is_plugged(eni)]
    links = {
        device_of(eni): WantedLink(
            device=device_of(eni),
            instance_id=eni.attachment.instance_id,
            instance_device=f"eth{eni.attachment.device_index}",
            mac=eni.mac,
            public=region.subnets[eni.subnet_id].public,
            source_check=eni.source_dest_check,
            networks=frozenset(eni.networks),
        )
        for eni in plugged
        if eni.attachment is not None
    }
    return FabricState(links, {eni.primary: eni.public_ip for eni in plugged if eni.public_ip is not None})
