"""What a call wants of a subnet's IPv6 addresses, checked whole and then taken, or refused with nothing taken."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from vpclab.region.errors import invalid
from vpclab.region.ipv6_space import PREFIX_LENGTH, Ipv6Space
from vpclab.region.values import ApiError, Subnet
from vpclab.region.wants import Taken, Wants, name_of, no_free_prefix


@dataclass(frozen=True, slots=True)
class Wanted6(Wants[IPv6Address, IPv6Network]):
    """What goes on an ENI; it has no primary among its IPv6 addresses."""

    PREFIX_LENGTH = PREFIX_LENGTH
    NAMES = "Ipv6AddressCount, Ipv6Addresses, Ipv6PrefixCount and Ipv6Prefixes"


@dataclass(frozen=True, slots=True)
class Claimed6(Taken[IPv6Address, IPv6Network]):
    """What was taken."""


NOTHING6 = Wanted6()


def check6(space: Ipv6Space | None, subnet: Subnet, wanted: Wanted6) -> None:
    """Raises ApiError if the subnet cannot give this: no IPv6, outside of it, reserved, in use, no prefix left."""
    wanted.check()
    if not wanted.slots:
        return
    if space is None:
        raise invalid(f"The subnet '{subnet.id}' has no IPv6 CIDR block associated with it.")
    for network in (*map(IPv6Network, wanted.addresses), *wanted.prefixes):
        named = name_of(network)
        if not network.subnet_of(space.cidr):
            raise invalid(f"Address {named} does not fall within the subnet's address range {space.cidr}")
        if network.prefixlen == network.max_prefixlen and space.is_reserved(network.network_address):
            raise invalid(f"Address {named} is in subnet's reserved address range")
        if not space.is_free(network):
            raise ApiError("InvalidIPAddress.InUse", f"Address {named} is in use.")
    if wanted.prefix_count > space.free_prefixes:
        raise no_free_prefix()


def claim6(space: Ipv6Space | None, wanted: Wanted6) -> Claimed6:
    """Take it, after `check6`."""
    if space is None:
        return Claimed6()
    for network in (*map(IPv6Network, wanted.addresses), *wanted.prefixes):
        space.take(network)
    return Claimed6(
        wanted.addresses + space.take_lowest(wanted.count),
        wanted.prefixes + space.take_lowest_prefixes(wanted.prefix_count),
    )
