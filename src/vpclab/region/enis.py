"""Elastic network interfaces: made, put on instances, taken off, changed, deleted; their addresses are eni_addresses.py's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from vpclab.region.capacity import Capacity, slots_used
from vpclab.region.claims import Wanted, claim_new
from vpclab.region.errors import contradiction, incorrect_state, invalid, not_found
from vpclab.region.ipv6_claims import NOTHING6, Wanted6, check6, claim6
from vpclab.region.security_groups import SecurityGroups
from vpclab.region.tables import Tables
from vpclab.region.values import (
    NO_TAGS,
    ApiError,
    Attachment,
    AttachmentStatus,
    EniStatus,
    InstanceState,
    NetworkInterface,
    Tags,
    frozen,
)

NOTHING = Wanted()
ATTACHED, DETACHED = "eni-attached", "eni-detached"


class Interfaces:
    """Operations on them."""

    def __init__(self, tables: Tables, groups: SecurityGroups, capacity: Capacity) -> None:
        self._tables = tables
        self._groups = groups
        self._capacity = capacity
        tables.schedule.means(ATTACHED, self._attached)
        tables.schedule.means(DETACHED, self._detached)

    def get(self, eni_id: str) -> NetworkInterface:
        """By id. Raises ApiError: InvalidNetworkInterfaceID.NotFound."""
        try:
            return self._tables.enis[eni_id]
        except KeyError:
            raise not_found(eni_id, "eni") from None

    def named(self, eni_id: str) -> NetworkInterface:
        """As `get`, for a call that names it: one made just now may not be found yet (Delays.unknown)."""
        if self._tables.propagation.unknown(eni_id, self._tables.now):
            raise not_found(eni_id, "eni")
        return self.get(eni_id)

    def create(
        self,
        subnet_id: str,
        *,
        groups: Sequence[str] = (),
        private_ip: IPv4Address | None = None,
        wanted: Wanted = NOTHING,
        wanted6: Wanted6 = NOTHING6,
        description: str = "",
        tags: Tags = NO_TAGS,
    ) -> NetworkInterface:
        """A new ENI, available. Raises ApiError: see claims.py; InvalidSubnetID.NotFound, InvalidGroup.NotFound."""
        wanted.check()
        if subnet_id not in self._tables.subnets:
            raise not_found(subnet_id, "subnet")
        subnet = self._tables.subnets[subnet_id]
        of_groups = self._groups.for_interface(subnet.vpc_id, groups)
        if subnet.ipv6_on_creation and not (wanted6.count or wanted6.addresses):
            # Beside prefixes it gets its address too, so this is what a call cannot say: both.
            on_creation = Wanted6(count=1)
        else:
            on_creation = NOTHING6
        space6 = self._tables.ipv6_spaces.get(subnet_id)
        check6(space6, subnet, wanted6)
        primary, claimed = claim_new(self._tables.spaces[subnet_id], private_ip, wanted)
        claimed6, first6 = claim6(space6, wanted6), claim6(space6, on_creation)
        return self._tables.put_eni(
            NetworkInterface(
                id=self._tables.new_id("eni"),
                mac=self._tables.new_mac(),
                vpc_id=subnet.vpc_id,
                subnet_id=subnet_id,
                zone=subnet.zone,
                primary=primary,
                secondary=claimed.addresses,
                prefixes=claimed.prefixes,
                groups=of_groups,
                description=description,
                tags=frozen(tags),
                ipv6=first6.addresses + claimed6.addresses,
                ipv6_prefixes=claimed6.prefixes,
            )
        )

    def attach(
        self, eni_id: str, instance_id: str, device_index: int, *, network_card: int = 0
    ) -> Attachment:
        """Put an available ENI on an instance: attaching, and after a drawn delay attached.

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidInstanceID.NotFound, InvalidNetworkInterface.InUse,
        AttachmentLimitExceeded, PrivateIpAddressLimitExceeded, IncorrectState, InvalidParameterValue,
        InvalidParameterCombination (other zone).
        """
        eni = self.named(eni_id)
        try:
            instance = self._tables.instances[instance_id]
        except KeyError:
            raise not_found(instance_id, "i") from None
        if instance.state not in (InstanceState.PENDING, InstanceState.RUNNING, InstanceState.STOPPED):
            raise incorrect_state(
                f"Instance '{instance_id}' is {instance.state.value}, not running or stopped."
            )
        if eni.status is not EniStatus.AVAILABLE:
            raise ApiError("InvalidNetworkInterface.InUse", f"Interface: [{eni_id}] in use.")
        if eni.zone != instance.zone:
            raise contradiction(
                "You may not attach a network interface to an instance if they are not in the same availability zone"
            )
        if eni.vpc_id != instance.vpc_id:
            raise invalid(
                "You may not attach a network interface to an instance if they are not in the same VPC"
            )
        self._capacity.check_attach(instance, device_index, network_card)
        self._capacity.check_slots(instance, slots_used(eni), prefixes=bool(eni.prefixes))
        self._capacity.check_ipv6_slots(instance, len(eni.ipv6_networks), prefixes=bool(eni.ipv6_prefixes))
        attachment = Attachment(
            id=self._tables.new_id("eni-attach"),
            instance_id=instance_id,
            device_index=device_index,
            network_card=network_card,
            status=AttachmentStatus.ATTACHING,
            attached_at=self._tables.now,
        )
        delay = self._tables.delay(self._tables.delays.attach)
        self._tables.put_eni(replace(eni, status=EniStatus.ATTACHING, attachment=attachment))
        self._tables.after(delay, ATTACHED, attachment.id)
        settled = self.get(eni_id).attachment
        return attachment if settled is None else settled

    def detach(self, attachment_id: str, *, force: bool = False) -> Attachment:
        """Take an ENI off its instance: detaching, and after a drawn delay (forced: at once) available.

        Raises ApiError: InvalidAttachmentID.NotFound, OperationNotPermitted (the primary), IncorrectState.
        """
        eni, attachment = self._attachment(attachment_id)
        if attachment.device_index == 0 and attachment.network_card == 0:
            raise ApiError(
                "OperationNotPermitted",
                "The network interface at device index 0 and networkCard index 0 cannot be detached.",
            )
        if attachment.status is not AttachmentStatus.ATTACHED and not force:
            raise incorrect_state(
                f"The attachment '{attachment_id}' is {attachment.status.value}, not attached."
            )
        detaching = replace(attachment, status=AttachmentStatus.DETACHING)
        self._tables.put_eni(replace(eni, status=EniStatus.DETACHING, attachment=detaching))
        delay = 0.0 if force else self._tables.delay(self._tables.delays.detach)
        self._tables.after(delay, DETACHED, attachment_id)
        return detaching

    def delete(self, eni_id: str) -> None:
        """Delete an available ENI. Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidParameterValue (in use)."""
        eni = self.get(eni_id)
        if eni.status is not EniStatus.AVAILABLE:
            raise invalid(f"Network interface '{eni_id}' is currently in use.")
        self._tables.drop_eni(eni)

    def modify(
        self,
        eni_id: str,
        *,
        description: str | None = None,
        groups: Sequence[str] | None = None,
        source_dest_check: bool | None = None,
        delete_on_termination: tuple[str, bool] | None = None,
    ) -> NetworkInterface:
        """Change what is given; `delete_on_termination` is (attachment id, value).

        Raises ApiError: InvalidNetworkInterfaceID.NotFound, InvalidAttachmentID.NotFound, InvalidGroup.NotFound.
        """
        eni = self.named(eni_id)
        if delete_on_termination is not None:
            attachment_id, delete = delete_on_termination
            if eni.attachment is None or eni.attachment.id != attachment_id:
                raise not_found(attachment_id, "eni-attach")
            eni = replace(eni, attachment=replace(eni.attachment, delete_on_termination=delete))
        if groups is not None:
            eni = replace(eni, groups=self._groups.for_interface(eni.vpc_id, groups))
        if description is not None:
            eni = replace(eni, description=description)
        if source_dest_check is not None:
            eni = replace(eni, source_dest_check=source_dest_check)
        return self._tables.put_eni(eni)

    def of_instance(self, instance_id: str) -> tuple[NetworkInterface, ...]:
        """An instance's ENIs, attaching and detaching ones included, by card and device index; () if it is unknown."""
        held = (self._tables.enis[key] for key in self._tables.enis_by_instance.get(instance_id, ()))
        placed = [(eni.attachment, eni) for eni in held if eni.attachment is not None]
        placed.sort(key=lambda pair: (pair[0].network_card, pair[0].device_index))
        return tuple(eni for _, eni in placed)

    def _attachment(self, attachment_id: str) -> tuple[NetworkInterface, Attachment]:
        eni = self._tables.enis.get(self._tables.enis_by_attachment.get(attachment_id, ""))
        if eni is None or eni.attachment is None:
            raise not_found(attachment_id, "eni-attach")
        return eni, eni.attachment

    def _attached(self, attachment_id: str) -> None:
        try:
            eni, attachment = self._attachment(attachment_id)
        except ApiError:
            return  # detached by force or terminated meanwhile
        if attachment.status is AttachmentStatus.ATTACHING:
            done = replace(attachment, status=AttachmentStatus.ATTACHED)
            self._tables.put_eni(replace(eni, status=EniStatus.IN_USE, attachment=done))

    def _detached(self, attachment_id: str) -> None:
        try:
            eni, _ = self._attachment(attachment_id)
        except ApiError:
            return  # by force or by termination meanwhile
        self._tables.put_eni(replace(eni, status=EniStatus.AVAILABLE, attachment=None))
