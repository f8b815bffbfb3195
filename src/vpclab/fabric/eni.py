"""An attached ENI as a link: a veth pair between the router and the instance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from vpclab.fabric.devices import ENI, FABRIC_MAC, GATEWAY6, JUMBO, NODE_END, device
from vpclab.fabric.namespaces import Namespaces, Place, veth
from vpclab.region.values import Attachment, NetworkInterface, Subnet


@dataclass(frozen=True, slots=True)
class Link:
    """What the fabric knows of an attached ENI, apart from its addresses."""

    eni_id: str
    instance_id: str
    device: str
    mac: str
    source_check: bool = True
    table: int = 0
    """The number of its subnet's route table; 0: there is none."""

    @classmethod
    def of(cls, eni: NetworkInterface, owner: str, at: str, table: int) -> Self:
        """The link of an ENI that is this device of that owner (an instance, or what AWS runs by itself)."""
        return cls(eni.id, owner, at, eni.mac, eni.source_dest_check, table)

    @property
    def name(self) -> str:
        """The router's end."""
        return device(ENI, self.eni_id)

    def same_wire(self, other: Link) -> bool:
        """Whether the veth pair of one serves the other."""
        mine = (self.eni_id, self.instance_id, self.device, self.mac)
        return mine == (other.eni_id, other.instance_id, other.device, other.mac)

    def create(self, instance: Namespaces) -> Iterator[str]:
        """`ip -batch` lines; the instance's end is down and has no address."""
        yield veth(self.name, self.device, instance, JUMBO, (FABRIC_MAC, self.mac))
        yield f"link set {self.name} up"
        yield f"neigh replace {NODE_END} lladdr {self.mac} dev {self.name} nud permanent"

    def sysctls(self) -> dict[str, int]:
        """The router's settings for it: ARP answered at once, strict reverse path = source check."""
        return {
            f"net/ipv4/neigh/{self.name}/proxy_delay": 0,
            f"net/ipv4/conf/{self.name}/proxy_arp": 1,
            f"net/ipv4/conf/{self.name}/rp_filter": int(self.source_check),
        }


def device_name(attachment: Attachment) -> str:
    """The device on the instance: ethN for device index N; further network cards are told apart."""
    card = f"c{attachment.network_card}" if attachment.network_card else ""
    return f"eth{attachment.device_index}{card}"


async def configure_primary(place: Place, eni: NetworkInterface, subnet: Subnet, *, mtu: int = JUMBO) -> None:
    """What an instance's own boot does (DHCP on eth0): address, default route, and forwarding as on an EKS AMI.

    Raises:
        CommandError: eth0 is not there yet (was `Fabric.sync` awaited after `add_instance`?), or is configured already.
    """
    await place.sysctl({"net/ipv4/ip_forward": 1})
    # What EC2 tells of IPv6 by DHCPv6 and router advertisements; nothing is asked on the link itself.
    ipv6 = [
        line
        for address in eni.ipv6
        for line in (
            f"addr replace {address}/128 dev eth0 nodad",
            f"route replace ::/0 via {GATEWAY6} dev eth0",
        )
    ]
    await place.ip(
        (
            "link set lo up",
            f"link set eth0 mtu {mtu} up",
            f"addr replace {eni.primary}/{subnet.cidr.prefixlen} brd {subnet.cidr.broadcast_address} dev eth0",
            f"route replace default via {subnet.gateway} dev eth0",
            *ipv6,
        )
    )
