"""EC2 as a port: what the steps and the agent ask of it, met by `Ec2` and, without a network, by `FakeEc2`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from vpccni.aws.values import CreatedEni, DescribedEni, DescribedSubnet, NewEni
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.values import Block, BlockKind, EniId, SubnetId


class Ec2Port(Protocol):
    """Blocking; every failure is an Ec2Error."""

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI; just the new ones."""

    def unassign(self, eni: EniId, blocks: Iterable[Block]) -> None:
        """Give blocks back."""

    def create_eni(self, new: NewEni) -> CreatedEni:
        """A new ENI with its first blocks."""

    def attach(self, eni: EniId, instance: str, device_index: int, network_card: int) -> str:
        """Attach; the attachment's id."""

    def delete_on_termination(self, eni: EniId, attachment: str) -> None:
        """The ENI goes with the instance."""

    def detach(self, attachment: str) -> None:
        """Begin to detach."""

    def delete_eni(self, eni: EniId) -> None:
        """Delete; one that is gone already is fine."""

    def describe_enis(
        self, ids: Sequence[EniId] | None = None, *, instance: str | None = None
    ) -> tuple[DescribedEni, ...]:
        """ENIs by id or by instance, by device index; those that are gone are left out."""

    def describe_subnets(self, vpc: str, zone: str) -> tuple[DescribedSubnet, ...]:
        """The subnets of a VPC in one zone, those with the most free addresses first."""

    def describe_subnet(self, subnet: SubnetId) -> DescribedSubnet:
        """One subnet, wherever it is."""

    def stray_enis(self, vpc: str, cluster: str) -> tuple[DescribedEni, ...]:
        """ENIs of our making in the VPC that are attached to nothing."""

    def tag(self, eni: EniId, tags: Iterable[tuple[str, str]]) -> None:
        """Add tags, or change them."""

    def set_groups(self, eni: EniId, groups: Sequence[str]) -> None:
        """The ENI's security groups, all of them."""

    def instance_limits(self, instance_type: str) -> InstanceLimits:
        """What a type can hold."""
