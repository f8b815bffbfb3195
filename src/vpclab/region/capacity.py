"""What an instance's type lets it hold: ENIs per card, slots per ENI, prefixes."""

from __future__ import annotations

from collections.abc import Callable

from vpccni.ipam.limits import InstanceLimits
from vpclab.region.errors import invalid
from vpclab.region.tables import Tables
from vpclab.region.values import ApiError, Instance, NetworkInterface

LimitsOf = Callable[[str], InstanceLimits | None]


class Capacity:
    """The limits of types, looked up once each."""

    def __init__(self, tables: Tables, limits_of: LimitsOf) -> None:
        self._tables = tables
        self._limits_of = limits_of
        self._known: dict[str, InstanceLimits] = {}

    def of(self, instance_type: str) -> InstanceLimits:
        """The limits of a type. Raises ApiError: InvalidParameterValue for an unknown one."""
        if instance_type not in self._known:
            limits = self._limits_of(instance_type)
            if limits is None:
                raise invalid(f"Invalid value '{instance_type}' for InstanceType.")
            self._known[instance_type] = limits
        return self._known[instance_type]

    def check_attach(self, instance: Instance, device_index: int, network_card: int) -> None:
        """Whether a place is there and free. Raises ApiError: AttachmentLimitExceeded, InvalidParameterValue."""
        limits = self.of(instance.type)
        most = next((card.max_enis for card in limits.network_cards if card.index == network_card), None)
        if most is None:
            raise invalid(
                f"Network card index {network_card} is not valid for instance type {instance.type}."
            )
        held = [
            eni.attachment
            for eni in (self._tables.enis[key] for key in self._tables.enis_by_instance[instance.id])
            if eni.attachment is not None and eni.attachment.network_card == network_card
        ]
        if device_index < 0:
            raise invalid(f"Device index {device_index} must not be negative.")
        if any(attachment.device_index == device_index for attachment in held):
            raise invalid(
                f"Instance '{instance.id}' already has an interface attached at device index '{device_index}'."
            )
        if len(held) >= most:
            raise ApiError(
                "AttachmentLimitExceeded",
                f"Interface count {len(held) + 1} exceeds the limit for {instance.type}",
            )

    def check_slots(self, instance: Instance, used: int, *, prefixes: bool) -> None:
        """Whether an ENI may hold this many addresses and prefixes, its primary included.

        Raises ApiError: PrivateIpAddressLimitExceeded, InvalidParameterValue for prefixes on a type without them.
        """
        limits = self.of(instance.type)
        if prefixes and not limits.supports_prefixes:
            raise invalid(
                f"Instance type {instance.type} does not support IPv4 prefixes: only Nitro instances do."
            )
        if used > limits.ipv4_per_eni:
            raise ApiError("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")

    def check_ipv6_slots(self, instance: Instance, used: int, *, prefixes: bool) -> None:
        """The same of IPv6, of which an ENI may hold as many as of IPv4 (EC2 user guide, IP addresses per ENI).

        Raises ApiError: InvalidParameterValue.
        """
        limits = self.of(instance.type)
        if prefixes and not limits.supports_prefixes:
            raise invalid(
                f"Instance type {instance.type} does not support IPv6 prefixes: only Nitro instances do."
            )
        if used > limits.ipv4_per_eni:
            raise invalid(
                f"The number of IPv6 addresses and prefixes ({used}) exceeds the limit of {limits.ipv4_per_eni} "
                f"for {instance.type}."
            )


def slots_used(eni: NetworkInterface) -> int:
    """Places taken on an ENI, the primary address included."""
    return 1 + len(eni.secondary) + len(eni.prefixes)
