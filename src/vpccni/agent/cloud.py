"""EC2 for this node: knows the instance, its subnets, groups and tags; the client is made when it is first needed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network
from typing import NoReturn

from vpccni.agent.node_enis import NodeEnis, Whose, by_ec2
from vpccni.agent.settings import Settings
from vpccni.aws.budget import CallBudget
from vpccni.aws.call_log import CallLog
from vpccni.aws.ec2 import Ec2, NewEni
from vpccni.aws.eni_lifecycle import attach_new_eni, remove_eni
from vpccni.aws.errors import NO_SUCH_ENI, Ec2Error
from vpccni.aws.imds import NodeFacts
from vpccni.aws.port import Ec2Port
from vpccni.aws.tags import CREATED_AT, description, eni_tags
from vpccni.aws.values import DescribedEni, DescribedSubnet, Tracking
from vpccni.ipam.actions import AttachEni
from vpccni.ipam.limits import Hypervisor, InstanceLimits, NetworkCard
from vpccni.ipam.reasons import Reason, Refusal
from vpccni.ipam.subnets import choose, primary_only
from vpccni.ipam.values import AttachedEni, Block, BlockKind, Eni, EniId, SubnetId, SubnetOffer

log = logging.getLogger(__name__)

NOT_ASSIGNED = "InvalidParameterValue"
"""What EC2 says to an address that is not on the ENI (any more), among other things."""
MOST_ENIS, MOST_ADDRESSES, MANY_VCPUS = 15, 50, 96
"""Of a type that nobody knows, where EC2 may not be asked: the largest there are. Nothing is asked for by these numbers."""


class NodeCloud:
    """The pool's actions as EC2 calls of this node. Blocking; used from several threads."""

    def __init__(
        self,
        settings: Settings,
        facts: NodeFacts,
        primary: Eni,
        make: Callable[[], Ec2Port] | None = None,
        *,
        calls: CallLog | None = None,
        budget: CallBudget | None = None,
    ) -> None:
        """`make` makes the client, in tests. `calls` is counted into, `budget` paced by."""
        self._settings = settings
        self._facts = facts
        self._calls, self._budget = calls, budget
        self.groups = facts.security_groups
        """Of the primary ENI, and so of new ones; renewed as instance metadata tells."""
        self.cards = frozenset({0})
        """The network cards that are managed."""
        self._make = make or self._client_of_the_region
        self._client: Ec2Port | None = None
        self._making = threading.Lock()  # two threads must not load botocore twice
        self._denials = threading.Lock()
        self._denied: dict[str, None] = {}
        self._tell_denied: Callable[[str], None] | None = None
        self._tracking: Tracking | None = None
        self._tracking_known = False
        self._made_with: dict[EniId, tuple[str, ...]] = {}
        self._primary = primary
        self._offers = {primary.subnet_id: SubnetOffer(primary.subnet_id, primary.subnet_cidr)}

    @property
    def ec2(self) -> Ec2Port:
        """The client; the first use takes a fifth of a second. Raises Ec2Error where EC2 must not be asked at all."""
        if self._settings.imds_only:
            _forbidden("asked", "ENABLE_IMDS_ONLY_MODE")
        with self._making:
            if self._client is None:
                self._client = self._make()
            return self._client

    @property
    def _changing(self) -> Ec2Port:
        """The client, for what changes something. Raises Ec2Error where nothing is to be changed, whoever asks for it."""
        if not self._settings.provisioning and not self._settings.imds_only:
            _forbidden("changed", "DISABLE_NETWORK_RESOURCE_PROVISIONING")
        return self.ec2

    def tell_denied(self, tell: Callable[[str], None]) -> None:
        """`tell` hears of every action that the node's role may not do, in the thread that asked; now of those so far."""
        with self._denials:
            self._tell_denied, before = tell, tuple(self._denied)
        for action in before:
            tell(action)

    def _hear_denied(self, action: str) -> None:
        with self._denials:
            self._denied[action] = None
            tell = self._tell_denied
        if tell is not None:
            tell(action)

    @property
    def whose(self) -> Whose:
        """What decides which ENIs are ours."""
        return Whose(
            self._facts.instance_id,
            untagged_are_ours=self._settings.manage_untagged_enis,
            cards=self.cards,
        )

    @property
    def made_with(self) -> Mapping[EniId, tuple[str, ...]]:
        """The groups that ENIs were made with, in this agent's life."""
        return self._made_with

    @property
    def known_subnets(self) -> dict[SubnetId, IPv4Network]:
        """Subnets whose CIDR somebody has told."""
        return {offer.id: offer.cidr for offer in list(self._offers.values())}

    # --- the pool's actions -----------------------------------------------------------------------------------

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI. Raises Ec2Error."""
        return self._changing.assign(eni, count, kind)

    def attach(self, action: AttachEni) -> AttachedEni:
        """A new ENI in the subnet that was chosen, with its groups, else the primary's. Raises Ec2Error."""
        ec2 = self._changing
        offer = self._offers[action.subnet or self._primary.subnet_id]
        groups = offer.groups or self.groups
        new = NewEni(
            subnet=offer.id,
            groups=groups,
            description=description(self._facts.instance_id),
            tags=self._tags(),
            count=action.count,
            kind=action.kind,
            tracking=self._primarys_tracking(),
        )
        made = attach_new_eni(
            ec2,
            new,
            instance=self._facts.instance_id,
            device_index=action.device_index,
            network_card=action.network_card,
            subnet_cidr=offer.cidr,
        )
        self._made_with[made.eni.id] = groups
        return made

    def release(self, eni: EniId, blocks: tuple[Block, ...]) -> None:
        """Give blocks back; what the ENI does not hold (any more) is fine. Raises Ec2Error."""
        ec2 = self._changing
        try:
            ec2.unassign(eni, blocks)
        except Ec2Error as error:
            if error.code == NO_SUCH_ENI:
                return
            if error.code != NOT_ASSIGNED:
                raise
            held = {block for found in ec2.describe_enis([eni]) for block in found.blocks}
            left = tuple(block for block in blocks if block in held)
            if left == blocks:
                raise
            if left:
                ec2.unassign(eni, left)

    def remove(self, eni: EniId) -> None:
        """Detach and delete. Raises Ec2Error."""
        remove_eni(self._changing, eni)
        self._made_with.pop(eni, None)

    def find_subnets(self) -> tuple[tuple[SubnetOffer, ...], frozenset[SubnetId]]:
        """Where new ENIs may go, by the tags of the zone's subnets, or of the node's own alone (spec 6.11). Raises Ec2Error."""
        home = self._primary.subnet_id
        excluded: frozenset[SubnetId] = frozenset()
        if self._settings.subnet_discovery:
            described = self.ec2.describe_subnets(self._facts.vpc_id, self._facts.zone)
            offers, excluded = choose(
                map(_offered, described), primary=home, cluster=self._settings.cluster_name
            )
        else:
            offers = primary_only(_offered(self.ec2.describe_subnet(home)))
        self._offers |= {offer.id: offer for offer in offers}
        return offers, excluded

    # --- beside them ------------------------------------------------------------------------------------------

    def limits(self) -> InstanceLimits:
        """What EC2 says of a type that the data file does not know. Raises Ec2Error.

        Where it may not be asked, nothing is got or given back either: the numbers only must not be too small.
        """
        if self._settings.imds_only:
            log.warning(
                "%s is not a type that is known, and EC2 may not be asked: whatever the node is given is used",
                self._facts.instance_type,
            )
            card = NetworkCard(0, MOST_ENIS)
            return InstanceLimits(
                self._facts.instance_type, MOST_ADDRESSES, (card,), Hypervisor.NITRO,
                bare_metal=False, trunk=False, vcpus=MANY_VCPUS,
            )  # fmt: skip
        return self.ec2.instance_limits(self._facts.instance_type)

    def offer(self, subnet: SubnetId, groups: Iterable[str] = ()) -> SubnetOffer:
        """A subnet that an ENIConfig names, with its groups. Raises Ec2Error."""
        described = self.ec2.describe_subnet(subnet)
        offer = SubnetOffer(subnet, described.cidr, groups=tuple(groups))
        self._offers[subnet] = offer
        return offer

    def enis(self, metadata: Iterable[AttachedEni]) -> NodeEnis:
        """The node's ENIs as EC2 sees them. Raises Ec2Error."""
        told = tuple(metadata)
        described = self.ec2.describe_enis(instance=self._facts.instance_id)
        known = self.known_subnets | {entry.eni.subnet_id: entry.eni.subnet_cidr for entry in told}
        for subnet in {found.subnet for found in described if found.attachment} - known.keys():
            known[subnet] = self.offer(subnet).cidr
        for found in described:
            if found.id == self._primary.id:
                self._tracking, self._tracking_known = found.tracking, True
        return by_ec2(described, told, known, self.whose)

    def strays(self) -> tuple[DescribedEni, ...]:
        """ENIs of our making that are attached to nothing. Raises Ec2Error."""
        return self.ec2.stray_enis(self._facts.vpc_id, self._settings.cluster_name)

    def tag(self, eni: EniId, tags: dict[str, str]) -> None:
        """Add tags. Raises Ec2Error."""
        self._changing.tag(eni, tags.items())

    def tie(self, eni: EniId, attachment: str) -> None:
        """The ENI goes with the instance. Raises Ec2Error."""
        self._changing.delete_on_termination(eni, attachment)

    def set_groups(self, eni: EniId, groups: tuple[str, ...]) -> None:
        """All of an ENI's security groups. Raises Ec2Error."""
        self._changing.set_groups(eni, groups)

    def delete_eni(self, eni: EniId) -> None:
        """Delete one that is attached to nothing. Raises Ec2Error."""
        self._changing.delete_eni(eni)

    @property
    def wanted_tags(self) -> dict[str, str]:
        """What an ENI of this node should be tagged with whenever it was made (spec 6.10)."""
        return {key: value for key, value in self._tags() if key != CREATED_AT}

    def _primarys_tracking(self) -> Tracking | None:
        """What new ENIs copy. One question in an agent's life, if nobody has asked about the primary before (spec 6.9)."""
        if not self._tracking_known:
            try:
                for found in self.ec2.describe_enis([self._primary.id]):
                    self._tracking, self._tracking_known = found.tracking, True
            except Ec2Error as error:
                log.warning("the primary's connection tracking is not copied to a new ENI: %s", error)
        return self._tracking

    def _tags(self) -> tuple[tuple[str, str], ...]:
        return eni_tags(
            self._facts.instance_id,
            self._settings.cluster_name,
            time.time(),
            self._settings.additional_eni_tags,
        )

    def _client_of_the_region(self) -> Ec2Port:
        client = Ec2(
            self._facts.region,
            endpoint_url=self._settings.ec2_endpoint,
            timeout=self._settings.http_timeout,
            calls=self._calls,
            budget=self._budget,
            denied=self._hear_denied,
            ipv6=self._settings.ipv6,
        )
        log.info("EC2 client ready for %s", self._facts.region)
        return client


def _offered(subnet: DescribedSubnet) -> tuple[SubnetOffer, Mapping[str, str]]:
    return SubnetOffer(subnet.id, subnet.cidr, subnet.free_addresses), subnet.tags


def _forbidden(what: str, setting: str) -> NoReturn:
    detail = f"EC2 is not {what}: {setting} is set"
    raise Ec2Error("none", "Forbidden", detail, Refusal(Reason.PROVISIONING_OFF, detail))
