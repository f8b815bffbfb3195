"""What a call wants of a subnet's addresses, checked whole and then taken, or refused with nothing taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.addresses import PREFIX_LENGTH, AddressSpace
from vpclab.region.errors import contradiction, invalid
from vpclab.region.values import ApiError


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of these four at most one may be given: EC2's words for what goes on an ENI beside its primary (4.2)."""

    count: int = 0
    addresses: tuple[IPv4Address, ...] = ()
    prefix_count: int = 0
    prefixes: tuple[IPv4Network, ...] = ()

    def check(self) -> None:
        """Raises ApiError for a combination or a number that EC2 refuses whatever the subnet holds."""
        if min(self.count, self.prefix_count) < 0:
            raise invalid("The number of addresses or prefixes must not be negative")
        if sum(map(bool, (self.count, self.addresses, self.prefix_count, self.prefixes))) > 1:
            raise contradiction(
                "Only one of SecondaryPrivateIpAddressCount, PrivateIpAddresses, Ipv4PrefixCount and Ipv4Prefixes may be given"
            )
        for what in (self.addresses, self.prefixes):
            if len(set(what)) < len(what):
                raise invalid("An address or prefix is given twice")
        for prefix in self.prefixes:
            if prefix.prefixlen != PREFIX_LENGTH:
                raise invalid(f"Prefix {prefix} is not a /{PREFIX_LENGTH}")

    @property
    def slots(self) -> int:
        """Slots of an ENI that this fills."""
        return self.count + len(self.addresses) + self.prefix_count + len(self.prefixes)

    @property
    def uses_prefixes(self) -> bool:
        """Whether prefixes are asked for; they need a Nitro instance."""
        return bool(self.prefix_count or self.prefixes)


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was taken."""

    addresses: tuple[IPv4Address, ...] = ()
    prefixes: tuple[IPv4Network, ...] = ()


def claim(space: AddressSpace, wanted: Wanted) -> Claimed:
    """Take from the subnet what the call adds to an existing ENI. Raises ApiError, with nothing taken."""
    check_explicit(space, (*map(IPv4Network, wanted.addresses), *wanted.prefixes))
    if wanted.prefix_count > space.free_prefixes:
        raise _no_free_prefix()
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
                f"Address {_named(network)} does not fall within the subnet's address range {space.cidr}"
            )
        if network.prefixlen == network.max_prefixlen and space.is_reserved(network.network_address):
            raise invalid(f"Address {_named(network)} is in subnet's reserved address range")
        if space.only_for_prefixes(network):
            raise invalid(f"Address {_named(network)} is in a subnet CIDR reservation for prefixes")
        if not space.is_free(network):
            raise ApiError("InvalidIPAddress.InUse", f"Address {_named(network)} is in use.")
    prefixes = {network for network in networks if network.prefixlen == PREFIX_LENGTH}
    for network in networks:
        if network not in prefixes and network.supernet(new_prefix=PREFIX_LENGTH) in prefixes:
            raise invalid(f"Address {_named(network)} lies within a prefix of the same request")


def _named(network: IPv4Network) -> str:
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _no_free_prefix() -> ApiError:
    return ApiError(
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )
