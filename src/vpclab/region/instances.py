"""Instances: launched with a primary ENI, stopped, started, rebooted, terminated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from vpclab.region.capacity import Capacity
from vpclab.region.enis import Interfaces
from vpclab.region.errors import not_found
from vpclab.region.ipv6_claims import NOTHING6, Wanted6
from vpclab.region.metadata_options import USUAL_METADATA, check_metadata
from vpclab.region.tables import Tables
from vpclab.region.values import (
    NO_TAGS,
    ApiError,
    Attachment,
    AttachmentStatus,
    EniStatus,
    Instance,
    InstanceState,
    MetadataOptions,
    NetworkInterface,
    Tags,
    frozen,
)

REMEMBERED = 3600.0
"""Seconds for which a terminated instance is still described."""
RUNNING, STOPPED, TERMINATED = "instance-running", "instance-stopped", "instance-terminated"
FORGOTTEN = "instance-forgotten"


class Instances:
    """Operations on them."""

    def __init__(self, tables: Tables, interfaces: Interfaces, capacity: Capacity) -> None:
        self._tables = tables
        self._interfaces = interfaces
        self._capacity = capacity
        tables.schedule.means(RUNNING, self._running)
        tables.schedule.means(STOPPED, self._stopped)
        tables.schedule.means(TERMINATED, self._terminated)
        tables.schedule.means(FORGOTTEN, tables.drop_instance)

    def get(self, instance_id: str) -> Instance:
        """By id. Raises ApiError: InvalidInstanceID.NotFound."""
        try:
            return self._tables.instances[instance_id]
        except KeyError:
            raise not_found(instance_id, "i") from None

    def run(
        self,
        instance_type: str,
        subnet_id: str,
        *,
        groups: Sequence[str] = (),
        name: str = "",
        tags: Tags = NO_TAGS,
        private_ip: IPv4Address | None = None,
        associate_public_ip: bool | None = None,
        wanted6: Wanted6 = NOTHING6,
        image_id: str = "",
        user_data: str = "",
        metadata: MetadataOptions = USUAL_METADATA,
    ) -> Instance:
        """Launch: a primary ENI at device index 0, deleted on termination; running after a drawn delay.

        `associate_public_ip` None means what the subnet says; `user_data` is text. Raises ApiError: InvalidParameterValue (type),
        AddressLimitExceeded (public addresses), as `check_metadata` and as creating an ENI does.
        """
        self._capacity.of(instance_type)
        check_metadata(metadata, tags)
        wants_public = associate_public_ip
        if wants_public is None and subnet_id in self._tables.subnets:
            wants_public = self._tables.subnets[subnet_id].map_public_ip_on_launch
        if wants_public and not self._tables.public_pool.free:
            raise ApiError("AddressLimitExceeded", "The region has no public address left.")
        eni = self._interfaces.create(subnet_id, groups=groups, private_ip=private_ip, wanted6=wanted6)
        if name:
            tags = {**tags, "Name": name}
        instance = self._tables.put_instance(
            Instance(
                id=self._tables.new_id("i"),
                type=instance_type,
                subnet_id=subnet_id,
                vpc_id=eni.vpc_id,
                zone=eni.zone,
                state=InstanceState.PENDING,
                launched_at=self._tables.now,
                image_id=image_id,
                user_data=user_data,
                auto_public_ip=bool(wants_public),
                metadata=metadata,
                tags=frozen(tags),
            )
        )
        attachment = Attachment(
            id=self._tables.new_id("eni-attach"),
            instance_id=instance.id,
            device_index=0,
            network_card=0,
            status=AttachmentStatus.ATTACHED,
            attached_at=self._tables.now,
            delete_on_termination=True,
        )
        public_ip = self._tables.public_pool.take_lowest(1)[0] if wants_public else None
        self._tables.put_eni(
            replace(eni, status=EniStatus.IN_USE, attachment=attachment, public_ip=public_ip)
        )
        self._launched(instance.id)
        return self.get(instance.id)

    def stop(self, instance_id: str) -> Instance:
        """Shut it down: ENIs and their private addresses stay on it, the public address that came with it does not.

        A stopped one stays stopped. Raises ApiError: InvalidInstanceID.NotFound, IncorrectInstanceState.
        """
        instance = self.get(instance_id)
        if instance.state in (InstanceState.STOPPING, InstanceState.STOPPED):
            return instance
        if instance.state is not InstanceState.RUNNING:
            raise _wrong_state(instance_id, "stopped")
        self._tables.put_instance(replace(instance, state=InstanceState.STOPPING))
        self._after(self._tables.delays.shutdown, STOPPED, instance_id)
        return self.get(instance_id)

    def start(self, instance_id: str) -> Instance:
        """Start a stopped one: pending, then running. A running one goes on.

        It gets a new public address if one came with it before and it has no second ENI (EC2 user guide, "Public IPv4
        addresses"). Raises ApiError: InvalidInstanceID.NotFound, IncorrectInstanceState, AddressLimitExceeded.
        """
        instance = self.get(instance_id)
        if instance.state in (InstanceState.PENDING, InstanceState.RUNNING):
            return instance
        if instance.state is not InstanceState.STOPPED:
            raise _wrong_state(instance_id, "started")
        enis = self._interfaces.of_instance(instance_id)
        if instance.auto_public_ip and len(enis) == 1 and enis[0].public_ip is None:
            if not self._tables.public_pool.free:
                raise ApiError("AddressLimitExceeded", "The region has no public address left.")
            public_ip = self._tables.public_pool.take_lowest(1)[0]
            self._tables.put_eni(replace(enis[0], public_ip=public_ip))
        self._tables.put_instance(
            replace(
                instance,
                state=InstanceState.PENDING,
                launched_at=self._tables.now,
                boots=instance.boots + 1,
            )
        )
        self._launched(instance_id)
        return self.get(instance_id)

    def reboot(self, instance_id: str) -> Instance:
        """Reboot it: it stays running, with all that it has. Raises ApiError: InvalidInstanceID.NotFound, IncorrectInstanceState."""
        instance = self.get(instance_id)
        if instance.state is not InstanceState.RUNNING:
            raise _wrong_state(instance_id, "rebooted")
        return self._tables.put_instance(replace(instance, boots=instance.boots + 1))

    def modify_metadata(self, instance_id: str, options: MetadataOptions) -> Instance:
        """Have its metadata service answer so, at once.

        Raises ApiError: InvalidInstanceID.NotFound, IncorrectInstanceState, and as `check_metadata` does.
        """
        instance = self.get(instance_id)
        if instance.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED):
            raise _wrong_state(instance_id, "modified")
        check_metadata(options, instance.tags)
        return self._tables.put_instance(replace(instance, metadata=options))

    def terminate(self, instance_id: str) -> Instance:
        """End it: ENIs marked so are deleted, others become available; described for an hour more.

        Terminating a terminated instance changes nothing. Raises ApiError: InvalidInstanceID.NotFound.
        """
        instance = self.get(instance_id)
        if instance.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED):
            return instance
        self._tables.put_instance(replace(instance, state=InstanceState.SHUTTING_DOWN))
        self._after(self._tables.delays.shutdown, TERMINATED, instance_id)
        return self.get(instance_id)

    def primary_eni(self, instance_id: str) -> NetworkInterface:
        """The ENI at device index 0. Raises ApiError: InvalidInstanceID.NotFound (also of a terminated one)."""
        enis = self._interfaces.of_instance(instance_id)
        if not enis:
            raise not_found(instance_id, "i")
        return enis[0]

    def _launched(self, instance_id: str) -> None:
        boots = self.get(instance_id).boots
        self._after(self._tables.delays.launch, RUNNING, instance_id, boots)

    def _after(self, delay: tuple[float, float], step: str, *arguments: Any) -> None:
        self._tables.after(self._tables.delay(delay), step, *arguments)

    def _running(self, instance_id: str, boots: int) -> None:
        instance = self._tables.instances.get(instance_id)
        if instance is not None and (instance.state, instance.boots) == (InstanceState.PENDING, boots):
            self._tables.put_instance(replace(instance, state=InstanceState.RUNNING))

    def _stopped(self, instance_id: str) -> None:
        instance = self._tables.instances.get(instance_id)
        if instance is None or instance.state is not InstanceState.STOPPING:
            return  # terminated meanwhile
        for eni in self._interfaces.of_instance(instance_id):
            elastic = any(one.public_ip == eni.public_ip for one in self._tables.elastic.values())
            if eni.public_ip is not None and not elastic:
                self._tables.release_auto_assigned(eni)
                self._tables.put_eni(replace(eni, public_ip=None))
        self._tables.put_instance(replace(instance, state=InstanceState.STOPPED))

    def _terminated(self, instance_id: str) -> None:
        instance = self.get(instance_id)
        for eni in self._interfaces.of_instance(instance_id):
            if eni.attachment is not None and eni.attachment.delete_on_termination:
                self._tables.drop_eni(eni)
            else:
                self._tables.release_public_ip(eni)
                self._tables.put_eni(
                    replace(eni, status=EniStatus.AVAILABLE, attachment=None, public_ip=None)
                )
        self._tables.after(REMEMBERED, FORGOTTEN, instance_id)
        self._tables.put_instance(replace(instance, state=InstanceState.TERMINATED))


def _wrong_state(instance_id: str, wanted: str) -> ApiError:
    return ApiError(
        "IncorrectInstanceState",
        f"The instance '{instance_id}' is not in a state from which it can be {wanted}.",
    )
