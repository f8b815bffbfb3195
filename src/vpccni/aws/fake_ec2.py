"""EC2 in memory, for tests of whatever uses `Ec2Port`: plain data, exact addresses and limits, failures as told.

    ec2 = FakeEc2({SubnetId("subnet-1"): IPv4Network("10.0.1.0/24")})
    ec2.fail("AttachNetworkInterface", "RequestLimitExceeded")
    ec2.fail("AssignPrivateIpAddresses", "Unreachable", done=True)  # carried out, the answer is lost

No network, no botocore, no time. For packets, delays and throttling there is the lab.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from vpccni.aws.errors import NO_SUCH_ENI, NOT_ENOUGH, Ec2Error, failure, unreachable
from vpccni.aws.tags import CLUSTER, INSTANCE
from vpccni.aws.values import (
    AVAILABLE,
    CreatedEni,
    DescribedEni,
    DescribedSubnet,
    EniAttachment,
    NewEni,
)
from vpccni.ipam.limits import InstanceLimits, known_limits
from vpccni.ipam.values import Block, BlockKind, EniId, SubnetId

IN_USE, DETACHING = "in-use", "detaching"
PREFIX_SIZE = BlockKind.PREFIX.addresses


@dataclass(frozen=True, slots=True)
class _Trouble:
    code: str
    message: str
    done: bool


class FakeEc2:
    """Meets `Ec2Port`. `enis` may be read and changed; `actions` is what was called, in order."""

    def __init__(
        self,
        subnets: Mapping[SubnetId, IPv4Network],
        *,
        instance_type: str = "t3.medium",
        zone: str = "ap-northeast-2a",
        looks_until_free: int = 0,
    ) -> None:
        self.subnets = dict(subnets)
        self.subnet_tags: dict[SubnetId, Mapping[str, str]] = {}
        self.enis: dict[EniId, DescribedEni] = {}
        self.actions: list[str] = []
        self.limits = self.instance_limits(instance_type)
        self.actions.clear()
        self._zone = zone
        self._looks_until_free = looks_until_free
        self._looks: dict[EniId, int] = {}
        self._troubles: dict[str, deque[_Trouble]] = defaultdict(deque)
        self._made = 0

    def fail(self, action: str, code: str, message: str = "", *, times: int = 1, done: bool = False) -> None:
        """The next `times` calls of an action fail; with `done` EC2 carries them out and the answer is lost."""
        self._troubles[action].extend([_Trouble(code, message, done)] * times)

    def add(self, eni: DescribedEni) -> None:
        """An ENI that is there from the start, for example an instance's primary one."""
        self.enis[eni.id] = eni

    @property
    def tied(self) -> set[str]:
        """Attachments whose ENI goes with the instance."""
        return {eni.attachment.id for eni in self.enis.values() if eni.attachment and eni.attachment.tied}

    # --- Ec2Port ----------------------------------------------------------------------------------------------

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI; just the new ones. Raises Ec2Error."""
        action = "AssignPrivateIpAddresses"
        trouble = self._begin(action)
        found = self._eni(action, eni)
        if len(found.blocks) + count > self.limits.slots_per_eni:
            limit = "Number of private addresses will exceed limit."
            raise failure(action, "PrivateIpAddressLimitExceeded", limit, subject=eni)
        blocks = self._take(action, found.subnet, count, kind)
        self.enis[eni] = replace(found, blocks=(*found.blocks, *blocks))
        self._end(action, trouble)
        return blocks

    def unassign(self, eni: EniId, blocks: Iterable[Block]) -> None:
        """Give blocks back. Raises Ec2Error."""
        action = "UnassignPrivateIpAddresses"
        trouble = self._begin(action)
        found, given = self._eni(action, eni), set(blocks)
        if not given.issubset(found.blocks):
            raise failure(action, "InvalidParameterValue", "Some of them are not assigned", subject=eni)
        self.enis[eni] = replace(found, blocks=tuple(b for b in found.blocks if b not in given))
        self._end(action, trouble)

    def create_eni(self, new: NewEni) -> CreatedEni:
        """A new ENI with its first blocks. Raises Ec2Error."""
        action = "CreateNetworkInterface"
        trouble = self._begin(action)
        self._take(action, new.subnet, 1, BlockKind.SECONDARY_IP)  # or there is none to be had
        primary = next(self._free(new.subnet))
        self._made += 1
        eni = DescribedEni(
            id=EniId(f"eni-{self._made:08x}"),
            mac=f"02:00:00:00:{self._made >> 8:02x}:{self._made & 255:02x}",
            status=AVAILABLE,
            subnet=new.subnet,
            primary_address=primary,
            description=new.description,
            groups=new.groups,
            tags=dict(new.tags),
            tracking=new.tracking,
        )
        self.enis[eni.id] = eni
        try:
            blocks = self._take(action, new.subnet, new.count, new.kind)
        except Ec2Error:
            del self.enis[eni.id]
            raise
        self.enis[eni.id] = replace(eni, blocks=blocks)
        self._end(action, trouble)
        return CreatedEni(eni.id, eni.mac, primary, blocks)

    def attach(self, eni: EniId, instance: str, device_index: int, network_card: int) -> str:
        """Attach; the attachment's id. Raises Ec2Error."""
        action = "AttachNetworkInterface"
        trouble = self._begin(action)
        found = self._eni(action, eni)
        if found.attachment is not None:
            raise failure(action, "InvalidNetworkInterface.InUse", f"Interface: {eni} in use.", subject=eni)
        places = [
            e.attachment for e in self.enis.values() if e.attachment and e.attachment.instance == instance
        ]
        if (device_index, network_card) in {(p.device_index, p.network_card) for p in places}:
            taken = (
                f"Instance '{instance}' already has an interface attached at device index '{device_index}'."
            )
            raise failure(action, "InvalidParameterValue", taken, subject=eni)
        count = 1 + sum(p.network_card == network_card for p in places)
        if count > self.limits.max_enis:
            limit = f"Interface count {count} exceeds the limit for {self.limits.type}"
            raise failure(action, "AttachmentLimitExceeded", limit, subject=eni)
        attachment = EniAttachment(
            f"eni-attach-{eni[4:]}", instance, device_index, network_card, "attached", tied=False
        )
        self.enis[eni] = replace(found, status=IN_USE, attachment=attachment)
        self._end(action, trouble)
        return attachment.id

    def delete_on_termination(self, eni: EniId, attachment: str) -> None:
        """The ENI goes with the instance. Raises Ec2Error."""
        action = "ModifyNetworkInterfaceAttribute"
        trouble = self._begin(action)
        found = self._eni(action, eni)
        if found.attachment is None or found.attachment.id != attachment:
            raise failure(
                action, "InvalidAttachmentID.NotFound", f"'{attachment}' does not exist", subject=eni
            )
        self.enis[eni] = replace(found, attachment=replace(found.attachment, tied=True))
        self._end(action, trouble)

    def detach(self, attachment: str) -> None:
        """Begin to detach; it is done after `looks_until_free` descriptions. Raises Ec2Error."""
        action = "DetachNetworkInterface"
        trouble = self._begin(action)
        for found in self.enis.values():
            if found.attachment is not None and found.attachment.id == attachment:
                leaving = replace(found.attachment, status=DETACHING)
                self.enis[found.id] = replace(found, status=DETACHING, attachment=leaving)
                self._looks[found.id] = self._looks_until_free
                break
        else:
            raise failure(action, "InvalidAttachmentID.NotFound", f"'{attachment}' does not exist")
        self._end(action, trouble)

    def delete_eni(self, eni: EniId) -> None:
        """Delete; one that is gone already is fine. Raises Ec2Error."""
        action = "DeleteNetworkInterface"
        trouble = self._begin(action)
        self._settle()
        found = self.enis.get(eni)
        if found is not None and found.status != AVAILABLE:
            raise failure(
                action, "InvalidParameterValue", f"Interface {eni} is currently in use.", subject=eni
            )
        self.enis.pop(eni, None)
        self._end(action, trouble)

    def describe_enis(
        self, ids: Sequence[EniId] | None = None, *, instance: str | None = None
    ) -> tuple[DescribedEni, ...]:
        """ENIs by id or by instance; those that are gone are left out. Raises Ec2Error."""
        self._end("DescribeNetworkInterfaces", self._begin("DescribeNetworkInterfaces"))
        self._settle()
        self._looks = {eni: looks - 1 for eni, looks in self._looks.items()}
        return tuple(
            eni
            for eni in self.enis.values()
            if (ids is None or eni.id in ids)
            and (instance is None or (eni.attachment is not None and eni.attachment.instance == instance))
        )

    def describe_subnets(self, vpc: str, zone: str) -> tuple[DescribedSubnet, ...]:  # noqa: ARG002 -- there is one VPC
        """The subnets, those with the most free addresses first. Raises Ec2Error."""
        self._end("DescribeSubnets", self._begin("DescribeSubnets"))
        found = [
            DescribedSubnet(s, cidr, self._zone, len(list(self._free(s))), self.subnet_tags.get(s, {}))
            for s, cidr in self.subnets.items()
        ]
        return tuple(sorted((s for s in found if s.zone == zone), key=lambda s: (-s.free_addresses, s.id)))

    def describe_subnet(self, subnet: SubnetId) -> DescribedSubnet:
        """One subnet. Raises Ec2Error."""
        action = "DescribeSubnets"
        self._end(action, self._begin(action))
        if subnet not in self.subnets:
            unknown = f"The subnet ID '{subnet}' does not exist"
            raise failure(action, "InvalidSubnetID.NotFound", unknown, subject=subnet, subnet=subnet)
        free = len(list(self._free(subnet)))
        return DescribedSubnet(
            subnet, self.subnets[subnet], self._zone, free, self.subnet_tags.get(subnet, {})
        )

    def stray_enis(self, vpc: str, cluster: str) -> tuple[DescribedEni, ...]:  # noqa: ARG002 -- there is one VPC
        """ENIs of our making that are attached to nothing. Raises Ec2Error."""
        self._end("DescribeNetworkInterfaces", self._begin("DescribeNetworkInterfaces"))
        return tuple(
            eni
            for eni in self.enis.values()
            if eni.status == AVAILABLE and INSTANCE in eni.tags and cluster in {"", eni.tags.get(CLUSTER)}
        )

    def tag(self, eni: EniId, tags: Iterable[tuple[str, str]]) -> None:
        """Add tags, or change them. Raises Ec2Error."""
        trouble = self._begin("CreateTags")
        found = self._eni("CreateTags", eni)
        self.enis[eni] = replace(found, tags={**found.tags, **dict(tags)})
        self._end("CreateTags", trouble)

    def set_groups(self, eni: EniId, groups: Sequence[str]) -> None:
        """The ENI's security groups, all of them. Raises Ec2Error."""
        action = "ModifyNetworkInterfaceAttribute"
        trouble = self._begin(action)
        self.enis[eni] = replace(self._eni(action, eni), groups=tuple(groups))
        self._end(action, trouble)

    def instance_limits(self, instance_type: str) -> InstanceLimits:
        """What a type can hold; the types are those of our table. Raises Ec2Error."""
        self.actions.append("DescribeInstanceTypes")
        limits = known_limits(instance_type)
        if limits is None:
            raise failure("DescribeInstanceTypes", "InvalidInstanceType", f"'{instance_type}' does not exist")
        return limits

    # --- inside -----------------------------------------------------------------------------------------------

    def _begin(self, action: str) -> _Trouble | None:
        self.actions.append(action)
        waiting = self._troubles[action]
        trouble = waiting.popleft() if waiting else None
        if trouble is not None and not trouble.done:
            raise _error(action, trouble)
        return trouble

    @staticmethod
    def _end(action: str, trouble: _Trouble | None) -> None:
        if trouble is not None:
            raise _error(action, trouble)

    def _settle(self) -> None:
        """What was detaching long enough is free."""
        for eni in [eni for eni, looks in self._looks.items() if looks <= 0]:
            del self._looks[eni]
            self.enis[eni] = replace(self.enis[eni], status=AVAILABLE, attachment=None)

    def _eni(self, action: str, eni: EniId) -> DescribedEni:
        found = self.enis.get(eni)
        if found is None:
            raise failure(action, NO_SUCH_ENI, f"The networkInterface ID '{eni}' does not exist", subject=eni)
        return found

    def _free(self, subnet: SubnetId) -> Iterator[IPv4Address]:
        """Lowest first. AWS keeps the first four and the last (aws-emulation 4.2)."""
        cidr = self.subnets[subnet]
        used = {cidr[0], cidr[1], cidr[2], cidr[3], cidr[-1]}
        for eni in self.enis.values():
            if eni.subnet == subnet:
                used |= {eni.primary_address} if eni.primary_address else set()
                used |= {a for b in eni.blocks if isinstance(b.network, IPv4Network) for a in b.network}
        return (address for address in cidr if address not in used)

    def _take(self, action: str, subnet: SubnetId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        if subnet not in self.subnets:
            unknown = f"The subnet ID '{subnet}' does not exist"
            raise failure(action, "InvalidSubnetID.NotFound", unknown, subject=subnet, subnet=subnet)
        free = list(self._free(subnet))
        if kind is BlockKind.SECONDARY_IP:
            found = [Block.of_address(address) for address in free[:count]]
            code, message = "InvalidParameterValue", NOT_ENOUGH
        else:
            heads: dict[IPv4Network, int] = defaultdict(int)
            for address in free:
                heads[IPv4Network((address, kind.value), strict=False)] += 1
            found = [Block(network) for network, left in heads.items() if left == PREFIX_SIZE][:count]
            code, message = (
                "InsufficientCidrBlocks",
                "The specified subnet does not have enough free cidr blocks.",
            )
        if len(found) < count:
            raise failure(
                action, code, message, subject=subnet, subnet=subnet, prefixes=kind is BlockKind.PREFIX
            )
        return tuple(found)


def _error(action: str, trouble: _Trouble) -> Ec2Error:
    if trouble.code == "Unreachable":
        return unreachable(action, trouble.message or "the test says so", unsure=trouble.done)
    status = 500 if trouble.done else 400
    return failure(action, trouble.code, trouble.message or "the test says so", status=status)
