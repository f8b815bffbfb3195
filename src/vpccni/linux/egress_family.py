"""What is different between IPv6 egress of IPv4 pods and IPv4 egress of IPv6 pods (spec 4.9, 5.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from vpccni.ipam.values import Address, Network


@dataclass(frozen=True, slots=True)
class EgressFamily:
    """The family that pods reach by a second interface."""

    name: str
    interface: str
    """The pod's end."""
    iptables: str
    chain: str
    """How a container's chain begins."""
    subnet: Network
    """Where the pods' addresses are from (spec 1.6)."""
    router: Address
    """The host's end, to the pod."""
    multicast: str
    anywhere: Network
    reject: str

    @property
    def blocked(self) -> str:
        """As iptables-save prints the rule in filter/FORWARD that keeps others out (spec 5.2)."""
        return (
            f'-d {self.subnet} -m conntrack --ctstate NEW -m comment --comment "Block Node Local Pod access via '
            f'{self.name}" -j REJECT --reject-with {self.reject}'
        )

    @property
    def jump(self) -> re.Pattern[str]:
        """A rule that leads a pod's packets to its chain; the group is the pod's address."""
        return re.compile(rf"-s (\S+/{self.anywhere.max_prefixlen}) .* -j {self.chain}[0-9a-f]+\Z")


IPV6 = EgressFamily(
    name="IPv6",
    interface="v6if0",
    iptables="ip6tables",
    chain="CNI-E6-",
    subnet=IPv6Network("fd00::ac:0/118"),
    router=IPv6Address("fe80::1"),
    multicast="ff00::/8",
    anywhere=IPv6Network("::/0"),
    reject="icmp6-port-unreachable",
)
IPV4 = EgressFamily(
    name="IPv4",
    interface="v4if0",
    iptables="iptables",
    chain="CNI-E4-",
    subnet=IPv4Network("169.254.172.0/22"),
    router=IPv4Network("169.254.172.0/22")[1],
    multicast="224.0.0.0/4",
    anywhere=IPv4Network("0.0.0.0/0"),
    reject="icmp-port-unreachable",
)


def egress_family(address: Address) -> EgressFamily:
    """By one of its addresses."""
    return IPV4 if address.version == 4 else IPV6
