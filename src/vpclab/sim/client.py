"""A node's EC2 client: the agent's calls in the agent's way, in virtual time.

The lab may not import vpccni.aws, so what decides there is given in (`Manners`), and the little that is only order is
mirrored here and in eni_steps.py; tests/sim holds the mirrors against the originals, call by call.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, TypeVar

from vpccni.ipam.leaks import dated
from vpccni.ipam.managed import INSTANCE
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.values import Block, BlockKind, EniId
from vpclab.region import NetworkInterface, Query, Subnet, Wanted
from vpclab.region.values import ApiError
from vpclab.sim.endpoint import Endpoint, LostAnswerError
from vpclab.sim.events import Work

T = TypeVar("T")

ATTEMPTS, JITTER = 2, 0.25
"""As vpccni.aws.client has them."""
REPEATABLE = frozenset(
    {"CreateNetworkInterface", "DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute"}
)
NO_SUCH_ENI = "InvalidNetworkInterfaceID.NotFound"


class Budget(Protocol):
    """vpccni.aws.budget.CallBudget, or none."""

    def take(self, action: str, now: float) -> float:
        """Seconds to wait before the call may be made."""

    def throttled(self, action: str, now: float) -> None:
        """EC2 refused a call for its rate."""

    def accepted(self, action: str, now: float) -> None:
        """EC2 took a call."""


class Understood(Protocol):
    """vpccni.aws.errors.Ec2Error: what a failure means to the pool."""

    code: str
    refusal: Refusal
    unsure: bool


@dataclass(frozen=True, slots=True)
class Manners:
    """What of vpccni.aws decides: CallBudget; errors.failure for an answer, errors.unreachable for none."""

    budget: Callable[[], Budget]
    failure: Callable[[str, ApiError, str, bool], Understood]
    """(action, the error, subject, whether prefixes were asked for)."""
    unreachable: Callable[[str, str], Understood]
    """(action, subject): EC2 may have got it."""


class CallError(Exception):
    """A call came to nothing."""

    def __init__(self, said: Understood) -> None:
        super().__init__(f"{said.code}: {said.refusal}")
        self.code, self.refusal, self.unsure = said.code, said.refusal, said.unsure


@dataclass(frozen=True, slots=True)
class Undone:
    """What is about to be taken from an ENI: told to whoever watches, in the very moment."""

    node: str
    action: str
    eni: EniId
    networks: tuple[IPv4Network, ...]


class NodeEc2:
    """One node's client. Each call is work; failures are CallError."""

    def __init__(self, endpoint: Endpoint, node: str, manners: Manners, *, seed: int = 0) -> None:
        self._endpoint = endpoint
        self._region = endpoint.region
        self._node = node
        self._manners = manners
        self._budget = manners.budget()
        self._chance = random.Random(f"client {seed} {node}")  # noqa: S311 -- spreads calls, the same in each run
        self._knows_primary = False
        self.watch: Callable[[Undone], None] = lambda _: None

    def restarted(self) -> None:
        """A new process: its budget is full again, and it has seen nothing."""
        self._budget = self._manners.budget()
        self._knows_primary = False

    @property
    def now(self) -> float:
        """The time."""
        return self._endpoint.events.now

    def jittered(self, seconds: float, part: float = JITTER) -> float:
        """So many seconds and up to that part more."""
        return seconds * (1 + part * self._chance.random())

    def call(self, action: str, effect: Callable[[], T], subject: str, *, prefixes: bool = False) -> Work[T]:
        """One call, paced, repeated where that is safe. Raises CallError."""
        for attempt in range(ATTEMPTS):
            wait = self._budget.take(action, self.now)
            if wait > 0:
                yield self.jittered(wait)
            try:
                answer = yield from self._endpoint.call(self._node, action, effect)
            except (ApiError, LostAnswerError) as error:
                said = (
                    self._manners.failure(action, error, subject, prefixes)
                    if isinstance(error, ApiError)
                    else self._manners.unreachable(action, subject)
                )
                if said.refusal.reason is Reason.THROTTLED:
                    self._budget.throttled(action, self.now)
                if attempt + 1 == ATTEMPTS or not _worth_repeating(action, said):
                    raise CallError(said) from error
            else:
                self._budget.accepted(action, self.now)
                return answer
        raise AssertionError("the last attempt returns or raises")

    # --- the actions ----------------------------------------------------------------------------------------

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> Work[tuple[Block, ...]]:
        """More blocks on an ENI."""

        def effect() -> tuple[Block, ...]:
            claimed = self._region.assign_private_ip_addresses(eni, _wanted(count, kind))
            return blocks_of(claimed.addresses, claimed.prefixes)

        prefixes = kind is BlockKind.PREFIX
        return (yield from self.call("AssignPrivateIpAddresses", effect, eni, prefixes=prefixes))

    def unassign(self, eni: EniId, blocks: Sequence[Block]) -> Work[None]:
        """Give blocks back, addresses and prefixes in a call each."""
        networks = [b.network for b in blocks if isinstance(b.network, IPv4Network)]
        addresses = tuple(n.network_address for n in networks if n.prefixlen == n.max_prefixlen)
        prefixes = tuple(n for n in networks if n.prefixlen != n.max_prefixlen)
        if addresses:
            yield from self._unassign(eni, addresses, ())
        if prefixes:
            yield from self._unassign(eni, (), prefixes)

    def _unassign(
        self, eni: EniId, addresses: tuple[IPv4Address, ...], prefixes: tuple[IPv4Network, ...]
    ) -> Work[None]:
        def effect() -> None:
            self._watched("UnassignPrivateIpAddresses", eni, (*map(IPv4Network, addresses), *prefixes))
            self._region.unassign_private_ip_addresses(eni, addresses=addresses, prefixes=prefixes)

        yield from self.call("UnassignPrivateIpAddresses", effect, eni)

    def create_eni(
        self, subnet: str, groups: Sequence[str], count: int, kind: BlockKind
    ) -> Work[NetworkInterface]:
        """A new ENI with its first blocks; asked twice with one token it is made once."""
        made: list[NetworkInterface] = []

        def effect() -> NetworkInterface:
            if not made:
                made.append(
                    self._region.create_network_interface(
                        subnet,
                        groups=groups,
                        wanted=_wanted(count, kind),
                        description=f"aws-K8S-{self._node}",
                        tags={INSTANCE: self._node, **dict(dated(self.now))},
                    )
                )
            return made[0]

        prefixes = kind is BlockKind.PREFIX
        return (yield from self.call("CreateNetworkInterface", effect, subnet, prefixes=prefixes))

    def attach(self, eni: EniId, device_index: int, network_card: int) -> Work[str]:
        """Attach to this node; the attachment's id."""

        def effect() -> str:
            return self._region.attach_network_interface(
                eni, self._node, device_index, network_card=network_card
            ).id

        return (yield from self.call("AttachNetworkInterface", effect, eni))

    def delete_on_termination(self, eni: EniId, attachment: str) -> Work[None]:
        """The ENI goes with the instance."""

        def effect() -> None:
            self._region.modify_network_interface(eni, delete_on_termination=(attachment, True))

        yield from self.call("ModifyNetworkInterfaceAttribute", effect, eni)

    def detach(self, eni: EniId, attachment: str) -> Work[None]:
        """Begin to detach."""

        def effect() -> None:
            self._watched("DetachNetworkInterface", eni)
            self._region.detach_network_interface(attachment)

        yield from self.call("DetachNetworkInterface", effect, attachment)

    def delete_eni(self, eni: EniId) -> Work[None]:
        """Delete; one that is gone already is fine."""

        def effect() -> None:
            self._watched("DeleteNetworkInterface", eni)
            self._region.delete_network_interface(eni)

        try:
            yield from self.call("DeleteNetworkInterface", effect, eni)
        except CallError as error:
            if error.code != NO_SUCH_ENI:
                raise

    def describe_enis(
        self, ids: Sequence[EniId] | None = None, *, own: bool = False
    ) -> Work[tuple[NetworkInterface, ...]]:
        """ENIs by id, or this node's own."""
        filters: dict[str, tuple[str, ...]] = {}
        if ids is not None:
            filters["network-interface-id"] = tuple(ids)
        if own:
            filters["attachment.instance-id"] = (self._node,)
        found = yield from self.describe_enis_by(Query(filters=filters))
        self._knows_primary = self._knows_primary or own
        return found

    def see_primary(self, eni: EniId) -> Work[None]:
        """New ENIs copy its connection tracking: one question in an agent's life, if it was not seen before (vpccni.agent.cloud)."""
        if not self._knows_primary:
            with contextlib.suppress(CallError):  # nothing is copied then
                self._knows_primary = bool((yield from self.describe_enis([eni])))

    def describe_enis_by(self, query: Query) -> Work[tuple[NetworkInterface, ...]]:
        """The first page of ENIs that match."""

        def effect() -> tuple[NetworkInterface, ...]:
            return tuple(self._region.describe.network_interfaces(query).items)

        return (yield from self.call("DescribeNetworkInterfaces", effect, self._node))

    def tag(self, resource: str, tags: dict[str, str]) -> Work[None]:
        """Add tags."""

        def effect() -> None:
            self._region.create_tags([resource], tags)

        yield from self.call("CreateTags", effect, resource)

    def describe_subnets(self, vpc: str, zone: str) -> Work[tuple[tuple[Subnet, int], ...]]:
        """The zone's subnets with what they have left, the most first."""
        query = Query(filters={"vpc-id": (vpc,), "availability-zone": (zone,)})

        def effect() -> tuple[tuple[Subnet, int], ...]:
            found = self._region.describe.subnets(query).items
            free = ((subnet, self._region.free_addresses(subnet.id)) for subnet in found)
            return tuple(sorted(free, key=lambda pair: (-pair[1], pair[0].id)))

        return (yield from self.call("DescribeSubnets", effect, vpc))

    def _watched(self, action: str, eni: EniId, networks: tuple[IPv4Network, ...] | None = None) -> None:
        known = self._region.enis.get(eni)
        if known is not None:
            held = set(known.networks)
            undone = known.networks if networks is None else tuple(n for n in networks if n in held)
            self.watch(Undone(self._node, action, eni, undone))


def blocks_of(addresses: Sequence[IPv4Address], prefixes: Sequence[IPv4Network]) -> tuple[Block, ...]:
    """EC2's two lists as ipam's blocks."""
    return (*map(_single, addresses), *map(Block, prefixes))


@lru_cache(1 << 17)
def _single(address: IPv4Address) -> Block:
    """Made once: a network costs more than the rest of comparing it."""
    return Block.of_address(address)


def _wanted(count: int, kind: BlockKind) -> Wanted:
    return Wanted(prefix_count=count) if kind is BlockKind.PREFIX else Wanted(count=count)


def _worth_repeating(action: str, said: Understood) -> bool:
    if said.unsure:
        return action in REPEATABLE or action.startswith("Describe")
    return said.refusal.reason is Reason.EC2_UNREACHABLE
