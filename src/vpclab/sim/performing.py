"""One action of the pool, from the asking to the outcome, as vpccni.agent.carry_out has it done on a node."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from vpccni.ipam.actions import (
    Action,
    AssignAddresses,
    Assigned,
    Attached,
    AttachEni,
    Detached,
    DetachEni,
    Failed,
    FindSubnets,
    FoundSubnets,
    Outcome,
    ReleaseAddresses,
    Released,
)
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.subnets import choose
from vpccni.ipam.values import AttachedEni, Block, Eni, EniId, SubnetId, SubnetOffer
from vpclab.region.region import Region
from vpclab.region.values import AttachmentStatus, Instance, NetworkInterface
from vpclab.sim.client import NO_SUCH_ENI, CallError, NodeEc2, blocks_of
from vpclab.sim.eni_steps import attach_new_eni, remove_eni
from vpclab.sim.events import Work

DEVICE_WAIT, DEVICE_LOOK = 60.0, 0.25
"""Seconds for an ENI's device to appear, and between looks for it: no call, the kernel tells."""
NOT_ASSIGNED = "InvalidParameterValue"
"""What EC2 says to an address that is not on the ENI (any more), among other things."""


@dataclass(frozen=True, slots=True)
class Performer:
    """What a node needs to carry actions out."""

    region: Region
    instance: Instance
    ec2: NodeEc2
    groups: tuple[str, ...]
    cluster: str = ""
    """Whose subnets may be used."""

    def perform(self, action: Action) -> Work[Outcome]:
        """What came of the action; a failure is an outcome too."""
        try:
            return (yield from self._do(action))
        except CallError as error:
            return Failed(action, error.refusal)

    def _do(self, action: Action) -> Work[Outcome]:
        match action:
            case AssignAddresses():
                return Assigned(action, (yield from self._assign(action)))
            case AttachEni():
                return (yield from self._attach(action))
            case ReleaseAddresses():
                yield from self._release(action)
                return Released(action)
            case DetachEni():
                yield from remove_eni(self.ec2, action.eni)
                return Detached(action)
            case FindSubnets():
                found = yield from self.ec2.describe_subnets(self.instance.vpc_id, self.instance.zone)
                described = [(SubnetOffer(SubnetId(s.id), s.cidr, free), s.tags) for s, free in found]
                chosen = choose(described, primary=SubnetId(self.instance.subnet_id), cluster=self.cluster)
                return FoundSubnets(action, *chosen)

    def _assign(self, action: AssignAddresses) -> Work[tuple[Block, ...]]:
        """As many as were asked for, or one."""
        try:
            return (yield from self.ec2.assign(action.eni, action.count, action.kind))
        except CallError as error:
            full = error.refusal.reason in {Reason.SUBNET_FULL, Reason.NO_FREE_PREFIX}
            if action.count == 1 or not full:
                raise
        return (yield from self.ec2.assign(action.eni, 1, action.kind))

    def _release(self, action: ReleaseAddresses) -> Work[None]:
        """What the ENI does not hold (any more) is fine."""
        try:
            yield from self.ec2.unassign(action.eni, action.blocks)
        except CallError as error:
            if error.code == NO_SUCH_ENI:
                return
            if error.code != NOT_ASSIGNED:
                raise
            found = yield from self.ec2.describe_enis([action.eni])
            held = {block for seen in found for block in blocks_of(seen.secondary, seen.prefixes)}
            left = tuple(block for block in action.blocks if block in held)
            if left == action.blocks:
                raise
            if left:
                yield from self.ec2.unassign(action.eni, left)

    def _attach(self, action: AttachEni) -> Work[Outcome]:
        subnet = action.subnet or SubnetId(self.instance.subnet_id)
        yield from self.ec2.see_primary(EniId(self.region.primary_eni(self.instance.id).id))
        created = yield from attach_new_eni(self.ec2, self.instance.id, subnet, self.groups, action)
        if not (yield from self.device_of(created.id)):
            with contextlib.suppress(CallError):  # it stays attached, and the next look finds it
                yield from remove_eni(self.ec2, EniId(created.id))
            return Failed(action, Refusal(Reason.ENI_NOT_VISIBLE, f"{created.id} has no device"))
        eni = eni_of(self.region, created, action.device_index, action.network_card)
        return Attached(action, AttachedEni(eni, blocks_of(created.secondary, created.prefixes)))

    def device_of(self, eni: str, patience: float = DEVICE_WAIT) -> Work[bool]:
        """Wait for the ENI's device; False if it did not come."""
        until = self.ec2.now + patience
        while not self.has_device(eni):
            if self.ec2.now >= until:
                return False
            yield DEVICE_LOOK
        return True

    def has_device(self, eni: str) -> bool:
        """Whether the node's kernel has the ENI's device."""
        known = self.region.enis.get(eni)
        at = known.attachment if known is not None else None
        return (
            at is not None and at.instance_id == self.instance.id and at.status is AttachmentStatus.ATTACHED
        )


def eni_of(region: Region, seen: NetworkInterface, device_index: int, network_card: int = 0) -> Eni:
    """What does not change about an ENI."""
    return Eni(
        id=EniId(seen.id),
        mac=seen.mac,
        device_index=device_index,
        subnet_id=SubnetId(seen.subnet_id),
        subnet_cidr=region.subnet(seen.subnet_id).cidr,
        primary_address=seen.primary,
        network_card=network_card,
        is_primary=device_index == 0 and network_card == 0,
    )


def attached_eni(region: Region, seen: NetworkInterface) -> AttachedEni:
    """An ENI that is on an instance, with what it holds, as some source saw it."""
    at = seen.attachment
    if at is None:
        raise ValueError(f"{seen.id} is attached to nothing")
    return AttachedEni(
        eni_of(region, seen, at.device_index, at.network_card), blocks_of(seen.secondary, seen.prefixes)
    )
