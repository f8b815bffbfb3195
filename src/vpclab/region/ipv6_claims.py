"""What a call wants of a subnet's IPv6 addresses, checked whole and then taken, or refused with nothing taken."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from vpclab.region.errors import contradiction, invalid
from vpclab.region.ipv6_space import PREFIX_LENGTH, Ipv6Space
from vpclab.region.values import ApiError, Subnet


@dataclass(frozen=True, slots=True)
class Wanted6:
    """Of these four at most one may be given; an ENI has no primary among its IPv6 addresses."""

    count: int = 0
    addresses: tuple[IPv6Address, ...] = ()
    prefix_count: int = 0
    prefixes: tuple[IPv6Network, ...] = ()

    def check(self) -> None:
        """Raises ApiError for a combination or a number that EC2 refuses whatever the subnet holds."""
        if min(self.count, self.prefix_count) < 0:
            raise invalid("The number of addresses or prefixes must not be negative")
        if sum(map(bool, (self.count, self.addresses, self.prefix_count, self.prefixes))) > 1:
            raise contradiction(
                "Only one of Ipv6AddressCount, Ipv6Addresses, Ipv6PrefixCount and Ipv6Prefixes may be given"
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
class Claimed6:
    """What was taken."""

    addresses: tuple[IPv6Address, ...] = ()
    prefixes: tuple[IPv6Network, ...] = ()


NOTHING6 = Wanted6()


def check6(space: Ipv6Space | None, subnet: Subnet, wanted: Wanted6) -> None:
    """Raises ApiError if the subnet cannot give this: no IPv6, outside of it, reserved, in use, no prefix left."""
    wanted.check()
    if not wanted.slots:
        return
    if space is None:
        raise invalid(f"The subnet '{subnet.id}' has no IPv6 CIDR block associated with it.")
    for network in (*map(IPv6Network, wanted.addresses), *wanted.prefixes):
        named = network.network_address if network.prefixlen == network.max_prefixlen else network
        if not network.subnet_of(space.cidr):
            raise invalid(f"Address {named} does not fall within the subnet's address range {space.cidr}")
        if network.prefixlen == network.max_prefixlen and space.is_reserved(network.network_address):
            raise invalid(f"Address {named} is in subnet's reserved address range")
        if not space.is_free(network):
            raise ApiError("InvalidIPAddress.InUse", f"Address {named} is in use.")
    if wanted.prefix_count > space.free_prefixes:
        raise ApiError(
            "InsufficientCidrBlocks",
            "The specified subnet does not have enough free cidr blocks to satisfy the request.",
        )


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
