"""Elastic IP addresses: public addresses of the account's own, given to any private address of an ENI."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.errors import invalid, not_found
from vpclab.region.routing import ElasticAddress
from vpclab.region.tables import Tables
from vpclab.region.values import NO_TAGS, ApiError, Resource, Tags, frozen


class ElasticAddresses:
    """Operations on them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def allocate(self, *, tags: Tags = NO_TAGS) -> ElasticAddress:
        """One from the region's pool. Raises ApiError: AddressLimitExceeded."""
        if not self._tables.public_pool.free:
            raise ApiError("AddressLimitExceeded", "The region has no public address left.")
        address = self._tables.public_pool.take_lowest(1)[0]
        return self._put(ElasticAddress(self._tables.new_id("eipalloc"), address, tags=frozen(tags)))

    def get(self, allocation_id: str) -> ElasticAddress:
        """By id. Raises ApiError: InvalidAllocationID.NotFound."""
        try:
            return self._tables.elastic[allocation_id]
        except KeyError:
            raise not_found(allocation_id, "eipalloc") from None

    def associate(
        self,
        allocation_id: str,
        eni_id: str,
        private_ip: IPv4Address | None = None,
        *,
        allow_reassociation: bool = True,
    ) -> ElasticAddress:
        """Give it to a private address of an ENI (None: the primary one); whatever was there goes back.

        Raises ApiError: InvalidAllocationID.NotFound, InvalidNetworkInterfaceID.NotFound, Resource.AlreadyAssociated,
        InvalidParameterValue (not an address of that ENI).
        """
        elastic = self.get(allocation_id)
        if eni_id not in self._tables.enis:
            raise not_found(eni_id, "eni")
        eni = self._tables.enis[eni_id]
        private = eni.primary if private_ip is None else private_ip
        if private != eni.primary and private not in eni.secondary:
            raise invalid(f"The address {private} is not assigned to interface {eni_id}")
        if elastic.association:
            if not allow_reassociation:
                raise ApiError(
                    "Resource.AlreadyAssociated",
                    f"resource {allocation_id} is already associated with associate-id {elastic.association}",
                )
            self._free(elastic)
        self._clear(eni_id, private)
        if private == eni.primary:
            eni = self._tables.enis[eni_id]
            self._tables.release_auto_assigned(eni)
            self._tables.put_eni(replace(eni, public_ip=elastic.public_ip))
        return self._put(
            replace(elastic, association=self._tables.new_id("eipassoc"), eni_id=eni_id, private_ip=private)
        )

    def disassociate(self, association: str) -> None:
        """Take it from its private address. Raises ApiError: InvalidAssociationID.NotFound."""
        elastic = next((e for e in self._tables.elastic.values() if e.association == association), None)
        if elastic is None or not association:
            raise not_found(association, "eipassoc")
        self._free(elastic)

    def release(self, allocation_id: str) -> None:
        """Give it back to the pool. Raises ApiError: InvalidAllocationID.NotFound, InvalidIPAddress.InUse."""
        elastic = self.get(allocation_id)
        if elastic.association:
            raise ApiError("InvalidIPAddress.InUse", f"Address {elastic.public_ip} is in use.")
        del self._tables.elastic[allocation_id]
        self._tables.public_pool.release((IPv4Network(elastic.public_ip),))
        self._tables.note(Resource.ELASTIC_IP, allocation_id)

    def _clear(self, eni_id: str, private: IPv4Address) -> None:
        for other in tuple(self._tables.elastic.values()):
            if other.eni_id == eni_id and other.private_ip == private:
                self._free(other)

    def _free(self, elastic: ElasticAddress) -> None:
        eni = self._tables.enis.get(elastic.eni_id)
        if eni is not None and eni.public_ip == elastic.public_ip:
            self._tables.put_eni(replace(eni, public_ip=None))
        self._put(replace(elastic, association="", eni_id="", private_ip=None))

    def _put(self, elastic: ElasticAddress) -> ElasticAddress:
        self._tables.elastic[elastic.id] = elastic
        self._tables.note(Resource.ELASTIC_IP, elastic.id)
        return elastic
