"""A node's EC2 in forty lines: exact about who holds what, as fast or slow and as willing as the test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

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
from vpccni.ipam.decide import Ipam
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.targets import NodeLimits, WarmTargets
from vpccni.ipam.values import (
    Assignment,
    AttachedEni,
    Block,
    BlockKind,
    Eni,
    EniId,
    Pod,
    SandboxKey,
    SubnetId,
    SubnetOffer,
)

SUBNET = IPv4Network("10.0.0.0/16")
SUBNET_ID = SubnetId("subnet-1")


class Ec2SaysNoError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class ModelEc2:
    slots: int
    max_enis: int
    subnet: IPv4Network = SUBNET
    spare: int | None = None
    """Addresses that the subnet still has; None: plenty."""
    spare_prefixes: int | None = None
    """Aligned /28s of these; None: as many as there are addresses for."""
    offers: tuple[SubnetOffer, ...] = ()
    excluded: frozenset[SubnetId] = frozenset()
    held: dict[EniId, set[Block]] = field(default_factory=dict)
    enis: dict[EniId, Eni] = field(default_factory=dict)
    made: int = 0

    def attach(
        self, device_index: int, count: int, kind: BlockKind, subnet: SubnetId = SUBNET_ID
    ) -> AttachedEni:
        if len(self.enis) >= self.max_enis:
            raise Ec2SaysNoError(Reason.ENI_LIMIT)
        assert device_index not in {eni.device_index for eni in self.enis.values()}
        assert 0 <= count <= self.slots
        self._spend(1 + count * kind.addresses, kind)
        name = EniId(f"eni-{self.made}")
        primary = IPv4Address(int(self.subnet.network_address) + 0xFF00 + self.made % 250)
        self.enis[name] = Eni(
            name, f"02::{self.made}", device_index, subnet, self.subnet, primary,
            is_primary=device_index == 0,
        )  # fmt: skip
        self.held[name] = set()
        self.made += 1
        return AttachedEni(self.enis[name], self._take(name, count, kind))

    def perform(self, action: Action) -> Outcome:
        try:
            match action:
                case AssignAddresses(eni, count, kind):
                    assert count > 0
                    if len(self.held[eni]) + count > self.slots:
                        raise Ec2SaysNoError(Reason.IP_LIMIT)
                    try:
                        self._spend(count * kind.addresses, kind)
                    except Ec2SaysNoError:
                        count = 1  # what the agent asks for next
                        self._spend(kind.addresses, kind)
                    return Assigned(action, self._take(eni, count, kind))
                case AttachEni(device_index, count, kind, _, subnet):
                    return Attached(action, self.attach(device_index, count, kind, subnet or SUBNET_ID))
                case FindSubnets():
                    return FoundSubnets(action, self.offers, self.excluded)
                case ReleaseAddresses(eni, blocks):
                    gone = self.held[eni] & set(blocks)  # asked again, it may be done already
                    self.held[eni] -= gone
                    self._free(gone)
                    return Released(action)
                case DetachEni(eni):
                    if eni in self.enis:
                        assert not self.enis[eni].is_primary
                        gone = self.held.pop(eni)
                        del self.enis[eni]
                        self._spend(-1, BlockKind.SECONDARY_IP)
                        self._free(gone)
                    return Detached(action)
        except Ec2SaysNoError as no:
            return Failed(action, Refusal(no.reason, "the model"))

    def attached(self) -> tuple[AttachedEni, ...]:
        return tuple(
            AttachedEni(eni, tuple(sorted(self.held[name], key=str))) for name, eni in self.enis.items()
        )

    def _free(self, gone: set[Block]) -> None:
        for block in gone:
            self._spend(-block.kind.addresses, block.kind)

    def _spend(self, count: int, kind: BlockKind) -> None:
        if self.spare_prefixes is not None and kind is BlockKind.PREFIX:
            if count // 16 > self.spare_prefixes:
                raise Ec2SaysNoError(Reason.NO_FREE_PREFIX)
            self.spare_prefixes -= count // 16
        if self.spare is None:
            return
        if count > self.spare:
            raise Ec2SaysNoError(Reason.NO_FREE_PREFIX if kind is BlockKind.PREFIX else Reason.SUBNET_FULL)
        self.spare -= count

    def _take(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        taken: set[int] = set()
        for blocks in self.held.values():
            for block in blocks:
                taken.update(range(int(block.network[0]), int(block.network[-1]) + 1))
        size, first = kind.addresses, int(self.subnet.network_address) + 16
        got: list[Block] = []
        while len(got) < count:
            if taken.isdisjoint(range(first, first + size)):
                got.append(Block(IPv4Network((first, kind.value))))
            first += size
        self.held[eni].update(got)
        return tuple(got)


def key(number: int) -> SandboxKey:
    return SandboxKey("aws-cni", f"c{number}", "eth0")


def pod(number: int) -> Pod:
    return Pod("default", f"p{number}")


class Node:
    """An Ipam with a model EC2 that does at once, or when told to, what it is asked."""

    def __init__(
        self,
        targets: WarmTargets,
        *,
        enis: int = 3,
        slots: int = 5,
        max_pods: int = 1000,
        kind: BlockKind = BlockKind.SECONDARY_IP,
        cooldown: float = 30.0,
        spare: int | None = None,
    ) -> None:
        self.ec2 = ModelEc2(slots, enis, spare=spare)
        self.now = 1_700_000_000.0
        self.ipam = Ipam(NodeLimits(enis, slots, max_pods), targets, kind=kind, cooldown=cooldown)
        self.ipam.add_attached(self.ec2.attach(0, 0, kind), self.now)
        self.log: list[Action] = []

    def add(self, number: int) -> Assignment:
        """An ADD, which waits for EC2 if it must."""
        answer = self.ipam.assign(key(number), pod(number), self.now)
        if isinstance(answer, Refusal):
            self.settle(waiting=1)
            answer = self.ipam.assign(key(number), pod(number), self.now)
        assert isinstance(answer, Assignment), answer
        self.settle()
        return answer

    def delete(self, number: int) -> None:
        self.ipam.release(key(number), self.now)
        self.settle()

    def settle(self, *, waiting: int = 0) -> list[Outcome]:
        """Do what is wanted until nothing is; time stands still."""
        outcomes: list[Outcome] = []
        # nobody waits any more once something is to be had
        while actions := self.ipam.plan(self.now, waiting=0 if self.ipam.can_assign(self.now) else waiting):
            self.log += actions
            for action in actions:
                outcomes.append(self.ec2.perform(action))
                self.ipam.apply(outcomes[-1], self.now)
            assert len(outcomes) < 1000, "it does not come to rest"
        return outcomes

    def rest(self, most: float = 3600.0) -> list[Outcome]:
        """Let time pass until nothing happens by itself any more, or `most` seconds; what happened."""
        end = self.now + most
        outcomes = self.settle()
        while (at := self.ipam.next_event(self.now)) is not None and at <= end:
            assert at > self.now
            self.now = at
            outcomes += self.settle()
        self.now = end
        return outcomes

    @property
    def shape(self) -> tuple[int, int, int]:
        """ENIs, blocks, free addresses."""
        return len(self.ec2.enis), sum(map(len, self.ec2.held.values())), self.ipam.numbers.free
