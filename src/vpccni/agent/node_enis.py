"""The ENIs of this node, put together from what EC2 says and what instance metadata says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

from vpccni.aws.tags import description
from vpccni.aws.values import DescribedEni
from vpccni.ipam.managed import Keeper, Sight, keeper, role
from vpccni.ipam.sightings import Sighting
from vpccni.ipam.values import AttachedEni, Eni, EniId, EniRole, SubnetId

ATTACHED = frozenset({"attached", "attaching"})


@dataclass(frozen=True, slots=True)
class Whose:
    """What decides which ENIs are ours."""

    instance: str
    untagged_are_ours: bool = True
    cards: frozenset[int] = frozenset({0})


@dataclass(frozen=True, slots=True)
class Other:
    """An ENI of the node that is not ours; it takes a place all the same."""

    id: EniId
    card: int
    device_index: int


@dataclass(frozen=True, slots=True)
class NodeEnis:
    """Ours, the others', and what EC2 said of ours beside."""

    sighting: Sighting
    others: tuple[Other, ...] = ()
    groups: Mapping[EniId, tuple[str, ...]] = field(default_factory=dict)
    tags: Mapping[EniId, Mapping[str, str]] = field(default_factory=dict)
    untied: Mapping[EniId, str] = field(default_factory=dict)
    """Attachments of ENIs that this node's agent made and did not live to tie to the instance: they would outlast it."""

    def others_on(self, card: int) -> tuple[Other, ...]:
        """Those that take places on a card."""
        return tuple(other for other in self.others if other.card == card)


def by_ec2(
    described: Iterable[DescribedEni],
    metadata: Iterable[AttachedEni],
    subnets: Mapping[SubnetId, IPv4Network],
    whose: Whose,
) -> NodeEnis:
    """EC2's word; metadata, and the subnets that are known, tell only the subnets' CIDRs, which EC2 does not say here."""
    told = {entry.eni.id: entry.eni for entry in metadata}
    cidrs = {**subnets, **{eni.subnet_id: eni.subnet_cidr for eni in told.values()}}
    primary = next((eni.id for eni in told.values() if eni.is_primary), None)
    attached: list[AttachedEni] = []
    unknown: list[str] = []
    others: list[Other] = []
    ours: dict[EniId, DescribedEni] = {}
    for found in described:
        at = found.attachment
        if at is None or at.status not in ATTACHED:
            continue
        first = found.id == primary if primary else (at.device_index, at.network_card) == (0, 0)
        sight = Sight(
            primary=first, card=at.network_card, interface_type=found.interface_type, tags=found.tags
        )
        kept = keeper(
            sight, instance=whose.instance, untagged_are_ours=whose.untagged_are_ours, cards=whose.cards
        )
        if kept is Keeper.OTHERS or found.primary_address is None:
            others.append(Other(found.id, at.network_card, at.device_index))
            continue
        ours[found.id] = found
        if found.subnet not in cidrs:
            unknown.append(found.id)
            continue
        eni = Eni(
            id=found.id,
            mac=found.mac.lower(),
            device_index=at.device_index,
            subnet_id=found.subnet,
            subnet_cidr=cidrs[found.subnet],
            primary_address=found.primary_address,
            network_card=at.network_card,
            is_primary=first,
            role=role(found.interface_type),
        )
        attached.append(AttachedEni(eni, found.blocks))
    made_here = description(whose.instance)
    return NodeEnis(
        Sighting(_in_order(attached), tuple(unknown), frozenset(other.id for other in others)),
        tuple(others),
        {eni: found.groups for eni, found in ours.items()},
        {eni: found.tags for eni, found in ours.items()},
        {
            eni: found.attachment.id
            for eni, found in ours.items()
            if found.attachment and not found.attachment.tied and found.description == made_here
        },
    )


def by_metadata(metadata: Iterable[AttachedEni], whose: Whose) -> NodeEnis:
    """What can be known without EC2: metadata tells no tags and no types, so all on our cards is taken for ours."""
    ours, others = list[AttachedEni](), list[Other]()
    for entry in metadata:
        if entry.eni.is_primary or entry.eni.network_card in whose.cards:
            ours.append(entry)
        else:
            others.append(Other(entry.eni.id, entry.eni.network_card, entry.eni.device_index))
    return NodeEnis(Sighting(_in_order(ours), certain=False), tuple(others))


def with_metadata(seen: NodeEnis, metadata: Iterable[AttachedEni], here: frozenset[str]) -> NodeEnis:
    """At a start: also ENIs that EC2 did not tell of and metadata did, if the kernel has their device (`here`: MACs).

    EC2's reads may be old for a moment, metadata for longer; a device is there or is not.
    """
    known = {entry.eni.id for entry in seen.sighting.attached} | {other.id for other in seen.others}
    more = [e for e in metadata if e.eni.id not in known and e.eni.mac in here]
    attached = _in_order([*seen.sighting.attached, *more])
    return replace(seen, sighting=replace(seen.sighting, attached=attached))


def untagged(seen: NodeEnis, wanted: Mapping[str, str]) -> dict[EniId, dict[str, str]]:
    """Tags that ENIs of ours should have and lack; a trunk's are not ours to set (spec 6.6)."""
    missing: dict[EniId, dict[str, str]] = {}
    for entry in seen.sighting.attached:
        there = seen.tags.get(entry.eni.id)
        if there is None or entry.eni.role is EniRole.TRUNK:
            continue
        lacks = {key: value for key, value in wanted.items() if there.get(key) != value}
        if lacks:
            missing[entry.eni.id] = lacks
    return missing


def _in_order(entries: Iterable[AttachedEni]) -> tuple[AttachedEni, ...]:
    return tuple(
        sorted(entries, key=lambda e: (not e.eni.is_primary, e.eni.network_card, e.eni.device_index))
    )
