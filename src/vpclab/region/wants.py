"""What a call may want of a subnet's addresses, of either family: what can be judged before the subnet is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import ClassVar, Generic, TypeVar

from vpclab.region.errors import contradiction, invalid
from vpclab.region.values import ApiError

A = TypeVar("A", IPv4Address, IPv6Address)
N = TypeVar("N", IPv4Network, IPv6Network)


@dataclass(frozen=True, slots=True)
class Wants(Generic[A, N]):
    """Of these four at most one may be given."""

    PREFIX_LENGTH: ClassVar[int]
    """Of the prefixes that EC2 gives."""
    NAMES: ClassVar[str]
    """EC2's words for the four."""

    count: int = 0
    addresses: tuple[A, ...] = ()
    prefix_count: int = 0
    prefixes: tuple[N, ...] = ()

    def check(self) -> None:
        """Raises ApiError for a combination or a number that EC2 refuses whatever the subnet holds."""
        if min(self.count, self.prefix_count) < 0:
            raise invalid("The number of addresses or prefixes must not be negative")
        if sum(map(bool, (self.count, self.addresses, self.prefix_count, self.prefixes))) > 1:
            raise contradiction(f"Only one of {self.NAMES} may be given")
        if len(set(self.addresses)) < len(self.addresses) or len(set(self.prefixes)) < len(self.prefixes):
            raise invalid("An address or prefix is given twice")
        for prefix in self.prefixes:
            if prefix.prefixlen != self.PREFIX_LENGTH:
                raise invalid(f"Prefix {prefix} is not a /{self.PREFIX_LENGTH}")

    @property
    def slots(self) -> int:
        """Slots of an ENI that this fills."""
        return self.count + len(self.addresses) + self.prefix_count + len(self.prefixes)

    @property
    def uses_prefixes(self) -> bool:
        """Whether prefixes are asked for; they need a Nitro instance."""
        return bool(self.prefix_count or self.prefixes)


@dataclass(frozen=True, slots=True)
class Taken(Generic[A, N]):
    """What a call got."""

    addresses: tuple[A, ...] = ()
    prefixes: tuple[N, ...] = ()


def name_of(network: IPv4Network | IPv6Network) -> str:
    """An address as one, a prefix as one."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def no_free_prefix() -> ApiError:
    """The subnet has no free aligned prefix."""
    return ApiError(
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )
