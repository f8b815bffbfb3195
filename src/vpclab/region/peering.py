"""VPC peering connections: two VPCs that may route to each other, and through which nobody else may."""

from __future__ import annotations

from dataclasses import replace

from vpclab.region.errors import invalid, not_found
from vpclab.region.networking import NetworkTables
from vpclab.region.routing import Peering, PeeringState
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Resource, Tags, frozen


class Peerings:
    """Operations on them."""

    def __init__(self, tables: Tables, net: NetworkTables) -> None:
        self._tables = tables
        self._net = net

    def create(self, requester: str, accepter: str, *, tags: Tags = NO_TAGS) -> Peering:
        """A request from one VPC to another; failed where their addresses overlap (peering guide).

        Raises ApiError: InvalidVpcID.NotFound, InvalidParameterValue (itself), VpcPeeringConnectionAlreadyExists.
        """
        for vpc_id in (requester, accepter):
            if vpc_id not in self._tables.vpcs:
                raise not_found(vpc_id, "vpc")
        if requester == accepter:
            raise invalid(f"A VPC cannot be peered with itself: {requester}")
        alive = (PeeringState.PENDING, PeeringState.ACTIVE)
        for other in self._net.peerings.values():
            if {other.requester, other.accepter} == {requester, accepter} and other.state in alive:
                raise ApiError(
                    "VpcPeeringConnectionAlreadyExists",
                    f"VPC peering connection {other.id} already exists for these VPCs",
                )
        mine, its = (self._tables.vpcs[vpc_id].cidrs for vpc_id in (requester, accepter))
        overlap = any(one.overlaps(other) for one in mine for other in its)
        state = PeeringState.FAILED if overlap else PeeringState.PENDING
        return self._put(Peering(self._tables.new_id("pcx"), requester, accepter, state, tags=frozen(tags)))

    def get(self, peering_id: str) -> Peering:
        """By id. Raises ApiError: InvalidVpcPeeringConnectionID.NotFound."""
        try:
            return self._net.peerings[peering_id]
        except KeyError:
            raise not_found(peering_id, "pcx") from None

    def accept(self, peering_id: str) -> Peering:
        """Make it active. Raises ApiError: InvalidVpcPeeringConnectionID.NotFound, InvalidStateTransition."""
        return self._move(peering_id, (PeeringState.PENDING, PeeringState.ACTIVE), PeeringState.ACTIVE)

    def reject(self, peering_id: str) -> Peering:
        """Refuse it. Raises ApiError as `accept`."""
        return self._move(peering_id, (PeeringState.PENDING,), PeeringState.REJECTED)

    def delete(self, peering_id: str) -> Peering:
        """End it; routes to it are black holes. Raises ApiError as `accept`."""
        return self._move(peering_id, tuple(PeeringState), PeeringState.DELETED)

    def _move(self, peering_id: str, allowed: tuple[PeeringState, ...], to: PeeringState) -> Peering:
        peering = self.get(peering_id)
        if peering.state not in allowed:
            raise ApiError(
                "InvalidStateTransition",
                f"Invalid state transition for {peering_id}, attempted to transition from {peering.state.value}"
                f" to {to.value}",
            )
        return self._put(replace(peering, state=to))

    def _put(self, peering: Peering) -> Peering:
        self._net.peerings[peering.id] = peering
        self._tables.note(Resource.PEERING, peering.id)
        return peering
