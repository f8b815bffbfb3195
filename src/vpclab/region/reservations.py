"""Subnet CIDR reservations: ranges that EC2 gives out as prefixes only, or only when a call names the address."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from vpclab.region.addresses import PREFIX_LENGTH
from vpclab.region.errors import invalid, not_found
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Tags, frozen


class ReservationType(enum.Enum):
    """`ReservationType` of CreateSubnetCidrReservation."""

    PREFIX = "prefix"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True)
class Reservation:
    """One range of a subnet."""

    id: str
    subnet_id: str
    cidr: IPv4Network
    type: ReservationType
    description: str = ""
    tags: Tags = field(default_factory=dict, hash=False)


class Reservations:
    """Operations on them. What is assigned inside a range when it is reserved stays where it is, as with EC2."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._by_id: dict[str, Reservation] = {}

    def create(
        self,
        subnet_id: str,
        cidr: IPv4Network,
        kind: ReservationType,
        *,
        description: str = "",
        tags: Tags = NO_TAGS,
    ) -> Reservation:
        """Reserve a range.

        Raises ApiError: InvalidSubnetID.NotFound, InvalidParameterValue (outside, overlapping another, or a range for prefixes
        that is smaller than one). EC2's own codes for the latter three were not found.
        """
        subnet = self._subnet_cidr(subnet_id)
        if not cidr.subnet_of(subnet):
            raise invalid(f"CIDR {cidr} is not within the subnet's CIDR {subnet}")
        if kind is ReservationType.PREFIX and cidr.prefixlen > PREFIX_LENGTH:
            raise invalid(
                f"CIDR {cidr} is too small for prefixes: a /{PREFIX_LENGTH} at least, or the type explicit"
            )
        for other in self.of(subnet_id):
            if cidr.overlaps(other.cidr):
                raise invalid(f"CIDR {cidr} overlaps reservation {other.id} of {other.cidr}")
        made = Reservation(self._tables.new_id("scr"), subnet_id, cidr, kind, description, frozen(tags))
        self._by_id[made.id] = made
        self._apply(subnet_id)
        return made

    def delete(self, reservation_id: str) -> Reservation:
        """The range is like the rest of the subnet again. Raises ApiError: InvalidSubnetCidrReservationID.NotFound."""
        gone = self._by_id.pop(reservation_id, None)
        if gone is None:
            raise ApiError(
                "InvalidSubnetCidrReservationID.NotFound",
                f"The subnet CIDR reservation ID '{reservation_id}' does not exist",
            )
        self._apply(gone.subnet_id)
        return gone

    def of(self, subnet_id: str) -> tuple[Reservation, ...]:
        """A subnet's, in creation order. Raises ApiError: InvalidSubnetID.NotFound."""
        self._subnet_cidr(subnet_id)
        return tuple(one for one in self._by_id.values() if one.subnet_id == subnet_id)

    def forget(self, subnet_id: str) -> None:
        """The subnet is no more."""
        for reservation_id in [one.id for one in self._by_id.values() if one.subnet_id == subnet_id]:
            del self._by_id[reservation_id]

    def _apply(self, subnet_id: str) -> None:
        self._tables.spaces[subnet_id].reserve(_layout(self.of(subnet_id)))

    def _subnet_cidr(self, subnet_id: str) -> IPv4Network:
        if subnet_id not in self._tables.subnets:
            raise not_found(subnet_id, "subnet")
        return self._tables.subnets[subnet_id].cidr


def _layout(reservations: Iterable[Reservation]) -> dict[IPv4Network, bool]:
    return {one.cidr: one.type is ReservationType.PREFIX for one in reservations}
