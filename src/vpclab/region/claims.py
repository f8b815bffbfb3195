"""What a call wants of a subnet's addresses, checked whole and then taken, or refused with nothing taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.addresses import PREFIX_LENGTH, AddressSpace
from vpclab.region.errors import invalid
from vpclab.region.values import ApiError
from vpclab.region.wants import Taken, Wants, name_of, no_free_prefix


@dataclass(frozen=True, slots=True)
class Wanted(Wants[IPv4Address, IPv4Network]):
    """What goes on an ENI beside its primary (4.2)."""

    PREFIX_LENGTH = PREFIX_LENGTH
    NAMES = "SecondaryPrivateIpAddressCount, PrivateIpAddresses, Ipv4PrefixCount and Ipv4Prefixes"


@dataclass(frozen=True, slots=True)
class Claimed(Taken[IPv4Address, IPv4Network]):
    """What was taken."""


def claim(space: AddressSpace, wanted: Wanted) -> Claimed:
    """Take from the subnet what the call adds to an existing ENI. Raises ApiError, with nothing taken."""
    check_explicit(space, (*map(IPv4Network, wanted.addresses), *wanted.prefixes))
    if wanted.prefix_count > space.free_prefixes:
        raise no_free_prefix()
    if wanted.count > space.free_to_choose:
        raise ApiError(
            "InsufficientFreeAddressesInSubnet",
            "The specified subnet does not have enough free addresses to satisfy the request.",
        )
    for network in (*map(IPv4Network, wanted.addresses), *wanted.prefixes):
        space.take(network)
    # Prefixes before addresses: the lowest free address would spoil the lowest free /28.
    prefixes = space.take_lowest_prefixes(wanted.prefix_count)
    return Claimed(
        addresses=wanted.addresses + space.take_lowest(wanted.count),
        prefixes=wanted.prefixes + prefixes,
    )


def claim_new(
    space: AddressSpace, primary: IPv4Address | None, wanted: Wanted
) -> tuple[IPv4Address, Claimed]:
    """Take what a new ENI needs, its primary address first. Raises ApiError, with nothing taken."""
    if not (space.free_to_choose if primary is None else space.free):
        raise ApiError(
            "InsufficientFreeAddressesInSubnet",
            "The specified subnet does not have enough free addresses to satisfy the request.",
        )
    if primary is not None and primary in wanted.addresses:
        raise invalid(f"Address {primary} is given twice")
    explicit = () if primary is None else (IPv4Network(primary),)
    check_explicit(space, (*explicit, *map(IPv4Network, wanted.addresses), *wanted.prefixes))
    needed = 1 + wanted.count + len(wanted.addresses) + 16 * (wanted.prefix_count + len(wanted.prefixes))
    if needed > space.free:
        raise invalid("There aren't sufficient free Ipv4 addresses or prefixes")
    if wanted.count + (primary is None) > space.free_to_choose:
        raise invalid("There aren't sufficient free Ipv4 addresses or prefixes")
    if primary is None:
        claimed = claim(space, replace(wanted, count=wanted.count + 1))
        # The lowest of those that EC2 chose; explicit ones stand before them.
        chosen = len(wanted.addresses)
        return claimed.addresses[chosen], replace(
            claimed, addresses=claimed.addresses[:chosen] + claimed.addresses[chosen + 1 :]
        )
    space.take(IPv4Network(primary))
    try:
        return primary, claim(space, wanted)
    except ApiError:
        space.release(explicit)
        raise


def check_explicit(space: AddressSpace, networks: tuple[IPv4Network, ...]) -> None:
    """Raises ApiError if one of these is outside the subnet, reserved, in use or within another of them."""
    for network in networks:
        if not network.subnet_of(space.cidr):
            raise invalid(
                f"Address {name_of(network)} does not fall within the subnet's address range {space.cidr}"
            )
        if network.prefixlen == network.max_prefixlen and space.is_reserved(network.network_address):
            raise invalid(f"Address {name_of(network)} is in subnet's reserved address range")
        if space.only_for_prefixes(network):
            raise invalid(f"Address {name_of(network)} is in a subnet CIDR reservation for prefixes")
        if not space.is_free(network):
            raise ApiError("InvalidIPAddress.InUse", f"Address {name_of(network)} is in use.")
    prefixes = {network for network in networks if network.prefixlen == PREFIX_LENGTH}
    for network in networks:
        if network not in prefixes and network.supernet(new_prefix=PREFIX_LENGTH) in prefixes:
            raise invalid(f"Address {name_of(network)} lies within a prefix of the same request")
