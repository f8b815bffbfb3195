"""The addresses of an ENI: secondaries and prefixes put on it and taken off."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from vpclab.region.capacity import Capacity, slots_used
from vpclab.region.claims import Claimed, Wanted, check_explicit, claim
from vpclab.region.enis import Interfaces
from vpclab.region.errors import contradiction, invalid
from vpclab.region.tables import Tables
from vpclab.region.values import NetworkInterface


class EniAddresses:
    """Operations on them."""

    def __init__(self, tables: Tables, interfaces: Interfaces, capacity: Capacity) -> None:
        self._tables = tables
        self._interfaces = interfaces
        self._capacity = capacity

    def assign(self, eni_id: str, wanted: Wanted, *, allow_reassignment: bool = False) -> Claimed:
        """Put addresses or prefixes on an ENI; what is returned is only what is new on it.

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, PrivateIpAddressLimitExceeded (of the type of the instance
        that it is on), InsufficientFreeAddressesInSubnet, InsufficientCidrBlocks, InvalidParameterValue,
        InvalidParameterCombination.
        """
        wanted.check()
        if not wanted.slots:
            raise contradiction(
                "One of SecondaryPrivateIpAddressCount, PrivateIpAddresses, Ipv4PrefixCount and Ipv4Prefixes must be given"
            )
        eni = self._interfaces.named(eni_id)
        if eni.attachment is not None:
            instance = self._tables.instances[eni.attachment.instance_id]
            self._capacity.check_slots(
                instance, slots_used(eni) + wanted.slots, prefixes=wanted.uses_prefixes
            )
        space = self._tables.spaces[eni.subnet_id]
        moves = self._moves(eni, wanted.addresses, allowed=allow_reassignment)
        # Everything is checked before anything moves: a refused call changes nothing.
        check_explicit(
            space, tuple(IPv4Network(address) for address in wanted.addresses if address not in moves)
        )
        for address, holder in moves.items():
            self.unassign(holder, addresses=(address,))
        claimed = claim(space, wanted)
        self._tables.put_eni(
            replace(
                eni, secondary=eni.secondary + claimed.addresses, prefixes=eni.prefixes + claimed.prefixes
            )
        )
        return claimed

    def unassign(
        self, eni_id: str, *, addresses: tuple[IPv4Address, ...] = (), prefixes: tuple[IPv4Network, ...] = ()
    ) -> NetworkInterface:
        """Give addresses and prefixes back to the subnet.

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidParameterValue if one is the primary or not on the ENI.
        """
        eni = self._interfaces.get(eni_id)
        if not addresses and not prefixes:
            raise contradiction("PrivateIpAddresses or Ipv4Prefixes must be given")
        if eni.primary in addresses:
            raise invalid(f"The primary address {eni.primary} of interface {eni_id} cannot be unassigned")
        strange = [
            str(what)
            for what in (*addresses, *prefixes)
            if what not in eni.secondary and what not in eni.prefixes
        ]
        if strange:
            raise invalid(f"Some of [{', '.join(strange)}] addresses are not assigned to interface {eni_id}")
        gone = (*map(IPv4Network, dict.fromkeys(addresses)), *dict.fromkeys(prefixes))
        self._tables.spaces[eni.subnet_id].release(gone)
        return self._tables.put_eni(
            replace(
                eni,
                secondary=tuple(address for address in eni.secondary if address not in addresses),
                prefixes=tuple(prefix for prefix in eni.prefixes if prefix not in prefixes),
            )
        )

    def _moves(
        self, eni: NetworkInterface, addresses: tuple[IPv4Address, ...], *, allowed: bool
    ) -> dict[IPv4Address, str]:
        """Those of the addresses that another ENI holds, with its id. Raises ApiError if one may not move."""
        moves: dict[IPv4Address, str] = {}
        for address in addresses:
            holder = self._tables.holder(eni.subnet_id, address)
            if holder is None:
                continue
            if not allowed or holder.id == eni.id or address not in holder.secondary:
                raise invalid(f"[{address}] assigned, but move is not allowed.")
            moves[address] = holder.id
        return moves
